package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/hasty"
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
	d := newDelivery(c, env)
	defer d.release()
	ctx, cancel := c.Limits.within(ctx)
	defer cancel()
	told := tell(ctx, d.letter, content)
	if !told.failed {
		d.run(told.ctx, content)
	}
	d.letter.finish()
	d.letter.complete(start)
	told.end(d.letter)
	report := d.letter.report
	if !d.letter.kept {
		d.letter.release()
	}
	return report, report.Err()
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
	fallback []resolve.NextHop
	limits   Limits
	renewed  sync.Map // hosts whose policy was decided anew; see way.mayRenew

	// How hosts are found for a recipient's domain, and for a configured next hop; nil
	// where there is none.
	found, given *resolve.Routes
	first        *resolve.Routes // one of them: a Source may keep a route

	group     group // room for the first one
	groupRoom [1]*group
}

// deliveries are over, and hold nothing but room. Nothing of one is known outside of
// its call: not the ways in it, nor the targets in those.
var deliveries = sync.Pool{New: func() any { return new(delivery) }}

func newDelivery(c *Client, env Envelope) *delivery {
	d := deliveries.Get().(*delivery)
	d.first = new(resolve.Routes)
	d.letter = letters.Get().(*letter)
	d.letter.address(&env)
	d.client, d.limits = c, c.Limits.resolved()
	return d
}

// release ends the call. A hook that ends its goroutine comes by here, too, and leaves
// nothing behind that goes on.
func (d *delivery) release() {
	*d = delivery{}
	deliveries.Put(d)
}

func (d *delivery) run(ctx context.Context, content Content) {
	l := d.letter
	l.most = d.limits.Recipients
	l.classifyBy(d.client.Classify)
	defer func() {
		if p := recover(); p != nil {
			l.settleOpen(Deferred, &Attempt{Stage: StageInput, Enhanced: "4.3.0", Cause: panicked(p)})
		}
	}()
	l.filters = d.client.Dialer.filters()
	l.check(ctx, content, d.client.Dialer.rules())
	if err := d.configure(l.env); err != nil {
		e := badConfig(err)
		l.settleOpen(e.status, e.attempt())
		return
	}
	groups := d.joined(ctx, d.groups(l.pair(d.client.Protocol)))
	if l.alone = len(groups) == 1; l.alone {
		d.deliver(ctx, groups[0])
		return
	}
	d.each(groups, func(g *group) { d.deliver(ctx, g) })
}

// each does something for the groups, for some of them at the same time.
func (d *delivery) each(groups []*group, do func(g *group)) {
	most := len(groups)
	if d.limits.Destinations > 0 {
		most = min(most, d.limits.Destinations)
	}
	if most <= 1 {
		for _, g := range groups {
			do(g)
		}
		return
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, most)
	for _, g := range groups {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(g)
		})
	}
	wg.Wait()
}

// configure reads the configuration and puts the defaults in.
func (d *delivery) configure(env *Envelope) (err error) {
	c := d.client
	d.dialer, d.resolver, d.source, d.cache = c.Dialer, c.Resolver, c.TLS, c.Cache
	if d.dialer == nil {
		d.dialer = plainDialer
	}
	if d.resolver == nil {
		d.resolver = resolve.Default()
	}
	if d.source == nil {
		d.source = tlspolicy.Default()
	}
	if d.cache == nil {
		d.cache = cache.Default
	}
	d.cache = hasty.Of(d.cache)
	d.name = d.dialer.LocalName
	if d.name == "" {
		d.name = c.LocalName
	}
	if len(env.NextHops) > 0 {
		d.hops, err = c.parseNextHops(d.group.hopRoom[:0], "Envelope.NextHops", env.NextHops)
	} else {
		d.hops, err = c.parseNextHops(d.group.hopRoom[:0], "Client.NextHops", c.NextHops)
	}
	if err == nil && c.Protocol == LMTP && len(d.hops) == 0 {
		err = errNoStore
	}
	if err != nil {
		return err
	}
	if d.fallback, err = c.parseNextHops(nil, "Client.Fallback", c.Fallback); err != nil {
		return err
	}
	d.makeRoutes()
	return c.fault(d.dialer)
}

var errNoStore = errors.New("Client.NextHops: LMTP needs a server, as unix:/run/dovecot/lmtp")

// makeRoutes prepares for the kinds of next hop that there are.
func (d *delivery) makeRoutes() {
	switch {
	case len(d.hops) > 0:
		d.given = d.setRoutes(d.first)
	case len(d.fallback) > 0:
		d.given = d.setRoutes(new(resolve.Routes))
		fallthrough
	default:
		d.found = d.setRoutes(d.first)
	}
	if d.given != nil {
		d.given.Configured = true
	}
}

// setRoutes prepares for one kind of next hop. What a Resolver of the caller's
// says must not reach those who share cache.Default and ask another one.
func (d *delivery) setRoutes(r *resolve.Routes) *resolve.Routes {
	r.Routing, r.Resolver, r.Addresses = d.client.Routing, d.resolver, d.limits.Addresses
	if d.client.Resolver == nil || d.client.Cache != nil {
		r.Cache = d.cache
	}
	return r
}

// routes finds hosts.
func (d *delivery) routes(configured bool) *resolve.Routes {
	if configured {
		return d.given
	}
	return d.found
}

// group is recipients with the same way.
type group struct {
	hops       []resolve.NextHop
	configured bool
	rcpts      []*recipient // those of the company included

	found   *found   // nil: not looked up yet
	company []*group // domains that go along
	apart   []*group // of them, those that go their own way after this one

	room    way // for its first
	hopRoom [1]resolve.NextHop
}

// groups splits the recipients by their way, in the order in which each way
// comes first.
func (d *delivery) groups(rcpts []*recipient) []*group {
	groups := d.groupRoom[:0]
	if len(d.hops) > 0 {
		d.group.hops, d.group.configured, d.group.rcpts = d.hops, true, rcpts
		return append(groups, &d.group)
	}
	var byDomain map[string]*group // those behind the first
	for i, r := range rcpts {
		g := byDomain[r.domain]
		if len(groups) > 0 && groups[0].rcpts[0].domain == r.domain {
			g = groups[0]
		}
		if g == nil {
			hop, err := domainHop(r.domain)
			if err != nil {
				e := badInput("5.1.3", "Envelope.To", fmt.Errorf("%s: %w", r.outcome.Address, err))
				r.settle(e.status, e.attempt())
				continue
			}
			if g = &d.group; len(groups) > 0 {
				if g = new(group); byDomain == nil {
					byDomain = make(map[string]*group)
				}
				byDomain[r.domain] = g
			}
			g.hops = append(g.hopRoom[:0], hop)
			groups = append(groups, g)
		}
		if len(g.rcpts) == i { // all so far
			g.rcpts = rcpts[: i+1 : i+1]
		} else {
			g.rcpts = append(g.rcpts, r)
		}
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
	defer d.deliverApart(ctx, g)
	defer func() {
		if p := recover(); p != nil {
			a := Attempt{Stage: StageResolve, Enhanced: "4.3.0", Cause: panicked(p)}
			settleEach(stillOpen(g.rcpts), Deferred, a)
		}
	}()
	looped := false
	for i, hop := range g.hops {
		w := &g.room
		if i > 0 {
			w = new(way)
		}
		w.delivery, w.hop, w.configured, w.rcpts, w.group = d, hop, g.configured, stillOpen(g.rcpts), g
		w.run(ctx)
		looped = looped || w.looped
	}
	for _, hop := range d.fallback {
		if looped {
			break
		}
		w := &way{delivery: d, hop: hop, configured: true, rcpts: d.forFallback(g.rcpts)}
		w.run(ctx)
	}
	if ctx.Err() == nil {
		return
	}
	// What another host might have taken does not fail because there was no time
	// to ask it.
	for _, r := range stillOpen(g.rcpts) {
		if r.outcome.Status == Failed {
			r.settle(Deferred, &Attempt{Stage: StageResolve, Enhanced: "4.4.3", Cause: cancelled(ctx)})
		}
	}
}

func settleEach(rs []*recipient, status Status, a Attempt) {
	for _, r := range rs {
		r.settle(status, &a)
	}
}
