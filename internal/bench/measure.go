package main

import (
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"
)

// figures are what a turn gave, by what they are.
type figures map[string]float64

// Figures of a turn: for each message, if it is not said otherwise.
const (
	rate       = "rate" // messages/s
	cpu        = "cpu"  // microseconds, of the sender alone
	allocs     = "allocs"
	lockWait   = "lock"       // microseconds that goroutines waited for locks
	trips      = "trips"      // round trips
	heap       = "heap"       // KiB for each session
	heapStack  = "heap+stack" // likewise, with the stacks of goroutines
	goroutines = "goroutines" // for each session
)

// work is something to do for a number of messages.
type work struct {
	messages int
	children bool          // programs do it, which it starts and waits for
	rtt      time.Duration // of the line; zero: round trips are not counted
	do       func() error
}

// measure does the work and says what it cost.
func (w work) measure() (figures, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	who := syscall.RUSAGE_SELF
	if w.children {
		who = syscall.RUSAGE_CHILDREN
	}
	waited, start, used := waitedForLocks(), time.Now(), cpuTime(who)
	if err := w.do(); err != nil {
		return nil, err
	}
	wall, n := time.Since(start), float64(w.messages)
	f := figures{rate: n / wall.Seconds(), cpu: micros(cpuTime(who)-used) / n}
	if w.rtt > 0 {
		f[trips] = float64(wall) / float64(w.rtt) / n
	}
	if !w.children {
		runtime.ReadMemStats(&after)
		f[allocs] = float64(after.Mallocs-before.Mallocs) / n
		f[lockWait] = micros(waitedForLocks()-waited) / n
	}
	return f, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func cpuTime(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		panic(err) // not on Linux
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func waitedForLocks() time.Duration {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * 1e9)
}

// memory is what lives after the garbage was collected.
type memory struct{ heap, stacks, goroutines int64 }

func living() memory {
	runtime.GC()
	runtime.GC() // what a sync.Pool holds goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{int64(m.HeapAlloc), int64(m.StackInuse), int64(runtime.NumGoroutine())}
}

// since gives the growth for each of n sessions.
func (m memory) since(before memory, n int) figures {
	kib := func(now, then int64) float64 { return max(0, float64(now-then)/1024/float64(n)) }
	return figures{
		heap:       kib(m.heap, before.heap),
		heapStack:  kib(m.heap+m.stacks, before.heap+before.stacks),
		goroutines: float64(m.goroutines-before.goroutines) / float64(n),
	}
}
