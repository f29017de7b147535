package smtpclient

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/resolve"
)

// way is one next hop being tried for some recipients.
type way struct {
	*delivery
	hop        resolve.NextHop
	configured bool
	rcpts      []*recipient
	group      *group // nil: a fallback
	asks       bool   // only what a session would be

	site      string     // of the route
	held      *berth     // taken from the pool for the address that is tried first
	asked     string     // the address that was tried before all others, since a session was open to it
	best      uint16     // the best preference, also of a host without an address
	current   uint16     // that of the host whose target was made last
	room      [1]Target  // for the only address of a host
	proven    bool       // the hosts were found without doubt
	before    StageTimes // of resolve and policy
	addresses int        // dialled so far
	sessions  int        // that reached MAIL
	no4, no6  bool       // our local address of this family cannot be used
	memory    hostMemory // of hosts that did not answer
	renewal   renewal    // of the policy of the host whose target was made last
	denied    string     // the host that has refused our credential
	looped    bool       // a host is this machine: what goes elsewhere may come back
	dialer    *Dialer    // the way out
	name      string     // ours, in EHLO, on that way
	claims    *claims    // on the Limiter; nil: none
	permit    *permit    // of the next transaction
}

// run finds the hosts and tries them in order.
func (w *way) run(ctx context.Context) {
	if len(w.rcpts) == 0 {
		return
	}
	if ctx.Err() != nil {
		w.settleOpen("", "4.4.3", cancelled(ctx))
		return
	}
	route, err := w.route(ctx)
	if err != nil {
		w.unroutable(ctx, err)
		return
	}
	if !w.pickSource(ctx, route) {
		return
	}
	defer func() { w.claims.conclude() }()
	w.memory.cache = w.cache
	w.best, w.proven = route.Hosts[0].Preference, route.Secure
	w.looped = route.Self
	if !w.again(ctx, route) {
		return
	}
	var later []resolve.Host
	for i := 0; i < len(route.Hosts) || w.more(ctx, route); i++ {
		host := route.Hosts[i]
		if resting := w.takeResting(ctx, &host); len(resting) > 0 {
			later = append(later, host)
			later[len(later)-1].Addrs = resting
			if len(host.Addrs) == 0 {
				continue
			}
		}
		if !w.visit(ctx, route, &host) {
			return
		}
	}
	for i := range later {
		if !w.visit(ctx, route, &later[i]) {
			return
		}
	}
}

// takeResting takes from a host the addresses that did not answer lately. They come
// after all other hosts. An address that stands alone is not worth a question.
func (w *way) takeResting(ctx context.Context, host *resolve.Host) []netip.Addr {
	if w.hop.Kind == resolve.ViaHost && len(host.Addrs) == 1 {
		return nil
	}
	var awake, resting []netip.Addr
	for _, addr := range host.Addrs {
		if w.memory.rests(ctx, netip.AddrPortFrom(addr, host.Port)) {
			resting = append(resting, addr)
		} else {
			awake = append(awake, addr)
		}
	}
	host.Addrs = awake
	return resting
}

// visit tries one host, and tells whether another may be tried.
func (w *way) visit(ctx context.Context, route *resolve.Route, host *resolve.Host) bool {
	if host.Err != nil {
		w.settleOpen(host.Name, "4.4.4", host.Err)
		return ctx.Err() == nil
	}
	t, failure := w.target(ctx, route, host)
	w.part(ctx, host, t, failure)
	if !anyOpen(w.rcpts) { // only those were left who went apart
		return false
	}
	if failure != nil {
		return w.settleUnreached(ctx, stillOpen(w.rcpts), t, failure)
	}
	return w.tryHost(ctx, host) && ctx.Err() == nil
}

// settleOpen defers all who are still open, for want of a host. Its Attempts would be on
// the stack of its callers while a message goes out.
//
//go:noinline
func (w *way) settleOpen(host, enhanced string, cause error) {
	settleEach(stillOpen(w.rcpts), Deferred, w.attempt(StageResolve, host, enhanced, cause))
}

// settleLeft defers those for whom a session has no transaction; see settleOpen.
//
//go:noinline
func (w *way) settleLeft(left []*recipient, host string) {
	settleEach(left, Deferred, w.attempt(StageMail, host, "4.5.3", errMailMax))
}

func (w *way) attempt(stage Stage, host, enhanced string, cause error) Attempt {
	return Attempt{Stage: stage, Host: host, Enhanced: enhanced, Cause: cause, Times: w.before}
}

// deferred is what went wrong before there was a session; see settleOpen.
//
//go:noinline
func (w *way) deferred(stage Stage, host, enhanced string, cause error) *Error {
	return &Error{Status: Deferred, Attempt: w.attempt(stage, host, enhanced, cause)}
}

// route looks up the hosts that are needed first.
func (w *way) route(ctx context.Context) (route *resolve.Route, err error) {
	if f := w.foundBefore(); f != nil {
		w.before[StageResolve] = f.took
		return f.route, f.err
	}
	w.before[StageResolve], err = staged(ctx, StageResolve, w.hop.Name, func(*Event) (err error) {
		route, err = w.routes(w.configured).Begin(ctx, w.hop)
		if err != nil && ctx.Err() != nil {
			err = cancelled(ctx)
		}
		return err
	})
	return route, err
}

// more looks up the hosts that come next, and tells whether there are any.
func (w *way) more(ctx context.Context, route *resolve.Route) bool {
	start := time.Now()
	defer func() { w.before[StageResolve] += time.Since(start) }()
	more := route.More(ctx)
	w.looped = w.looped || route.Self
	return more
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
	case errors.Is(err, resolve.ErrNoService):
		status, enhanced = Failed, "5.1.0"
	case errors.Is(err, resolve.ErrLoop):
		status, enhanced = Failed, "5.4.6"
		w.looped = true
	case errors.Is(err, resolve.ErrForbidden), errors.Is(err, resolve.ErrNotNow):
		enhanced = "4.4.4"
	case isFiltered(err):
		enhanced = "4.7.0"
	}
	if status == Failed && w.configured {
		status, enhanced = Deferred, "4.3.5"
	}
	rcpts := stillOpen(w.rcpts)
	settleEach(rcpts, status, w.attempt(StageResolve, "", enhanced, err))
	if errors.Is(err, resolve.ErrNotFound) && len(w.fallback) > 0 {
		openAgain(rcpts)
	}
}

// isFiltered tells whether it was the caller's own filter that left no records.
func isFiltered(err error) bool {
	var e *resolve.Error
	return errors.As(err, &e) && e.Kind == resolve.Filtered
}

// tryHost tries the addresses of a host, whose target is in w.room, and tells whether
// another host may be tried.
func (w *way) tryHost(ctx context.Context, host *resolve.Host) bool {
	if w.hop.Kind == resolve.ViaSocket {
		w.room[0].Addr = "unix:" + host.Name
		return w.tryAddr(ctx, &w.room[0])
	}
	left := w.targets(host)
	defer func() {
		for i := range left {
			left[i].opened.close()
		}
	}()
	for left = w.usable(left); len(left) > 0; left = w.usable(left[1:]) {
		if w.limits.Stagger > 0 {
			left = w.fastest(ctx, left)
		}
		if !w.tryAddr(ctx, &left[0]) {
			return false
		}
	}
	return true
}

// targets are the one in w.room with each address of a host, those of the host before
// forgotten.
func (w *way) targets(host *resolve.Host) []Target {
	list := w.room[:]
	if len(host.Addrs) != 1 {
		list = make([]Target, len(host.Addrs))
	}
	for i, addr := range host.Addrs {
		list[i] = w.room[0]
		list[i].Addr = netip.AddrPortFrom(addr, host.Port).String()
	}
	return list
}

// usable are the targets of a family of which our local address can be used, and
// none of a host that has refused our credential, or that was asked already.
func (w *way) usable(targets []Target) []Target {
	w.renewTargets(targets)
	if w.denied == "" && w.asked == "" && !w.no4 && !w.no6 {
		return targets
	}
	return slices.DeleteFunc(targets, func(t Target) bool {
		ap, _ := netip.ParseAddrPort(t.Addr)
		return t.Host == w.denied && t.Host != "" || t.Addr == w.asked || t.opened == nil && (ap.Addr().Is4() && w.no4 || ap.Addr().Is6() && w.no6)
	})
}

// tryAddr dials one address, and sends there what is still open. It tells whether
// another address may be tried.
func (w *way) tryAddr(ctx context.Context, t *Target) bool {
	w.addresses++
	defer w.dismiss()
	for rcpts := stillOpen(w.rcpts); len(rcpts) > 0; {
		if refused := w.admit(ctx, t, rcpts); refused != nil {
			return !settleRefused(rcpts, refused)
		}
		s, err := w.fitting(ctx, t, rcpts)
		if err != nil {
			w.noteRefused(ctx, err, t)
			return w.settleUnreached(ctx, rcpts, t, err) && w.within()
		}
		left, began, stale := w.send(ctx, s, rcpts)
		if stale {
			t.late, rcpts = true, left
			continue // as if the session had not been there
		}
		if began {
			w.sessions++
		}
		if len(left) == len(rcpts) { // no progress: no transaction was possible
			w.settleLeft(left, t.Host)
			break
		}
		rcpts = left
	}
	return anyOpen(w.rcpts) && ctx.Err() == nil && w.within()
}

// within tells that the limits allow for another address.
func (w *way) within() bool {
	return (w.limits.Addresses < 0 || w.addresses < w.limits.Addresses) &&
		(w.limits.Sessions < 0 || w.sessions < w.limits.Sessions)
}

// settleUnreached settles those for whom there is no session, and tells whether
// another address may be tried. A server with our own name is us: where no exchanger
// is better, the mail would come back for ever.
func (w *way) settleUnreached(ctx context.Context, rcpts []*recipient, t *Target, err *Error) bool {
	if err.Status == Unknown { // given up in another one's session
		settleEach(rcpts, Unknown, err.Attempt)
	}
	if err.Status == Unknown || settleRefused(rcpts, err) {
		return false
	}
	loop := errors.Is(err.Cause, errLoop)
	w.looped = w.looped || loop
	if loop && w.current == w.best {
		err.Enhanced = "5.4.6"
		settleEach(rcpts, Failed, err.Attempt)
		return false
	}
	if w.limits.Final.decides(err) {
		err.Enhanced = unspecified[Failed][:1] + err.Enhanced[1:]
		settleEach(rcpts, Failed, err.Attempt)
		return anyOpen(rcpts)
	}
	lost := err.Enhanced == "4.4.2" || err.Enhanced == "4.5.0"
	if err.Stage == StageStartTLS && !lost && ctx.Err() == nil && w.failsWithoutTLS(t, err) {
		// RFC 8689, Section 4.2.1: at the last host it is for good.
		err.Enhanced = "5.7.10"
		settleEach(rcpts, Failed, err.Attempt)
		openAgain(rcpts)
		return true
	}
	settleEach(rcpts, Deferred, err.Attempt)
	here := err.Stage == StageConnect && !bindRefused(err.Cause) && shortage(err.Cause)
	return ctx.Err() == nil && !here
}

// remember keeps what dialling an address has taught: for this call that our local
// address of a family cannot be used, and for others whether the host is there.
func (w *way) remember(ctx context.Context, t Target, err *Error) {
	ap, parseErr := netip.ParseAddrPort(t.Addr)
	switch {
	case parseErr != nil || ctx.Err() != nil:
	case err == nil:
		w.memory.ok(ctx, ap)
	case bindRefused(err.Cause):
		w.no4 = w.no4 || ap.Addr().Is4()
		w.no6 = w.no6 || ap.Addr().Is6()
	case err.Stage == StageConnect && shortage(err.Cause):
	default:
		w.memory.failed(ctx, ap, err)
	}
}

// send takes the message to rcpts over a session, and gives it back to the pool
// if it has one; see Session.carry. stale tells that the session was gone when it
// was to be used again, before anything could be accepted.
func (w *way) send(ctx context.Context, s *Session, rcpts []*recipient) (left []*recipient, began, stale bool) {
	whole := false
	defer func() {
		if !whole { // a hook of the caller ended it: what was written nobody knows
			s.end(errRanAway)
		}
		w.giveBack(ctx, s, whole && s.stale)
	}()
	err := s.enter(ctx)
	if err != nil {
		s.settleLost(rcpts, err)
		whole = true
		return nil, false, false
	}
	defer s.leave()
	s.permit = w.permit
	left, began = s.carry(w.letter, rcpts)
	whole = true
	return left, began, s.stale
}

var errRanAway = &Error{Status: Deferred, Attempt: Attempt{Stage: StageMail, Enhanced: "4.3.0", Cause: errors.New("a hook of the caller did not return")}}

// giveBack gives a session back to its pool. Where it was gone, its place is kept
// for the one that is dialled now, so that this happens once at most.
func (w *way) giveBack(ctx context.Context, s *Session, stale bool) {
	switch {
	case s.berth == nil:
	case stale && s.berth.renew():
		w.held = s.berth
	default:
		s.berth.back(ctx)
	}
}
