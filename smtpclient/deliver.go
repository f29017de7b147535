package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// Deliver sends content to the recipients of env. The Report has an Outcome for
// each, whatever happens. The error is nil if all were delivered, else an
// *Error: of the first recipient that is Unknown, else Deferred, else Failed.
//
// Faults of input or configuration have StageInput and name the field. A
// recipient at fault is Failed (5.1.3) and the others go on; a fault of the
// message or the sender fails all, a fault of the configuration defers all
// (4.3.5), and in both cases nothing was looked up or sent.
//
// When ctx ends, Deliver returns at once: who was not decided is Deferred, or
// Unknown if the end of the content may have reached the server.
func (c *Client) Deliver(ctx context.Context, env Envelope, content Content) (Report, error) {
	start := time.Now()
	d := &delivery{client: c, letter: newLetter(&env)}
	d.run(ctx, content)
	d.letter.finish()
	d.letter.report.Duration = time.Since(start)
	return d.letter.report, d.letter.report.Err()
}

// delivery is one call of Deliver.
type delivery struct {
	client   *Client
	letter   *letter
	dialer   *Dialer
	resolver resolve.Resolver
	source   tlspolicy.Source
	name     string            // ours, in EHLO
	hops     []resolve.NextHop // configured ones; nil: the recipients' domains
}

func (d *delivery) run(ctx context.Context, content Content) {
	l := d.letter
	defer func() {
		if p := recover(); p != nil {
			l.settleOpen(Deferred, Attempt{Stage: StageInput, Enhanced: "4.3.0", Cause: panicked(p)})
		}
	}()
	l.check(ctx, content)
	if err := d.configure(l.env); err != nil {
		e := badConfig(err)
		l.settleOpen(e.status, e.attempt())
		return
	}
	for _, g := range d.groups(l.pair(d.client.Protocol)) {
		d.deliver(ctx, g)
	}
}

// configure reads the configuration and puts the defaults in.
func (d *delivery) configure(env *Envelope) (err error) {
	c := d.client
	d.dialer, d.resolver, d.source = c.Dialer, c.Resolver, c.TLS
	if d.dialer == nil {
		d.dialer = &Dialer{}
	}
	if d.resolver == nil {
		d.resolver = &resolve.DNS{}
	}
	if d.source == nil {
		d.source = tlspolicy.Default()
	}
	d.name = d.dialer.LocalName
	if d.name == "" {
		d.name = c.LocalName
	}
	if len(env.NextHops) > 0 {
		d.hops, err = parseNextHops("Envelope.NextHops", env.NextHops)
	} else {
		d.hops, err = parseNextHops("Client.NextHops", c.NextHops)
	}
	if err != nil {
		return err
	}
	return c.fault(d.dialer)
}

// group is recipients with the same way.
type group struct {
	hops       []resolve.NextHop
	configured bool
	rcpts      []*recipient
}

// groups splits the recipients by their way, in the order in which each way
// comes first.
func (d *delivery) groups(rcpts []*recipient) []*group {
	if len(d.hops) > 0 {
		return []*group{{hops: d.hops, configured: true, rcpts: rcpts}}
	}
	var groups []*group
	byDomain := make(map[string]*group)
	for _, r := range rcpts {
		g := byDomain[r.domain]
		if g == nil {
			hop, err := domainHop(r.domain)
			if err != nil {
				e := badInput("5.1.3", "Envelope.To", fmt.Errorf("%s: %w", r.outcome.Address, err))
				r.settle(e.status, e.attempt())
				continue
			}
			g = &group{hops: []resolve.NextHop{hop}}
			byDomain[r.domain] = g
			groups = append(groups, g)
		}
		g.rcpts = append(g.rcpts, r)
	}
	return groups
}

// domainHop is the next hop of a recipient's domain.
func domainHop(domain string) (resolve.NextHop, error) {
	if domain == "" {
		return resolve.NextHop{}, errors.New("it has no domain, and no next hop is configured")
	}
	return resolve.ParseNextHop(domain)
}

// deliver tries the ways of a group until every recipient is decided.
func (d *delivery) deliver(ctx context.Context, g *group) {
	defer func() {
		if p := recover(); p != nil {
			a := Attempt{Stage: StageResolve, Enhanced: "4.3.0", Cause: panicked(p)}
			settleEach(stillOpen(g.rcpts), Deferred, a)
		}
	}()
	for _, hop := range g.hops {
		open := stillOpen(g.rcpts)
		if len(open) == 0 {
			return
		}
		w := &way{delivery: d, hop: hop, configured: g.configured, rcpts: open, limits: d.client.Limits.resolved()}
		w.run(ctx)
	}
	if ctx.Err() == nil {
		return
	}
	// What another host might have taken does not fail because there was no time
	// to ask it.
	for _, r := range stillOpen(g.rcpts) {
		if r.outcome.Status == Failed {
			r.settle(Deferred, Attempt{Stage: StageResolve, Enhanced: "4.4.3", Cause: cancelled(ctx)})
		}
	}
}

func settleEach(rs []*recipient, status Status, a Attempt) {
	for _, r := range rs {
		r.settle(status, a)
	}
}

// way is one next hop being tried for some recipients.
type way struct {
	*delivery
	hop        resolve.NextHop
	configured bool
	rcpts      []*recipient
	limits     Limits

	best      string     // name of the host with the best preference
	proven    bool       // the hosts were found without doubt
	before    StageTimes // of resolve and policy
	addresses int        // dialled so far
	sessions  int        // that reached MAIL
	no4, no6  bool       // our local address of this family cannot be used
}

// run finds the hosts and tries them in order.
func (w *way) run(ctx context.Context) {
	if ctx.Err() != nil {
		w.settleOpen(w.attempt(StageResolve, "", "4.4.3", cancelled(ctx)))
		return
	}
	route, err := w.route(ctx)
	if err != nil {
		w.unroutable(ctx, err)
		return
	}
	w.best, w.proven = route.Hosts[0].Name, route.Secure || w.configured
	for i := range route.Hosts {
		host := &route.Hosts[i]
		if host.Err != nil {
			w.settleOpen(w.attempt(StageResolve, host.Name, "4.4.4", host.Err))
			continue
		}
		policy, err := w.policy(ctx, route, host)
		switch {
		case ctx.Err() != nil:
			w.settleOpen(w.attempt(StagePolicy, host.Name, "4.7.5", cancelled(ctx)))
			return
		case err != nil:
			w.settleOpen(w.attempt(StagePolicy, host.Name, "4.7.5", err))
			continue
		}
		if requiresTLS(w.letter.env, w.letter.from) {
			policy.Level = max(policy.Level, tlspolicy.Verify)
		}
		if !w.tryHost(ctx, host, policy) {
			return
		}
	}
}

// settleOpen defers all who are still open.
func (w *way) settleOpen(a Attempt) { settleEach(stillOpen(w.rcpts), Deferred, a) }

func (w *way) attempt(stage Stage, host, enhanced string, cause error) Attempt {
	return Attempt{Stage: stage, Host: host, Enhanced: enhanced, Cause: cause, Times: w.before}
}

// route looks the hosts up.
func (w *way) route(ctx context.Context) (route *resolve.Route, err error) {
	routing := w.client.Routing
	routing.Local = routing.Local || w.configured
	w.before[StageResolve], err = staged(ctx, Attempt{Stage: StageResolve, Host: w.hop.Name}, func() (err error) {
		route, err = routing.Route(ctx, w.resolver, w.hop)
		if err != nil && ctx.Err() != nil {
			err = cancelled(ctx)
		}
		return err
	})
	return route, err
}

// unroutable settles the recipients of a next hop without hosts. What is known
// for good about a recipient's domain fails; a configured next hop that does not
// exist is a fault of the configuration and bounces nothing.
func (w *way) unroutable(ctx context.Context, err error) {
	status, enhanced := Deferred, "4.4.3"
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, resolve.ErrNullMX):
		status, enhanced = Failed, "5.1.10" // RFC 7505
	case errors.Is(err, resolve.ErrNoDomain):
		status, enhanced = Failed, "5.1.2"
	case errors.Is(err, resolve.ErrNotFound):
		status, enhanced = Failed, "5.4.4"
	case errors.Is(err, resolve.ErrForbidden):
		enhanced = "4.4.4"
	}
	if status == Failed && w.configured {
		status, enhanced = Deferred, "4.3.5"
	}
	settleEach(stillOpen(w.rcpts), status, w.attempt(StageResolve, "", enhanced, err))
}

// policy decides how secure the channel to host must be.
func (w *way) policy(ctx context.Context, route *resolve.Route, host *resolve.Host) (p tlspolicy.Policy, err error) {
	took, err := staged(ctx, Attempt{Stage: StagePolicy, Host: host.Name}, func() (err error) {
		p, err = w.source.Decide(ctx, tlspolicy.Query{Route: route, Host: *host, Message: w.letter.env.TLS, Resolver: w.resolver})
		return err
	})
	w.before[StagePolicy] += took
	return p, err
}

// tryHost tries the addresses of a host, and tells whether another host may be
// tried.
func (w *way) tryHost(ctx context.Context, host *resolve.Host, policy tlspolicy.Policy) bool {
	t := Target{Host: host.Name, Protocol: w.client.Protocol, Policy: policy, loops: !w.configured && host.Port == 25, unproven: !w.proven}
	if w.hop.Kind == resolve.ViaSocket {
		t.Addr = "unix:" + host.Name
		return w.tryAddr(ctx, t)
	}
	for _, addr := range host.Addrs {
		if addr.Is4() && w.no4 || addr.Is6() && w.no6 {
			continue
		}
		t.Addr = netip.AddrPortFrom(addr, host.Port).String()
		if !w.tryAddr(ctx, t) {
			return false
		}
	}
	return true
}

// tryAddr dials one address, and sends there what is still open. It tells whether
// another address may be tried.
func (w *way) tryAddr(ctx context.Context, t Target) bool {
	if w.limits.Addresses >= 0 && w.addresses >= w.limits.Addresses {
		return false
	}
	w.addresses++
	for rcpts := stillOpen(w.rcpts); len(rcpts) > 0; {
		s, err := w.dialer.dial(ctx, t, w.name, w.before)
		if err != nil {
			w.noteBind(err, t)
			return w.settleUnreached(ctx, rcpts, t, err)
		}
		left, began := w.send(ctx, s, rcpts)
		if began {
			w.sessions++
		}
		if len(left) == len(rcpts) { // no progress: no transaction was possible
			settleEach(left, Deferred, w.attempt(StageMail, t.Host, "4.5.3", errMailMax))
			break
		}
		rcpts = left
	}
	if len(stillOpen(w.rcpts)) == 0 || ctx.Err() != nil {
		return false
	}
	return w.limits.Sessions < 0 || w.sessions < w.limits.Sessions
}

// settleUnreached settles those for whom there is no session, and tells whether
// another address may be tried. A server with our own name is us: where it is the
// best of the exchangers, the mail would come back for ever.
func (w *way) settleUnreached(ctx context.Context, rcpts []*recipient, t Target, err *Error) bool {
	if errors.Is(err.Cause, errLoop) && t.Host == w.best {
		err.Enhanced = "5.4.6"
		settleEach(rcpts, Failed, err.Attempt)
		return false
	}
	lost := err.Enhanced == "4.4.2" || err.Enhanced == "4.5.0"
	if err.Stage == StageStartTLS && !lost && ctx.Err() == nil && requiresTLS(w.letter.env, w.letter.from) {
		// RFC 8689, Section 4.2.1: at the last host it is for good.
		err.Enhanced = "5.7.10"
		settleEach(rcpts, Failed, err.Attempt)
		for _, r := range rcpts {
			r.open = true
		}
		return true
	}
	settleEach(rcpts, Deferred, err.Attempt)
	return ctx.Err() == nil
}

// noteBind remembers that our local address of a family cannot be used: no other
// server of that family is worth a try.
func (w *way) noteBind(err *Error, t Target) {
	if !bindRefused(err.Cause) {
		return
	}
	ap, _ := netip.ParseAddrPort(t.Addr)
	w.no4 = w.no4 || ap.Addr().Is4()
	w.no6 = w.no6 || ap.Addr().Is6()
}

// send takes the message to rcpts over a fresh session; see Session.carry.
func (w *way) send(ctx context.Context, s *Session, rcpts []*recipient) (left []*recipient, began bool) {
	leave, err := s.enter(ctx)
	if err != nil {
		settleEach(rcpts, Deferred, err.Attempt)
		return nil, false
	}
	defer leave()
	return s.carry(w.letter, rcpts, true)
}
