package smtpclient

import (
	"context"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// target decides what a session with host must be, before it is dialled. An
// error means that the host cannot be used now, and why. It is in w.room until the next
// one: on the stack it would be there while the message goes out.
func (w *way) target(ctx context.Context, route *resolve.Route, host *resolve.Host) (*Target, *Error) {
	t := &w.room[0]
	*t = Target{Host: host.Name, Protocol: w.client.Protocol, loops: !w.configured && host.Port == 25,
		memory: w.cache, results: w.client.TLSResults}
	if t.results != nil {
		t.domain = w.reportDomain()
	}
	w.current = host.Preference
	w.claiming(route, host, t)
	var failure *Error
	if t.Credential, failure = w.credential(ctx, host); failure != nil {
		return t, failure
	}
	var err error
	if t.Credential == nil || w.client.TLS != nil {
		t.Policy, err = w.policy(ctx, route, host)
	}
	if ctx.Err() != nil {
		err = cancelled(ctx)
	}
	if err != nil {
		w.recordUnknown(ctx, host, err)
		return t, &Error{Status: Deferred, Attempt: w.attempt(StagePolicy, host.Name, "4.7.5", err)}
	}
	if t.Policy.Level == 0 {
		t.Policy.Level = levelFor(t.Credential)
	}
	if t.Credential != nil {
		if failure := w.refusedBefore(ctx, *t); failure != nil {
			return t, failure
		}
	}
	t.unproven = !w.proven && !vouched(t.Policy) && !(w.configured && pinned(t.Policy))
	switch {
	case requiresTLS(w.letter.env, w.letter.from):
		t.Policy = raised(t.Policy)
	case w.letter.env.TLS == tlspolicy.NotRequired:
		// What happens to this message is no lesson for others, and no report.
		t.memory, t.results, t.lenient = nil, nil, true
	}
	t.Policy = t.Policy.For(w.hop.Name, host.Name)
	w.renewal = renewal{route: route, host: *host}
	return t, nil
}

// decideAnew is the policy for the host whose target was made last.
func (w *way) decideAnew(ctx context.Context) (tlspolicy.Policy, error) {
	host := &w.renewal.host
	p, err := w.policy(ctx, w.renewal.route, host)
	return p.For(w.hop.Name, host.Name), err
}

// policy decides how secure the channel to host must be.
func (w *way) policy(ctx context.Context, route *resolve.Route, host *resolve.Host) (p tlspolicy.Policy, err error) {
	took, err := stagedEvent(ctx, Attempt{Stage: StagePolicy, Host: host.Name}, func(e *Event) (err error) {
		q := tlspolicy.Query{Route: route, Host: *host, Message: w.letter.env.TLS, Resolver: w.resolver, Cache: w.cache}
		if e != nil {
			q.NoDANE = func(err error) { e.NoDANE = err }
		}
		p, err = w.source.Decide(ctx, q)
		return err
	})
	w.before[StagePolicy] += took
	return p, err
}
