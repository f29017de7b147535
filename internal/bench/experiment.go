package main

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// experiment is one comparison: its contenders take turns.
type experiment struct {
	part, name string
	rounds     int  // at most; zero: as many as asked for
	cold       bool // no round before the first one that counts
	setup      func(h *hall) (*contest, error)
}

func (e experiment) id() string { return e.part + "/" + e.name }

// contest is an experiment that is ready.
type contest struct {
	contenders []contender
	floor      string // whom the others are compared with; "": the last
	ends       []func()
}

// contender has its turn in every round.
type contender struct {
	name string
	turn func() (figures, error)
}

func (c *contest) add(name string, turn func() (figures, error)) {
	c.contenders = append(c.contenders, contender{name, turn})
}

func (c *contest) atEnd(end func()) { c.ends = append(c.ends, end) }

func (c *contest) close() {
	for _, end := range slices.Backward(c.ends) {
		end()
	}
}

// run has the contenders take turns; who begins changes from round to round.
func (e experiment) run(h *hall, rounds int, who *regexp.Regexp) (*result, error) {
	c, err := e.setup(h)
	if c != nil {
		defer c.close()
	}
	if err != nil {
		return nil, err
	}
	if c.floor == "" {
		c.floor = c.contenders[len(c.contenders)-1].name
	}
	c.contenders = slices.DeleteFunc(c.contenders, func(of contender) bool { return of.name != c.floor && !who.MatchString(of.name) })
	if e.rounds > 0 {
		rounds = min(rounds, e.rounds)
	}
	r := e.result(c, h.stamp(rounds))
	first := -1 // warms up
	if e.cold {
		first = 0
	}
	for round := first; round < rounds; round++ {
		for k := range c.contenders {
			i := (k + round + 1) % len(c.contenders)
			f, err := c.contenders[i].turn()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.contenders[i].name, err)
			}
			if round >= 0 {
				r.Rows[i].add(f)
			}
		}
	}
	return r, nil
}

func (e experiment) result(c *contest, when stamp) *result {
	r := &result{ID: e.id(), Floor: c.floor, Stamp: when}
	for _, one := range c.contenders {
		r.Rows = append(r.Rows, row{Sender: one.name, Figures: map[string][]float64{}})
	}
	return r
}

// trial is an experiment in which senders send a letter so many times.
type trial struct {
	letter    *letter
	messages  int
	slow      int // messages of senders that are slow; zero: as for the others
	encrypted bool
	sessions  int // zero: 1
	senders   []sender
	floor     string                       // "": the last
	to        func(h *hall) (*sink, error) // nil: the sink
	rtt       time.Duration
	cold      bool // each message has a session of its own
}

func (t trial) setup(h *hall) (*contest, error) {
	c := &contest{floor: t.floor}
	if t.letter.file == "" {
		remove, err := t.letter.store()
		if err != nil {
			return nil, err
		}
		c.atEnd(func() { remove(); t.letter.file = "" })
	}
	if t.to == nil {
		t.to = func(h *hall) (*sink, error) { return h.sink, nil }
	}
	to, err := t.to(h)
	if err != nil {
		return c, err
	}
	if h.small {
		t.messages, t.slow, t.sessions = 2, 1, min(t.sessions, 2)
	}
	for _, from := range t.senders {
		if err := t.enter(c, from, to); err != nil {
			return c, fmt.Errorf("%s: %w", from.name, err)
		}
	}
	return c, nil
}

// enter adds a sender.
func (t trial) enter(c *contest, from sender, to *sink) error {
	w := work{messages: t.messages, children: from.children, rtt: t.rtt}
	if from.slow && t.slow > 0 {
		w.messages = t.slow
	}
	if t.cold {
		w.do = func() error { return afresh(from, to, t, w.messages) }
		c.add(from.name, w.measure)
		return nil
	}
	open, err := t.open(from, to)
	c.atEnd(func() { closeAll(open) })
	if err != nil {
		return err
	}
	w.do = func() error { return spread(open, w.messages, t.letter) }
	c.add(from.name, w.measure)
	return nil
}

// afresh sends messages with a session for each.
func afresh(from sender, to *sink, t trial, n int) error {
	for range n {
		c, err := from.open(to, t.encrypted)
		if err != nil {
			return err
		}
		err = c.stream(1, t.letter)
		c.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// open opens a sender's sessions and sends a first letter through each.
func (t trial) open(from sender, to *sink) (list []session, err error) {
	n := max(1, t.sessions)
	if from.all {
		n = 1
	}
	return openMany(n, func(int) (session, error) {
		s, err := from.open(to, t.encrypted)
		if err != nil {
			return nil, err
		}
		return s, s.stream(1, t.letter)
	})
}

// spread sends the messages over some sessions at once.
func spread(sessions []session, n int, l *letter) error {
	if len(sessions) == 1 {
		return sessions[0].stream(n, l)
	}
	return together(len(sessions), func(i int) error { return sessions[i].stream(shareOf(n, len(sessions), i), l) })
}

// shareOf is what the i-th of several has to do of n.
func shareOf(n, of, i int) int {
	if i < n%of {
		return n/of + 1
	}
	return n / of
}
