package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// cost is what a number of messages took.
type cost struct {
	messages int
	wall     time.Duration
	cpu      time.Duration // of this process
	allocs   uint64
}

func (c cost) rate() float64    { return float64(c.messages) / c.wall.Seconds() }
func (c cost) cpuEach() float64 { return float64(c.cpu.Nanoseconds()) / 1e3 / float64(c.messages) }
func (c cost) allocsEach() float64 {
	return float64(c.allocs) / float64(c.messages)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure takes the cost of what do does for so many messages.
func measure(messages int, do func() error) (cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start, cpu := time.Now(), cpuTime()
	err := do()
	c := cost{messages: messages, wall: time.Since(start), cpu: cpuTime() - cpu}
	runtime.ReadMemStats(&after)
	c.allocs = after.Mallocs - before.Mallocs
	return c, err
}

// trial is one case: every sender sends a letter so many times in each round.
type trial struct {
	name      string
	letter    *letter
	messages  int
	encrypted bool
	sessions  int // zero: 1
	senders   []sender
}

// results are the costs of each sender, by round.
type results [][]cost

// run has the senders take turns; who begins changes from round to round.
func (t *trial) run(s *sink, rounds int) (results, error) {
	all := make(results, len(t.senders))
	open := make([][]session, len(t.senders))
	for i, from := range t.senders {
		n := max(1, t.sessions)
		if from.all {
			n = 1
		}
		for range n {
			c, err := from.open(s, t.encrypted)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", from.name, err)
			}
			defer c.close()
			open[i] = append(open[i], c)
		}
	}
	for round := range rounds + 1 { // the first one warms up
		for k := range t.senders {
			i := (k + round) % len(t.senders)
			c, err := measure(t.messages, func() error { return t.spread(open[i]) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.senders[i].name, err)
			}
			if round > 0 {
				all[i] = append(all[i], c)
			}
		}
	}
	return all, nil
}

// spread sends the messages over some sessions at once.
func (t *trial) spread(sessions []session) error {
	if len(sessions) == 1 {
		return sessions[0].stream(t.messages, t.letter)
	}
	errs := make([]error, len(sessions))
	var wg sync.WaitGroup
	for i, c := range sessions {
		wg.Go(func() { errs[i] = c.stream(t.messages/len(sessions), t.letter) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// median of one figure over the rounds.
func (r results) median(i int, of func(cost) float64) float64 {
	list := make([]float64, len(r[i]))
	for k, c := range r[i] {
		list[k] = of(c)
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// ratio is the median over the rounds of one figure of sender i to that of j.
func (r results) ratio(i, j int, of func(cost) float64) float64 {
	list := make([]float64, len(r[i]))
	for k := range r[i] {
		list[k] = of(r[i][k]) / of(r[j][k])
	}
	slices.Sort(list)
	return list[len(list)/2]
}
