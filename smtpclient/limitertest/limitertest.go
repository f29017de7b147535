// Package limitertest holds a smtpclient.Limiter to its contract.
//
//	func TestContract(t *testing.T) {
//		limitertest.Test(t, func(t *testing.T, rules func(smtpclient.Use) []smtpclient.Limit) smtpclient.Limiter {
//			return openMine(t, rules)
//		})
//	}
package limitertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// Test runs the contract against a Limiter that works by rules, as LocalLimiter
// does. open gives a new one with nothing in it and without feedback; it is closed
// by t.Cleanup where it needs that. That leases come back whose holder has died,
// which is rule 7, needs a process to die and is not tested here.
func Test(t *testing.T, open func(t *testing.T, rules func(smtpclient.Use) []smtpclient.Limit) smtpclient.Limiter) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, opener){
		"1 many goroutines":            many,
		"2 a limit at the same time":   together,
		"2 a rate":                     rate,
		"2 a rate passes":              passing,
		"2 a use of a great cost":      costly,
		"2 none at all":                none,
		"2 no limit":                   unlimited,
		"2 keys count apart":           apart,
		"2 one key named twice":        twice,
		"3 all or nothing":             whole,
		"4 ctx has ended":              ended,
		"5 released twice":             again,
		"6 not used":                   unused,
		"6 reported after its release": late,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, func(rules func(smtpclient.Use) []smtpclient.Limit) *tester { return &tester{t, open(t, rules)} })
		})
	}
}

type opener = func(rules func(smtpclient.Use) []smtpclient.Limit) *tester

// tester is a Limiter under test.
type tester struct {
	t       *testing.T
	limiter smtpclient.Limiter
}

// always are rules that are the same for any use.
func always(limits ...smtpclient.Limit) func(smtpclient.Use) []smtpclient.Limit {
	return func(smtpclient.Use) []smtpclient.Limit { return limits }
}

// bySite has limits for each site by its name.
func bySite(sites map[string][]smtpclient.Limit) func(smtpclient.Use) []smtpclient.Limit {
	return func(u smtpclient.Use) []smtpclient.Limit { return sites[u.Site] }
}

// gets acquires, and wants to get it.
func (l *tester) gets(site string) smtpclient.Lease {
	l.t.Helper()
	lease, err := l.limiter.Acquire(l.t.Context(), smtpclient.Use{Site: site})
	if err != nil {
		l.t.Fatalf("refused: %v", err)
	}
	if lease == nil {
		l.t.Fatal("neither a Lease nor an error")
	}
	l.t.Cleanup(lease.Release)
	return lease
}

// uses acquires something and makes use of it.
func (l *tester) uses(site string) smtpclient.Lease {
	l.t.Helper()
	lease := l.gets(site)
	lease.Report(smtpclient.Worked)
	return lease
}

// refused wants to be told to come back, because of key.
func (l *tester) refused(site, key string) time.Time {
	l.t.Helper()
	asked := time.Now()
	lease, err := l.limiter.Acquire(l.t.Context(), smtpclient.Use{Site: site})
	var no *smtpclient.RefusedError
	switch {
	case err == nil:
		l.t.Cleanup(lease.Release)
		l.t.Fatal("granted beyond the limit")
	case lease != nil:
		l.t.Fatal("a Lease and an error")
	case !errors.As(err, &no):
		l.t.Fatalf("the error is no *RefusedError: %v", err)
	case no.Key != key:
		l.t.Fatalf("refused because of %q, want %q", no.Key, key)
	case !no.NotBefore.After(asked):
		l.t.Fatalf("to come back at %v, which is over", no.NotBefore)
	}
	return no.NotBefore
}

// soon acquires as soon as it can be had: what was given back may take its time.
func (l *tester) soon(site string) smtpclient.Lease {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		lease, err := l.limiter.Acquire(ctx, smtpclient.Use{Site: site})
		if err == nil {
			l.t.Cleanup(lease.Release)
			return lease
		}
		if ctx.Err() != nil {
			l.t.Fatalf("still refused: %v", err)
		}
		<-tick.C
	}
}

func together(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 3}))
	first := l.uses("")
	l.uses("")
	l.uses("")
	l.refused("", "k")
	first.Release()
	l.soon("")
	l.refused("", "k")
}

func rate(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 4, Per: 4 * time.Hour, Burst: 2}))
	start := time.Now()
	l.uses("").Release()
	l.uses("")
	at := l.refused("", "k")
	// There were two at once; there is room for one more after an hour.
	if early, late := start.Add(time.Hour), time.Now().Add(time.Hour); at.Before(early.Add(-time.Second)) || at.After(late.Add(time.Second)) {
		t.Errorf("to come back at %v, want it between %v and %v", at, early, late)
	}
}

func passing(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 20, Per: time.Second}))
	start := time.Now()
	const uses = 6
	for range uses {
		l.soon("").Report(smtpclient.Worked)
	}
	// The clock of a store may be in milliseconds.
	if took, least := time.Since(start), (uses-1)*(50-1)*time.Millisecond; took < least {
		t.Errorf("%d uses took %v, want %v at least", uses, took, least)
	}
}

func costly(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 60, Per: time.Hour, Burst: 2, Cost: 31}))
	start := time.Now()
	l.uses("")
	if at := l.refused("", "k"); at.Before(start.Add(30*time.Minute - time.Second)) {
		t.Errorf("31 of 60 in an hour are paid for by %v, want half an hour", at.Sub(start))
	}
}

func none(t *testing.T, open opener) {
	l := open(bySite(map[string][]smtpclient.Limit{"a": {{Key: "halted"}}, "b": {{Key: "halted", Per: time.Hour}}}))
	l.refused("a", "halted")
	l.refused("b", "halted")
}

func unlimited(t *testing.T, open opener) {
	l := open(always())
	for range 100 {
		l.uses("")
	}
}

func apart(t *testing.T, open opener) {
	l := open(bySite(map[string][]smtpclient.Limit{
		"a": {{Key: "a", Max: 1}},
		"b": {{Key: "b", Max: 1}},
		// The same key may have a limit and rates.
		"both": {{Key: "a", Max: 2}, {Key: "a", Max: 1, Per: time.Hour}, {Key: "a", Max: 3, Per: 2 * time.Hour}},
	}))
	l.uses("a")
	l.uses("b")
	l.refused("a", "a")
	l.uses("both").Release()
	l.refused("both", "a")
}

func twice(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 2}, smtpclient.Limit{Key: "k", Max: 1}))
	l.uses("").Release()
	l.soon("")
	l.refused("", "k")
}

func whole(t *testing.T, open opener) {
	l := open(bySite(map[string][]smtpclient.Limit{
		"held":   {{Key: "together", Max: 1}},
		"paced":  {{Key: "rate", Max: 2, Per: time.Hour}},
		"both":   {{Key: "rate", Max: 2, Per: time.Hour}, {Key: "together", Max: 1}},
		"both 2": {{Key: "together", Max: 1}, {Key: "rate", Max: 2, Per: time.Hour}},
	}))
	// Refused by one limit, nothing of the other is used up.
	held := l.uses("held")
	l.refused("both", "together")
	l.refused("both 2", "together")
	held.Release()
	l.soon("both").Report(smtpclient.Worked)
	l.refused("paced", "rate")

	l = open(bySite(map[string][]smtpclient.Limit{
		"paced": {{Key: "rate", Max: 1, Per: time.Hour}},
		"both":  {{Key: "together", Max: 1}, {Key: "rate", Max: 1, Per: time.Hour}},
		"held":  {{Key: "together", Max: 1}},
	}))
	l.uses("paced")
	l.refused("both", "rate")
	l.uses("held")
}

func ended(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 1}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if lease, err := l.limiter.Acquire(ctx, smtpclient.Use{}); err == nil || lease != nil {
			t.Fatal("granted, although ctx has ended")
		}
	}
	l.soon("")
}

func again(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 2}))
	first := l.uses("")
	l.uses("")
	first.Release()
	first.Release()
	l.soon("")
	first.Release()
	l.refused("", "k")
}

func unused(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 1, Per: time.Hour}))
	lease := l.gets("")
	l.refused("", "k")
	lease.Release()
	lease.Release()
	l.soon("").Report(smtpclient.Used)
	l.refused("", "k")
}

func late(t *testing.T, open opener) {
	l := open(always(smtpclient.Limit{Key: "k", Max: 1}))
	lease := l.gets("")
	lease.Release()
	lease.Report(smtpclient.Broken)
	l.soon("")
	lease.Report(smtpclient.Worked)
	l.refused("", "k")
}

func many(t *testing.T, open opener) {
	const most = 5
	l := open(always(smtpclient.Limit{Key: "k", Max: most}, smtpclient.Limit{Key: "all", Max: most + 2}))
	var inUse, highest, granted atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				lease, err := l.limiter.Acquire(t.Context(), smtpclient.Use{})
				if err != nil {
					continue
				}
				granted.Add(1)
				n := inUse.Add(1)
				for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
				}
				lease.Report(smtpclient.Worked)
				inUse.Add(-1)
				lease.Release()
			}
		})
	}
	wg.Wait()
	if h := highest.Load(); h > most || granted.Load() == 0 {
		t.Errorf("%d at the same time of %d, and %d granted", h, most, granted.Load())
	}
	for range most {
		l.soon("")
	}
	l.refused("", "k")
}
