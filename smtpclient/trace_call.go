package smtpclient

import (
	"context"
	"slices"
	"time"
)

// told are the Traces of one call that takes a letter somewhere.
type told struct {
	traces traces
	ctx    context.Context // of the rest of the call
	failed bool            // a Begin has panicked, and the letter is settled
}

// tell tells the Traces of ctx that a letter begins its way. Each gets the ctx of the
// one before.
func tell(ctx context.Context, l *letter, content Content) (t told) {
	t.ctx = ctx
	if c := carriedBy(ctx); c != nil {
		t.traces = c.all
	}
	for _, trace := range t.traces {
		if trace.Begin != nil {
			t.begin(trace, l, content)
		}
	}
	return t
}

// seen tells whether a Trace was given the envelope or the report. Its memory is not
// used again then: nobody knows what a program keeps.
func (t *told) seen() bool {
	return slices.ContainsFunc(t.traces, func(trace *Trace) bool { return trace.Begin != nil || trace.End != nil })
}

func (t *told) begin(trace *Trace, l *letter, content Content) {
	defer func() {
		if p := recover(); p != nil {
			l.settleOpen(Deferred, &Attempt{Stage: StageInput, Enhanced: "4.3.0", Cause: panicked(p)})
			t.failed = true
		}
	}()
	if inner := trace.Begin(t.ctx, l.env, content); inner != nil {
		t.ctx = inner
	}
}

// end tells them the report: what began last ends first.
func (t *told) end(l *letter) {
	for _, trace := range slices.Backward(t.traces) {
		if trace.End != nil {
			t.endOne(trace, l)
		}
	}
}

func (t *told) endOne(trace *Trace, l *letter) {
	defer func() {
		if p := recover(); p != nil {
			l.note("Trace.End: " + panicked(p).Error())
		}
	}()
	trace.End(t.ctx, l.env, &l.report)
}

// complete puts in what the report says of the call.
func (l *letter) complete(start time.Time) {
	l.report.Start, l.report.Duration = start, time.Since(start)
	if l.message != nil {
		l.report.Size = l.message.facts.WireSize
	}
}

// note adds a note to what decided about each recipient.
func (l *letter) note(text string) {
	for i := range l.report.Outcomes {
		a := l.report.Outcomes[i].edit()
		a.Notes = append(slices.Clone(a.Notes), text)
	}
}
