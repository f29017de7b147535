package smtpclient

import (
	"context"
	"slices"
	"time"
)

// told is the Trace of one call that takes a letter somewhere.
type told struct {
	trace  *Trace
	ctx    context.Context // of the rest of the call
	failed bool            // Begin has panicked, and the letter is settled
}

// tell tells the Trace of ctx that a letter begins its way.
func tell(ctx context.Context, l *letter, content Content) (t told) {
	t = told{trace: traceOf(ctx), ctx: ctx}
	if t.trace == nil || t.trace.Begin == nil {
		return t
	}
	defer func() {
		if p := recover(); p != nil {
			l.settleOpen(Deferred, &Attempt{Stage: StageInput, Enhanced: "4.3.0", Cause: panicked(p)})
			t.failed = true
		}
	}()
	if inner := t.trace.Begin(ctx, l.env, content); inner != nil {
		t.ctx = inner
	}
	return t
}

// end tells it the report.
func (t *told) end(l *letter) {
	if t.trace == nil || t.trace.End == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.note("Trace.End: " + panicked(p).Error())
		}
	}()
	t.trace.End(t.ctx, l.env, &l.report)
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

// ofStages is t for a session, or nil if nobody listens there: a session looks at
// the clock more often for a Trace.
func (t *Trace) ofStages() *Trace {
	if t == nil || t.Start == nil && t.Done == nil && t.Line == nil {
		return nil
	}
	return t
}
