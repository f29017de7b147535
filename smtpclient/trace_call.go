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
	kept   *keepsake       // nil: nobody is told of begin and end
}

// keepsake is what Begin and End are shown. Nobody knows what a program keeps of it, and
// the memory of a letter is used again.
type keepsake struct {
	env    Envelope
	report Report
}

// tell tells the Traces of ctx that a letter begins its way. Each gets the ctx of the
// one before.
func tell(ctx context.Context, l *letter, content Content) (t told) {
	t.ctx = ctx
	if c := carriedBy(ctx); c != nil {
		t.traces = c.all
	}
	if slices.ContainsFunc(t.traces, (*Trace).wantsCalls) {
		t.kept = &keepsake{env: l.envelope}
		l.env = &t.kept.env
	}
	for _, trace := range t.traces {
		if trace.Begin != nil {
			t.begin(trace, l, content)
		}
	}
	return t
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

func (t *Trace) wantsCalls() bool { return t.Begin != nil || t.End != nil }

// end tells them the report: what began last ends first.
func (t *told) end(l *letter) {
	if t.kept == nil {
		return
	}
	t.kept.report = l.report
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
	trace.End(t.ctx, l.env, &t.kept.report)
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
