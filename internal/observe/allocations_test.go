//go:build unix

package observe

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// What an adapter allocates for a delivery that is not sampled is bounded: most of it
// belongs to the SDK and to log/slog.
func TestAllocations(t *testing.T) {
	all := listen(t)
	most := map[string]float64{"counters": 0, "prometheus": 0, "opentelemetry": 2, "debug-page": 0, "slog": 2, "postfix-log": 1, "opentelemetry-chosen": 0}
	for _, a := range adapters(t, &smtpclient.Pool{}, 0) {
		bound, ok := most[a.name]
		if !ok {
			t.Errorf("%s has no bound", a.name)
		}
		all.tell(a.trace) // what is made once
		for range 200 {   // until the page uses its memory again
			all.tell(a.trace)
		}
		if got := fewest(func() { all.tell(a.trace) }); got > bound {
			t.Errorf("%s allocates %v times for a delivery; the bound is %v", a.name, got, bound)
		}
	}
}

// Switched off, nothing is to be seen: a delivery allocates as often with a Trace that
// listens to nothing as without one. One that only counts is shown envelope and report in
// a piece of their own, since nobody knows what a Trace keeps.
func TestOffAllocatesNothing(t *testing.T) {
	s := newSender(t, true, tlspolicy.None)
	allocations := func(ctx context.Context) float64 {
		s.send(ctx)
		return fewest(func() { s.send(ctx) })
	}
	off := allocations(t.Context())
	if got := allocations(smtpclient.WithTrace(t.Context(), &smtpclient.Trace{})); got > off {
		t.Errorf("%v allocations with a Trace that listens to nothing, and %v without one", got, off)
	}
	if got := allocations(smtpclient.WithTrace(t.Context(), new(smtpclient.Stats).Trace())); got > off+1 {
		t.Errorf("%v allocations with one that counts, and %v without one", got, off)
	}
}

// Nor is there much to be done: a delivery over a session that is open asks its ctx for
// a Trace four times, a few nanoseconds each, and no time is taken for anybody.
func TestOffAsksSeldom(t *testing.T) {
	s := newSender(t, true, tlspolicy.None)
	asked := &asking{Context: t.Context()}
	s.send(asked)
	asked.n.Store(0)
	s.send(asked)
	if got := asked.n.Load(); got > 4 {
		t.Errorf("a delivery looks for a Trace %d times", got)
	}
}

// asking is a ctx that counts who asks for a Trace.
type asking struct {
	context.Context
	n atomic.Int64
}

func (a *asking) Value(key any) any {
	if fmt.Sprintf("%T", key) == "smtpclient.traceKey" {
		a.n.Add(1)
	}
	return a.Context.Value(key)
}

// fewest is how many allocations a run makes: the least of three counts, since what the
// runtime does besides can add to one and never takes away.
func fewest(run func()) float64 {
	least := testing.AllocsPerRun(300, run)
	for range 2 {
		least = min(least, testing.AllocsPerRun(300, run))
	}
	return least
}
