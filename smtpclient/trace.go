package smtpclient

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Trace is told what happens in the calls whose ctx carries it; see WithTrace.
// Any of its functions may be nil. They are called in order, from the goroutine
// that does the work, and hold it while they run. Deliveries that share a Trace
// may call it at the same time, and so does one to several domains, or with
// Limits.Stagger; with Limits.Destinations at 1 the domains come one after another.
type Trace struct {
	// Begin is told of each Client.Deliver and Session.Send before anything else
	// happens, and gives the ctx of the rest of the call: ctx, or one made of it, as
	// with a span, or with another Trace for the stages and lines of this delivery
	// alone. nil is ctx. End is told its report, under that ctx, and may read it until
	// it returns. Both must leave env as it is. After a panic in Begin all recipients
	// are Deferred; after one in End the verdicts stand, with a note. Other Traces are
	// told in both cases.
	Begin func(ctx context.Context, env *Envelope, content Content) context.Context
	End   func(ctx context.Context, env *Envelope, report *Report)
	// Start and Done are told each stage. What an attempt has found so far is
	// in Event.Attempt. Start of StageDataBlock comes before the first byte of the
	// content: if ctx is cancelled there, none of it is sent, so that a queue can write
	// down in time that its recipients may get the message.
	Start func(ctx context.Context, e Event)
	Done  func(ctx context.Context, e Event)
	// Took is told what each stage took, as Done is, and no more: it is for those who
	// measure, and costs a delivery far less.
	Took func(ctx context.Context, t Took)
	// Line is told each line of the dialogue, as "C: NOOP" and "S: 250 ok",
	// and of the content only its size, as "C: <1234 bytes>". Secrets are
	// "***".
	Line func(ctx context.Context, line string)
}

// Event is one stage of an attempt.
type Event struct {
	Attempt
	Start    time.Time
	Duration time.Duration // zero at Start
	// NoDANE, at Done of StagePolicy, is why DANE was asked for and is off: no DNS
	// answer is validated (resolve.ErrNotValidated). Unless the policy is dane-only the
	// mail goes all the same, less secure than its recipients have published: count it,
	// and see to it. Otherwise nil.
	NoDANE error
}

// Took is what one stage took.
type Took struct {
	Stage    Stage
	Duration time.Duration // zero for a reply that had come with the one before
	Failed   bool          // by a reply of 400 or more, or by what happened here
}

type traceKey struct{}

// WithTrace gives a ctx that carries t, besides any Trace that ctx carries
// already; that one is told first, and at End last. A nil t is no Trace.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	if t == nil {
		return ctx
	}
	c := &carried{all: traces{t}}
	if outer := carriedBy(ctx); outer != nil {
		c.all = append(slices.Clip(outer.all), t)
	}
	c.stages = c.all.joined()
	return context.WithValue(ctx, traceKey{}, c)
}

// carried is what a ctx carries.
type carried struct {
	all    traces
	stages *Trace // tells them of stages and lines; nil: nobody listens there
}

// carriedBy is what ctx carries, or nil.
func carriedBy(ctx context.Context) *carried {
	c, _ := ctx.Value(traceKey{}).(*carried)
	return c
}

// traceOf is the Trace for stages and lines that ctx carries, or nil if nobody
// listens there.
func traceOf(ctx context.Context) *Trace {
	if c := carriedBy(ctx); c != nil {
		return c.stages
	}
	return nil
}

// staged does the work of a stage that a host has outside of a session, and tells the
// Trace of ctx when it starts and when it is done. Where somebody listens e is not nil,
// for what there is more to tell.
func staged(ctx context.Context, stage Stage, host string, work func(e *Event) error) (time.Duration, error) {
	t := traceOf(ctx)
	if t.wantsEvents() {
		return t.stagedFor(ctx, stage, host, work)
	}
	return t.timed(ctx, stage, work)
}

// stagedAt is staged where more than the host is known.
func stagedAt(ctx context.Context, stage Stage, at *Attempt, work func(e *Event) error) (time.Duration, error) {
	t := traceOf(ctx)
	if t.wantsEvents() {
		return t.stagedOf(ctx, stage, at, work)
	}
	return t.timed(ctx, stage, work)
}

// timed is staged where nobody asks for more than the time.
func (t *Trace) timed(ctx context.Context, stage Stage, work func(e *Event) error) (time.Duration, error) {
	start := time.Now()
	err := work(nil)
	took := time.Since(start)
	t.took(ctx, Took{stage, took, err != nil})
	return took, err
}

// stagedFor and stagedOf have large frames, which are not for those whom nobody listens to.
//
//go:noinline
func (t *Trace) stagedFor(ctx context.Context, stage Stage, host string, work func(e *Event) error) (time.Duration, error) {
	return t.stagedOf(ctx, stage, &Attempt{Host: host}, work)
}

//go:noinline
func (t *Trace) stagedOf(ctx context.Context, stage Stage, at *Attempt, work func(e *Event) error) (time.Duration, error) {
	e := Event{Attempt: *at, Start: time.Now()}
	e.Stage = stage
	if t.Start != nil {
		t.Start(ctx, e)
	}
	e.Cause = work(&e)
	e.Duration = time.Since(e.Start)
	t.tellDone(ctx, e)
	return e.Duration, e.Cause
}

// LogTrace gives a Trace that writes a record to l for each stage that is done,
// at level Debug, or Info where the stage failed, and for each line of the
// dialogue at level Debug. A nil l is slog.Default().
func LogTrace(l *slog.Logger) *Trace {
	if l == nil {
		l = slog.Default()
	}
	return &Trace{
		Done: func(ctx context.Context, e Event) { logEvent(ctx, l, e) },
		Line: func(ctx context.Context, line string) { l.DebugContext(ctx, "smtp dialogue", "line", line) },
	}
}

func logEvent(ctx context.Context, l *slog.Logger, e Event) {
	level := slog.LevelDebug
	if e.Cause != nil || e.Reply.Code >= 400 {
		level = slog.LevelInfo
	}
	if !l.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("stage", e.Stage.String()), slog.Duration("duration", e.Duration)}
	if e.Host != "" {
		attrs = append(attrs, slog.String("host", e.Host))
	}
	if e.Addr != "" {
		attrs = append(attrs, slog.String("addr", e.Addr))
	}
	if e.Reply.Code != 0 {
		attrs = append(attrs, slog.String("reply", e.Reply.String()))
	}
	if e.Cause != nil {
		attrs = append(attrs, slog.Any("cause", e.Cause))
	}
	if e.NoDANE != nil {
		attrs = append(attrs, slog.Any("no_dane", e.NoDANE))
	}
	l.LogAttrs(ctx, level, "smtp stage", attrs...)
}
