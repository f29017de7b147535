package smtpclient

import (
	"context"
	"log/slog"
	"time"
)

// Trace is told what happens in the calls whose ctx carries it; see WithTrace.
// Any of its functions may be nil. They are called in order, from the goroutine
// that does the work, and hold it while they run.
type Trace struct {
	Start func(ctx context.Context, e Event)
	Done  func(ctx context.Context, e Event)
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
}

// WithTrace gives a ctx that carries t, besides any Trace that ctx carries
// already.
func WithTrace(ctx context.Context, t *Trace) context.Context { panic("stub") }

// LogTrace gives a Trace that writes to l.
func LogTrace(l *slog.Logger) *Trace { panic("stub") }
