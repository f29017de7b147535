package smtpclient

import "context"

// traces are told in their order, and at End in the opposite one: what began last
// ends first.
type traces []*Trace

// joined is the Trace that tells all of them. What only one of them wants is told to
// it straight, and what nobody wants to nobody.
func (all traces) joined() (t Trace) {
	var begins, ends, starts, dones, lines traces
	for _, one := range all {
		begins = begins.and(one, one.Begin != nil)
		ends = ends.and(one, one.End != nil)
		starts = starts.and(one, one.Start != nil)
		dones = dones.and(one, one.Done != nil)
		lines = lines.and(one, one.Line != nil)
	}
	if len(begins) > 0 {
		t.Begin = begins.begin
	}
	if len(ends) > 0 {
		t.End = ends.end
	}
	if t.Start = starts.only().Start; len(starts) > 1 {
		t.Start = starts.start
	}
	if t.Done = dones.only().Done; len(dones) > 1 {
		t.Done = dones.done
	}
	if t.Line = lines.only().Line; len(lines) > 1 {
		t.Line = lines.line
	}
	return t
}

func (all traces) and(t *Trace, wants bool) traces {
	if !wants {
		return all
	}
	return append(all, t)
}

// only is the first one, and an empty one where there is none.
func (all traces) only() *Trace {
	if len(all) == 0 {
		return &Trace{}
	}
	return all[0]
}

// begin gives each one the ctx of the one before.
func (all traces) begin(ctx context.Context, env *Envelope, content Content) context.Context {
	for _, t := range all {
		if inner := t.Begin(ctx, env, content); inner != nil {
			ctx = inner
		}
	}
	return ctx
}

// end tells the others even if one panics.
func (all traces) end(ctx context.Context, env *Envelope, report *Report) {
	left := len(all)
	defer func() {
		if left > 0 {
			all[:left].end(ctx, env, report)
		}
	}()
	for left > 0 {
		left--
		all[left].End(ctx, env, report)
	}
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
