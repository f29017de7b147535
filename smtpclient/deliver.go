package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/cache"
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
	cache    cache.Cache
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
	l.filters = d.client.Dialer.filters()
	l.check(ctx, content, d.client.Dialer.rules())
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
	d.dialer, d.resolver, d.source, d.cache = c.Dialer, c.Resolver, c.TLS, c.Cache
	if d.dialer == nil {
		d.dialer = &Dialer{}
	}
	if d.resolver == nil {
		d.resolver = &resolve.DNS{}
	}
	if d.source == nil {
		d.source = tlspolicy.Default()
	}
	if d.cache == nil {
		d.cache = cache.Default
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
