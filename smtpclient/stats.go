package smtpclient

import (
	"context"
	"sync/atomic"
)

// Stats counts what becomes of recipients, in the calls whose ctx carries its
// Trace. The zero value is ready; it serves many goroutines and must not be copied.
//
//	ctx = smtpclient.WithTrace(ctx, stats.Trace())
type Stats struct {
	deliveries, active, bytes atomic.Int64
	outcomes                  [Failed + 1][StageQuit + 1]atomic.Int64
}

// Counts is what a Stats has counted. Calls that end while it is read may be in it
// in part.
type Counts struct {
	Deliveries int64 // calls of Client.Deliver and Session.Send that have ended
	Active     int64 // that have not
	Bytes      int64 // Report.Size, for each recipient that is Delivered
	// Outcomes are recipients by verdict and deciding stage:
	// Outcomes[Failed][StageRcpt].
	Outcomes [Failed + 1][StageQuit + 1]int64
}

// Trace gives the Trace that counts. It costs a few nanoseconds for each recipient.
func (s *Stats) Trace() *Trace {
	return &Trace{
		Begin: func(ctx context.Context, _ *Envelope, _ Content) context.Context {
			s.active.Add(1)
			return ctx
		},
		End: func(_ context.Context, _ *Envelope, r *Report) { s.count(r) },
	}
}

func (s *Stats) count(r *Report) {
	s.active.Add(-1)
	s.deliveries.Add(1)
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		s.outcomes[o.Status][o.Stage].Add(1)
		if o.Status == Delivered {
			s.bytes.Add(r.Size)
		}
	}
}

// Counts gives what was counted so far.
func (s *Stats) Counts() Counts {
	c := Counts{Deliveries: s.deliveries.Load(), Active: s.active.Load(), Bytes: s.bytes.Load()}
	for status := range s.outcomes {
		for stage := range s.outcomes[status] {
			c.Outcomes[status][stage] = s.outcomes[status][stage].Load()
		}
	}
	return c
}

// Of is the number of recipients with a verdict, at whatever stage.
func (c *Counts) Of(status Status) (n int64) {
	for _, at := range c.Outcomes[status] {
		n += at
	}
	return n
}
