package smtpclient

import "context"

// traces are told in their order.
type traces []*Trace

// joined is a Trace that tells all of them of stages and lines. What only one of
// them wants is told to it straight. It is nil if nobody wants any.
func (all traces) joined() *Trace {
	var t Trace
	var starts, dones, lines traces
	for _, one := range all {
		if one.Start != nil {
			starts = append(starts, one)
			t.Start = one.Start
		}
		if one.Done != nil {
			dones = append(dones, one)
			t.Done = one.Done
		}
		if one.Line != nil {
			lines = append(lines, one)
			t.Line = one.Line
		}
	}
	if len(starts)+len(dones)+len(lines) == 0 {
		return nil
	}
	if len(starts) > 1 {
		t.Start = starts.start
	}
	if len(dones) > 1 {
		t.Done = dones.done
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

func (all traces) line(ctx context.Context, line string) {
	for _, t := range all {
		t.Line(ctx, line)
	}
}
