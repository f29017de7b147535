package smtpclient

import "context"

// traces are told in their order.
type traces []*Trace

// joined is a Trace that tells all of them of stages and lines. What only one of
// them wants is told to it straight. It is nil if nobody wants any.
func (all traces) joined() *Trace {
	var t Trace
	var starts, dones, tooks, lines traces
	for _, one := range all {
		if one.Start != nil {
			starts = append(starts, one)
			t.Start = one.Start
		}
		if one.Done != nil {
			dones = append(dones, one)
			t.Done = one.Done
		}
		if one.Took != nil {
			tooks = append(tooks, one)
			t.Took = one.Took
		}
		if one.Line != nil {
			lines = append(lines, one)
			t.Line = one.Line
		}
	}
	if len(starts)+len(dones)+len(tooks)+len(lines) == 0 {
		return nil
	}
	if len(starts) > 1 {
		t.Start = starts.start
	}
	if len(dones) > 1 {
		t.Done = dones.done
	}
	if len(tooks) > 1 {
		t.Took = tooks.took
	}
	if len(lines) > 1 {
		t.Line = lines.line
	}
	return &t
}

func (all traces) start(ctx context.Context, e Event) {
	for _, t := range all {
		t.Start(ctx, e)
	}
}

func (all traces) done(ctx context.Context, e Event) {
	for _, t := range all {
		t.Done(ctx, e)
	}
}

func (all traces) took(ctx context.Context, took Took) {
	for _, t := range all {
		t.Took(ctx, took)
	}
}

func (all traces) line(ctx context.Context, line string) {
	for _, t := range all {
		t.Line(ctx, line)
	}
}

// wantsEvents tells whether somebody listens to Start or Done, for whom a session
// looks at the clock more often.
func (t *Trace) wantsEvents() bool { return t != nil && (t.Start != nil || t.Done != nil) }

// tellDone tells what a stage has come to.
func (t *Trace) tellDone(ctx context.Context, e Event) {
	t.took(ctx, Took{e.Stage, e.Duration, e.Cause != nil || e.Reply.Code >= 400})
	if t.Done != nil {
		t.Done(ctx, e)
	}
}

func (t *Trace) took(ctx context.Context, took Took) {
	if t != nil && t.Took != nil {
		t.Took(ctx, took)
	}
}
