package smtpclient

import (
	"context"
	"errors"
	"net/netip"

	"github.com/postrider/postrider/resolve"
)

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
	denied    string     // the host that has refused our credential
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
		t, failure := w.target(ctx, route, host)
		switch {
		case failure != nil:
			w.settleOpen(failure.Attempt)
		case !w.tryHost(ctx, host, t):
			return
		}
		if ctx.Err() != nil {
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

// tryHost tries the addresses of a host, and tells whether another host may be
// tried.
func (w *way) tryHost(ctx context.Context, host *resolve.Host, t Target) bool {
	if w.hop.Kind == resolve.ViaSocket {
		t.Addr = "unix:" + host.Name
		return w.tryAddr(ctx, t)
	}
	for _, addr := range host.Addrs {
		if addr.Is4() && w.no4 || addr.Is6() && w.no6 || w.denied == host.Name {
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
		s, err := w.dialer.dialWith(ctx, t, w.name, w.before)
		if err != nil {
			w.noteBind(err, t)
			w.noteRefused(ctx, err, t)
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
