package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/limitertest"
)

func TestLocalLimiterRules(t *testing.T) {
	limitertest.Test(t, func(t *testing.T, rules func(smtpclient.Use) []smtpclient.Limit) smtpclient.Limiter {
		return &smtpclient.LocalLimiter{Rules: rules}
	})
}

// one is a rule for all uses.
func one(limit smtpclient.Limit) func(smtpclient.Use) []smtpclient.Limit {
	return func(smtpclient.Use) []smtpclient.Limit { return []smtpclient.Limit{limit} }
}

// holding are leases that are held, for tests of how many there can be.
type holding struct {
	t       *testing.T
	limiter smtpclient.Limiter
	leases  []smtpclient.Lease
}

// fill takes what there is, and tells how many are held then.
func (h *holding) fill() int {
	h.t.Helper()
	for {
		lease, err := h.limiter.Acquire(h.t.Context(), smtpclient.Use{Connection: true, Site: "example.net"})
		if err != nil {
			return len(h.leases)
		}
		h.leases = append(h.leases, lease)
	}
}

// report tells the same of each that is held, and gives it back.
func (h *holding) report(f smtpclient.Feedback) {
	for _, lease := range h.leases {
		lease.Report(f)
		lease.Release()
	}
	h.leases = nil
}

// A destination nobody knows gets one session, then Start, and then as many more
// as it has shown that it stands.
func TestConcurrencyGrows(t *testing.T) {
	h := &holding{t: t, limiter: &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 8, Start: 5})}}
	for i, want := range []int{1, 5, 6, 7, 8, 8, 8} {
		if got := h.fill(); got != want {
			t.Fatalf("round %d: %d at the same time, want %d", i, got, want)
		}
		for _, lease := range h.leases { // a use of which nothing was learned
			lease.Report(smtpclient.Used)
		}
		if got := h.fill(); got != want {
			t.Fatalf("round %d: %d at the same time once they are used, want %d", i, got, want)
		}
		h.report(smtpclient.Worked)
	}
}

// Failures make it fewer; a success between them keeps the destination alive.
func TestConcurrencyShrinks(t *testing.T) {
	h := &holding{t: t, limiter: &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 8, Start: 4})}}
	h.fill()
	h.report(smtpclient.Worked)
	h.fill()
	told := map[rune]smtpclient.Feedback{'F': smtpclient.Broken, 'W': smtpclient.Worked, 'U': smtpclient.Used}
	lease := h.leases[0]
	for _, step := range []struct {
		story string
		want  int
	}{{"FFFW", 4}, {"FF", 3}, {"UUUU", 3}, {"WFFWFFWFFW", 2}, {"FWFWFW", 2}, {"FF", 0}} {
		for _, r := range step.story {
			lease.Report(told[r])
		}
		for _, held := range h.leases {
			held.Release()
		}
		h.leases = nil
		if got := h.fill(); got != step.want {
			t.Fatalf("%d at the same time after %s, want %d", got, step.story, step.want)
		}
	}
}

// As many failures in a row as there may be sessions make the destination dead:
// for a minute, then for longer. After each time one may try.
func TestDeadDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 8, Start: 4})}
		h := &holding{t: t, limiter: l}
		h.fill()
		h.report(smtpclient.Worked)
		h.fill()
		h.report(smtpclient.Broken)
		for _, rest := range []time.Duration{1, 2, 4, 8, 15, 15} {
			rest *= time.Minute
			_, err := l.Acquire(t.Context(), smtpclient.Use{})
			var no *smtpclient.RefusedError
			if !errors.As(err, &no) || time.Until(no.NotBefore) != rest {
				t.Fatalf("a dead destination: %v, want a refusal for %v", err, rest)
			}
			time.Sleep(rest - time.Nanosecond)
			if got := h.fill(); got != 0 {
				t.Fatalf("%d sessions to a dead destination", got)
			}
			time.Sleep(time.Nanosecond)
			if got := h.fill(); got != 1 {
				t.Fatalf("%d sessions to a destination that was dead, want 1", got)
			}
			h.report(smtpclient.Broken)
			h.leases = nil
		}
		time.Sleep(15 * time.Minute)
		h.fill()
		h.report(smtpclient.Worked)
		if got := h.fill(); got != 4 {
			t.Errorf("%d sessions to a destination that is back, want 4", got)
		}
		// Its death begins anew at a minute.
		h.report(smtpclient.Broken)
		if _, err := l.Acquire(t.Context(), smtpclient.Use{}); time.Until(err.(*smtpclient.RefusedError).NotBefore) != time.Minute {
			t.Errorf("it is dead again: %v", err)
		}
	})
}

// Who failed late, because he had begun before, does not make a death longer.
func TestLateFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 8, Start: 4})}
		h := &holding{t: t, limiter: l}
		h.fill()
		h.report(smtpclient.Worked)
		h.fill()
		for range 5 {
			for _, lease := range h.leases {
				lease.Report(smtpclient.Broken)
			}
		}
		if _, err := l.Acquire(t.Context(), smtpclient.Use{}); time.Until(err.(*smtpclient.RefusedError).NotBefore) != time.Minute {
			t.Errorf("%v, want a minute", err)
		}
	})
}

// With Wait a use stands in line, and goes in its turn.
func TestWaitsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 1}), Wait: time.Minute}
		held, err := l.Acquire(t.Context(), smtpclient.Use{})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var turns []int
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				lease, err := l.Acquire(t.Context(), smtpclient.Use{})
				if err != nil {
					t.Errorf("%d was refused: %v", i, err)
					return
				}
				mu.Lock()
				turns = append(turns, i)
				mu.Unlock()
				time.Sleep(time.Second)
				lease.Release()
			})
			synctest.Wait()
		}
		start := time.Now()
		held.Release()
		wg.Wait()
		if got, want := fmt.Sprint(turns), "[0 1 2 3 4 5 6 7 8 9]"; got != want {
			t.Errorf("turns %s, want %s", got, want)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("ten turns of a second took %v", took)
		}
	})
}

// Nobody who comes later overtakes who waits, and nobody waits longer than Wait.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 1}), Wait: time.Minute, Retry: 3 * time.Second}
		held, _ := l.Acquire(t.Context(), smtpclient.Use{})
		start := time.Now()
		_, err := l.Acquire(t.Context(), smtpclient.Use{})
		var no *smtpclient.RefusedError
		if !errors.As(err, &no) || time.Since(start) != time.Minute || time.Until(no.NotBefore) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// A cancelled one leaves the line, and what it would have got is not lost.
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := l.Acquire(ctx, smtpclient.Use{})
			gone <- err
		}()
		synctest.Wait()
		cancel()
		held.Release()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			// It may have got it just before, which is as well.
			t.Logf("the one who gave up: %v", err)
		} else if _, err := l.Acquire(t.Context(), smtpclient.Use{}); err != nil {
			t.Errorf("its turn was lost: %v", err)
		}
	})
}

// A rate is waited for only where that helps.
func TestWaitForRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 1, Per: 20 * time.Second}), Wait: 30 * time.Second}
		start := time.Now()
		for range 3 {
			lease, err := l.Acquire(t.Context(), smtpclient.Use{})
			if err != nil {
				t.Fatal(err)
			}
			lease.Report(smtpclient.Worked)
		}
		if took := time.Since(start); took != 40*time.Second {
			t.Errorf("three uses took %v", took)
		}
		slow := &smtpclient.LocalLimiter{Rules: one(smtpclient.Limit{Key: "k", Max: 1, Per: time.Hour}), Wait: 30 * time.Second}
		lease, _ := slow.Acquire(t.Context(), smtpclient.Use{})
		lease.Report(smtpclient.Worked)
		start = time.Now()
		if _, err := slow.Acquire(t.Context(), smtpclient.Use{}); err == nil || time.Since(start) != 0 {
			t.Errorf("%v after %v; waiting for what cannot come is no use", err, time.Since(start))
		}
	})
}

// Who waits for two keys gets both or stays in line, and everybody is served.
func TestWaitForTwoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{Wait: time.Hour, Rules: func(u smtpclient.Use) []smtpclient.Limit {
			return []smtpclient.Limit{{Key: "all", Max: 3}, {Key: u.Site, Max: 2}, {Key: "paced", Max: 10, Per: time.Second}}
		}}
		var mu sync.Mutex
		inUse := map[string]int{}
		var wg sync.WaitGroup
		for i := range 60 {
			site := fmt.Sprint("site ", i%2)
			wg.Go(func() {
				lease, err := l.Acquire(t.Context(), smtpclient.Use{Site: site})
				if err != nil {
					t.Error(err)
					return
				}
				lease.Report(smtpclient.Worked)
				mu.Lock()
				inUse[site]++
				inUse["all"]++
				if inUse[site] > 2 || inUse["all"] > 3 {
					t.Errorf("in use: %v", inUse)
				}
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				inUse[site]--
				inUse["all"]--
				mu.Unlock()
				lease.Release()
			})
		}
		start := time.Now()
		wg.Wait()
		if took := time.Since(start); took > 45*time.Second {
			t.Errorf("60 uses of a second, three or at least two at the same time, took %v", took)
		}
	})
}

// What has not been used for an hour is forgotten: memory does not grow with the
// destinations of a life.
func TestLimiterForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{}
		ofMany := func(round int) {
			for i := range 20_000 {
				lease, err := l.Acquire(t.Context(), smtpclient.Use{Connection: true, Site: fmt.Sprintf("site %d of round %d", i, round)})
				if err != nil {
					t.Fatal(err)
				}
				lease.Report(smtpclient.Worked)
				lease.Release()
			}
			time.Sleep(2 * time.Hour)
		}
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		ofMany(0)
		before := heap()
		for round := range 5 {
			ofMany(round + 1)
		}
		if after := heap(); after > before+before/2 {
			t.Errorf("%d bytes after one round, %d after six", before, after)
		}
		runtime.KeepAlive(l)
	})
}
