package smtpclient

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"github.com/postrider/postrider/resolve"
)

// claims is what one way asks of Client.Limiter. A nil one asks nothing.
type claims struct {
	limiter Limiter

	mu      sync.Mutex // Limits.Stagger dials several addresses at the same time
	reached bool       // there was a session
	failed  *grant     // of the last connection that came to nothing because of its host
}

// grant is a Lease that a delivery holds. A nil one is of no Limiter. What a
// Limiter does wrong here is its own affair.
type grant struct{ lease Lease }

func (g *grant) report(f Feedback) {
	if g != nil {
		defer func() { _ = recover() }()
		g.lease.Report(f)
	}
}

func (g *grant) release() {
	if g != nil {
		defer func() { _ = recover() }()
		g.lease.Release()
	}
}

// claiming puts into a target what a connection to it will be asked for with.
func (w *way) claiming(route *resolve.Route, host *resolve.Host, t *Target) {
	if w.client.Limiter == nil {
		return
	}
	if w.claims == nil {
		w.claims = &claims{limiter: w.client.Limiter}
	}
	t.claims = w.claims
	site := w.site
	if site == "" { // there is no Pool
		site = route.Site()
	}
	t.use = &Use{Site: site, NextHop: w.hop.String(), Host: host.Name, From: w.letter.env.From, LocalName: w.name}
}

// useOf is a use of the target at its address.
func (t *Target) useOf(d *Dialer) Use {
	var u Use
	if t.use != nil {
		u = *t.use
	}
	if addr, err := netip.ParseAddrPort(t.Addr); err == nil {
		u.Addr, u.Local = addr, d.LocalAddr4
		if addr.Addr().Is6() {
			u.Local = d.LocalAddr6
		}
	}
	return u
}

var errNoLease = errors.New("Client.Limiter returned neither a Lease nor an error")

// acquire asks the Limiter. at is what is known so far; the time that the answer
// took is added to it.
func (c *claims) acquire(ctx context.Context, u Use, at *Attempt) (g *grant, failure *Error) {
	if c == nil {
		return nil, nil
	}
	passed := false
	defer func() {
		if !passed { // a Trace has panicked
			g.release()
		}
	}()
	took, err := stagedAt(ctx, StageLimit, at, func(*Event) (err error) {
		g, err = ask(ctx, c.limiter, u)
		return err
	})
	passed = true
	at.Times[StageLimit] += took
	if err == nil {
		return g, nil
	}
	return nil, withheld(ctx, at, err)
}

// withheld is the error where the Limiter has given nothing.
func withheld(ctx context.Context, at *Attempt, err error) *Error {
	e := &Error{Status: Deferred, Attempt: *at}
	e.Stage, e.Enhanced, e.Cause = StageLimit, "4.3.0", err
	switch {
	case ctx.Err() != nil:
		e.Enhanced, e.Cause = "4.4.5", cancelled(ctx)
	case isRefused(err):
		e.Enhanced = "4.4.5"
	}
	return e
}

func ask(ctx context.Context, l Limiter, u Use) (g *grant, err error) {
	defer func() {
		if p := recover(); p != nil {
			g, err = nil, panicked(p)
		}
	}()
	lease, err := l.Acquire(ctx, u)
	if lease == nil && err == nil {
		return nil, errNoLease
	}
	if err != nil {
		if lease != nil {
			lease.Release()
		}
		return nil, err
	}
	return &grant{lease}, nil
}

// claim asks for the connection to t. One that was opened beforehand has its
// answer.
func (d *Dialer) claim(ctx context.Context, t *Target, at *Attempt) (*grant, *Error) {
	if t.opened != nil && (t.opened.conn != nil || t.opened.err != nil) {
		g := t.opened.grant
		t.opened.grant = nil
		return g, nil
	}
	u := t.useOf(d)
	u.Connection = true
	return t.claims.acquire(ctx, u, at)
}

// opened hands the grant of a connection to its session, or gives it back where
// there is none.
func (g *grant) opened(ctx context.Context, t *Target, s *Session, failure *Error) {
	if g == nil {
		return
	}
	c := t.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != nil {
		s.grant, c.reached = g, true
		g.report(Worked)
		return
	}
	if ctx.Err() == nil && failure.hostsFault() {
		c.failed = g
	}
	g.report(Used)
	g.release()
}

// hostsFault tells that no session came about because of the host, and not of
// something here, our credential, or the policy.
func (e *Error) hostsFault() bool {
	switch {
	case bindRefused(e.Cause) || shortage(e.Cause) || e.Enhanced == "4.3.0" || errors.Is(e.Cause, errLoop):
		return false
	case e.Stage == StageConnect:
		return true
	}
	return e.Stage <= StageStartTLS && (e.Reply.Code != 0 || e.Enhanced == "4.4.2" || e.Enhanced == "4.5.0")
}

// conclude tells the Limiter that a route had nobody to talk to. One host that is
// down among others which are not is no reason to send less.
func (c *claims) conclude() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil && !c.reached {
		c.failed.report(Broken)
	}
}

// permit is leave for the transactions of a way with one server.
type permit struct {
	claims *claims
	use    Use
	first  *grant // got before there was a connection; nil once a transaction has it
	grant  *grant // the same
}

// admit asks for the next transaction, before there is a connection for it.
func (w *way) admit(ctx context.Context, t *Target, rcpts []*recipient) *Error {
	w.dismiss()
	if t.claims == nil {
		return nil
	}
	return w.askLimiter(ctx, t, rcpts)
}

// askLimiter is admit where there is one to be asked; see settleOpen.
//
//go:noinline
func (w *way) askLimiter(ctx context.Context, t *Target, rcpts []*recipient) (refused *Error) {
	a := &permit{claims: t.claims, use: t.useOf(w.dialer)}
	a.use.Recipients = len(rcpts)
	at := Attempt{Host: t.Host, Addr: t.Addr, Times: w.before}
	a.first, refused = a.claims.acquire(ctx, a.use, &at)
	a.grant, w.permit, w.before = a.first, a, at.Times
	if refused != nil && w.held != nil {
		w.held.back(ctx)
		w.held = nil
	}
	return refused
}

// dismiss gives back what no transaction has made use of.
func (w *way) dismiss() {
	if w.permit != nil {
		w.permit.grant.release()
	}
	w.permit = nil
}

// admit asks for a transaction on the session, unless that was done beforehand.
func (s *Session) admit(rcpts []*recipient) (*grant, *Error) {
	a := s.permit
	if a == nil {
		return nil, nil
	}
	if g := a.first; g != nil {
		a.first = nil
		return g, nil
	}
	a.use.Recipients = len(rcpts)
	return a.claims.acquire(s.call.ctx, a.use, &s.at)
}

// finish tells the Limiter how a transaction went, and gives it back.
func (s *Session) finish(g *grant, t *transaction) {
	if t.began && !s.stale {
		f := Worked
		if s.err != nil && s.err != errDone && !t.verified {
			f = Used
			if s.call.ctx.Err() == nil && (s.err.Reply.Code == 421 || s.err.Enhanced == "4.4.2" || s.err.Enhanced == "4.5.0") {
				f = Broken
			}
		}
		g.report(f)
		s.grant.report(f)
	}
	g.release()
}

// settleRefused settles those whom the Limiter has refused: no host was asked
// about them, and none will be. It tells whether err is of that kind.
func settleRefused(rcpts []*recipient, err *Error) bool {
	if err.Stage != StageLimit {
		return false
	}
	settleHere(rcpts, err)
	return true
}

// settleHere settles those for whom nothing is to be tried now, because of us.
func settleHere(rcpts []*recipient, err *Error) {
	var refused *RefusedError
	errors.As(err.Cause, &refused)
	for _, r := range rcpts {
		r.settle(Deferred, &err.Attempt)
		r.open = false
		r.judged = true // there is no attempt to be judged
		if refused != nil {
			r.outcome.NotBefore = refused.NotBefore
		}
	}
}

func isRefused(err error) bool {
	var refused *RefusedError
	return errors.As(err, &refused)
}
