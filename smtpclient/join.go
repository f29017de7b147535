package smtpclient

import (
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider/resolve"
)

// With Client.JoinDomains a group may have company: other domains with the same
// hosts. Whether they can share a session is asked at each host, as late as it is
// used; who cannot goes apart, on a way of his own.

// found is what a group's next hop has come to, before its turn.
type found struct {
	route *resolve.Route
	err   error
	took  time.Duration

	dialer *Dialer // the way out; nil: there is none yet
	name   string  // ours, on that way
}

// foundBefore is what is known from before; nil: nothing.
func (w *way) foundBefore() *found {
	if w.group == nil {
		return nil
	}
	return w.group.found
}

// joined puts the groups of domains that have the same hosts together.
func (d *delivery) joined(ctx context.Context, groups []*group) []*group {
	if !d.client.JoinDomains || len(groups) < 2 {
		return groups
	}
	d.each(groups, func(g *group) { d.look(ctx, g) })
	var joint []*group
	for _, g := range groups {
		i := slices.IndexFunc(joint, g.matches)
		if i < 0 {
			joint = append(joint, g)
			continue
		}
		joint[i].join(g)
	}
	return joint
}

// look finds the hosts of a group and the way out. What a hook of the caller's does
// wrong is told when the turn comes to the group, which asks again.
func (d *delivery) look(ctx context.Context, g *group) {
	defer func() { recover() }()
	w := &way{delivery: d, hop: g.hops[0]}
	route, err := w.route(ctx)
	f := &found{route: route, err: err, took: w.before[StageResolve]}
	if err == nil && w.pickSource(ctx, route) {
		f.dialer, f.name = w.dialer, w.name
	}
	g.found = f
}

// matches tells whether two groups go out the same way to the same hosts.
func (g *group) matches(h *group) bool {
	f, e := g.found, h.found
	return f != nil && e != nil && f.dialer != nil && f.dialer == e.dialer && f.name == e.name && f.route.SameHosts(e.route)
}

func (g *group) join(h *group) {
	g.company = append(g.company, h)
	g.rcpts = append(g.rcpts, h.rcpts...)
}

// part lets go whom a session with the host, which has to be t, does not suit: all
// the others, where nothing can be said of t.
func (w *way) part(ctx context.Context, host *resolve.Host, t *Target, failure *Error) {
	g := w.group
	if g == nil || len(g.company) == 0 {
		return
	}
	var stay, leave []*group
	for _, h := range g.company {
		if failure == nil && w.suits(ctx, h, host, t) {
			stay = append(stay, h)
		} else {
			leave = append(leave, h)
		}
	}
	for _, h := range leave {
		g.rcpts = slices.DeleteFunc(g.rcpts, func(r *recipient) bool { return slices.Contains(h.rcpts, r) })
	}
	g.company, g.apart = stay, append(g.apart, leave...)
	w.rcpts = stillOpen(g.rcpts)
}

// suits tells whether a session with the host would be the same for another domain.
func (w *way) suits(ctx context.Context, h *group, host *resolve.Host, t *Target) bool {
	route := h.found.route
	other := &way{delivery: w.delivery, hop: h.hops[0], proven: route.Secure, dialer: w.dialer, name: w.name, asks: true}
	u, failure := other.target(ctx, route, host)
	return failure == nil && t.same(u)
}

// deliverApart delivers to those who could not go along, together as far as they can.
func (d *delivery) deliverApart(ctx context.Context, g *group) {
	if len(g.apart) == 0 {
		return
	}
	first := g.apart[0]
	for _, h := range g.apart[1:] {
		first.join(h)
	}
	d.deliver(ctx, first)
}
