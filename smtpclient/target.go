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
	*t = Target{}
	t.Host, t.Protocol, t.loops = host.Name, w.client.Protocol, !w.configured && host.Port == 25
	t.memory, t.results = w.cache, w.client.TLSResults
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
		err = w.policy(ctx, route, host, &t.Policy)
	}
	if ctx.Err() != nil {
		err = cancelled(ctx)
	}
	if err != nil {
		w.recordUnknown(ctx, host, err)
		return t, w.deferred(StagePolicy, host.Name, "4.7.5", err)
	}
	if t.Policy.Level == 0 {
		t.Policy.Level = levelFor(t.Credential)
	}
	if t.Credential != nil {
		if failure := w.refusedBefore(ctx, t); failure != nil {
			return t, failure
		}
	}
	t.unproven = !w.proven && !vouched(&t.Policy) && !(w.configured && pinned(&t.Policy))
	switch {
	case requiresTLS(w.letter.env, w.letter.from):
		raise(&t.Policy)
	case w.letter.env.TLS == tlspolicy.NotRequired:
		// What happens to this message is no lesson for others, and no report.
		t.memory, t.results, t.lenient = nil, nil, true
	}
	fill(&t.Policy, w.hop.Name, host.Name)
	w.renewal.route, w.renewal.host, w.renewal.policy = route, *host, nil
	return t, nil
}

// fill fills the patterns of a policy in; see settleOpen.
//
//go:noinline
func fill(p *tlspolicy.Policy, nextHop, host string) { *p = p.For(nextHop, host) }

// decideAnew is the policy for the host whose target was made last.
func (w *way) decideAnew(ctx context.Context) (tlspolicy.Policy, error) {
	var p tlspolicy.Policy
	host := &w.renewal.host
	err := w.policy(ctx, w.renewal.route, host, &p)
	return p.For(w.hop.Name, host.Name), err
}

// policy decides how secure the channel to host must be, and puts that into p.
func (w *way) policy(ctx context.Context, route *resolve.Route, host *resolve.Host, p *tlspolicy.Policy) error {
	took, err := staged(ctx, StagePolicy, host.Name, func(e *Event) (err error) {
		q := tlspolicy.Query{Route: route, Host: *host, Message: w.letter.env.TLS, Resolver: w.resolver, Cache: w.cache}
		if e != nil {
			q.NoDANE = func(err error) { e.NoDANE = err }
		}
		*p, err = w.source.Decide(ctx, q)
		return err
	})
	w.before[StagePolicy] += took
	return err
}
