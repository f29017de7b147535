package smtpclient

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// same tells whether sessions to t and u would end up equal.
func (t *Target) same(u *Target) bool {
	a := t.asked(nil)
	return a.same(u)
}

// asked is what of a Target tells that. Many sessions rest with it: the policy is
// shared, but for the name of the host in it.
type asked struct {
	addr, host               string
	protocol                 Protocol
	loops, unproven, lenient bool
	policy                   *tlspolicy.Policy // without its ServerName
	serverName               string
	credential               *Credential
}

func (t *Target) asked(known *tlspolicy.Policy) asked {
	policy := t.Policy
	policy.ServerName = ""
	if known == nil || !known.Same(&policy) {
		known = &policy
	}
	return asked{t.Addr, t.Host, t.Protocol, t.loops, t.unproven, t.lenient, known, t.Policy.ServerName, t.Credential}
}

func (a *asked) same(t *Target) bool {
	if a.addr != t.Addr || a.host != t.Host || a.protocol != t.Protocol || a.serverName != t.Policy.ServerName ||
		a.loops != t.loops || a.unproven != t.unproven || a.lenient != t.lenient || !a.credential.same(t.Credential) {
		return false
	}
	policy := t.Policy
	policy.ServerName = ""
	return a.policy.Same(&policy)
}

// same tells whether c and d log in as one. Functions cannot be compared: those that
// have one are the same only if they are one.
func (c *Credential) same(d *Credential) bool {
	if c == d || c == nil || d == nil {
		return c == d
	}
	return c.Token == nil && d.Token == nil && c.SASL == nil && d.SASL == nil && c.ownOnly == d.ownOnly && c.User == d.User && c.Password == d.Password &&
		c.Identity == d.Identity && c.Channel == d.Channel && slices.Equal(c.Mechanisms, d.Mechanisms)
}

// session opens a session to t, or takes one that is open. What fails is
// Deferred: at StagePool where no place is to be had.
func (w *way) session(ctx context.Context, t *Target, rcpts []*recipient) (*Session, *Error) {
	p := w.client.Pool
	if p == nil {
		s, err := w.dial(ctx, t)
		if s != nil {
			s.single = true
		}
		return s, err
	}
	if t.opened.failed() {
		return w.dial(ctx, t)
	}
	b, a, err := w.place(ctx, t, rcpts)
	switch {
	case err != nil && a != nil:
		return nil, w.flown(ctx, t, a)
	case err != nil:
		return nil, w.noPlace(t, err)
	}
	if b.session != nil {
		b.session.resume(w.before, a)
		return b.session, nil
	}
	return w.fill(ctx, t, b)
}

// fill dials the session for a place, which is given back if there is none, also
// where a hook of the caller ends it all.
func (w *way) fill(ctx context.Context, t *Target, b *berth) (s *Session, err *Error) {
	defer func() {
		if b.session == nil {
			b.back(ctx)
		}
	}()
	if s, err = w.dial(ctx, t); s != nil {
		b.put(s)
	}
	return s, err
}

// place finds a place in the pool.
func (w *way) place(ctx context.Context, t *Target, rcpts []*recipient) (b *berth, a *transaction, err error) {
	if b, w.held = w.held, nil; b != nil {
		return b, nil, nil
	}
	if b = t.opened.claim(); b != nil {
		return b, nil, nil
	}
	b, wt, err := w.client.Pool.get(ctx, w.site, wanted{w.dialer, w.name, t})
	if wt == nil {
		return b, nil, err
	}
	since := wt.since
	b, a, err = w.await(ctx, wt, rcpts)
	w.before[StagePool] += time.Since(since)
	return b, a, err
}

// dial opens a session, and remembers what that has taught.
func (w *way) dial(ctx context.Context, t *Target) (*Session, *Error) {
	s, err := w.dialer.dialWith(ctx, *t, w.name, w.before)
	whole := false
	defer func() {
		if s != nil && !whole { // the caller's Cache has panicked
			s.Close()
		}
	}()
	w.remember(ctx, *t, err)
	whole = true
	return s, err
}

// noPlace is the error where a pool has no place for a session.
func (w *way) noPlace(t *Target, err error) *Error {
	a := w.attempt(StagePool, t.Host, "4.4.5", err)
	if errors.Is(err, errPoolClosed) {
		a.Enhanced = "4.3.2"
	}
	a.Addr = t.Addr
	return &Error{Status: Deferred, Attempt: a}
}

// put gives a place its session.
func (b *berth) put(s *Session) {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	b.session = s
	s.berth = b
	if b.pool.cut {
		s.Close()
	}
	b.pool.invite(b)
}

// resume prepares an open session for another delivery, whose envelope may be
// written already.
func (s *Session) resume(before StageTimes, a *transaction) {
	s.at.Stage, s.at.Times = StageMail, before
	s.at.Notes = nil
	s.at.Transcript, s.leftOut = nil, 0
	s.resumed, s.ahead = true, a
}

// leaves tells whether the session ends with this delivery, so that QUIT can go
// with the end of the content.
func (s *Session) leaves() bool {
	if s.berth == nil {
		return s.single
	}
	return s.once() || !s.berth.stays()
}

// once tells that no other delivery gets the session: the policy has it so, or it
// came about by HELO after a server had dropped EHLO, which the next one may get
// through with.
func (s *Session) once() bool { return s.kind.noReuse }

// stays tells whether the session will be kept.
func (b *berth) stays() bool {
	p := b.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	s := b.session
	wanted := p.KeepAll || b.site.follows || len(b.site.inUse) > 1 || len(b.site.waiters) > 0 || len(b.next) > 0
	return wanted && !p.closed && (p.MaxUses < 0 || s.at.Reused+1 < p.uses()) && !p.old(b, s.clock)
}

// again tries first what is open already to the hosts of a route, and so passes
// over those that have just been found dead. It tells whether other addresses may be
// tried.
func (w *way) again(ctx context.Context, route *resolve.Route) bool {
	p := w.client.Pool
	if p == nil {
		return true
	}
	w.site = route.Site()
	name, addr := p.known(w.site, wanted{dialer: w.dialer, name: w.name})
	if name == "" {
		return true
	}
	for i := 0; i < len(route.Hosts) || w.more(ctx, route); i++ {
		host := &route.Hosts[i]
		if host.Name != name || !hasAddr(host, addr) {
			continue
		}
		u, failure := w.target(ctx, route, host)
		if failure != nil {
			return true // it is said when the turn comes to this host
		}
		w.part(ctx, host, u, nil)
		u.Addr = addr
		w.held = p.take(ctx, w.site, wanted{w.dialer, w.name, u})
		if w.held == nil {
			return true
		}
		w.asked = addr
		return w.tryAddr(ctx, u)
	}
	return true
}

func hasAddr(host *resolve.Host, addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	return err == nil && ap.Port() == host.Port && slices.Contains(host.Addrs, ap.Addr())
}

// known is where the newest idle session to a destination goes.
func (p *Pool) known(key string, want wanted) (host, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.sites[key]
	if st == nil {
		return "", ""
	}
	for i := len(st.idle) - 1; i >= 0; i-- {
		if b := st.idle[i]; b.dialer == want.dialer && b.name == want.name {
			return b.asked.host, b.asked.addr
		}
	}
	return "", ""
}

// take gives an idle session that suits, if there is one.
func (p *Pool) take(ctx context.Context, key string, want wanted) *berth {
	p.mu.Lock()
	var b *berth
	var doomed []*berth
	if st := p.sites[key]; st != nil && !p.closed {
		now := time.Now()
		if b, doomed = p.reuse(st, st.idle, want, now, nil); b != nil {
			st.note(now, p.idleTime())
		}
	}
	p.mu.Unlock()
	p.dismiss(ctx, doomed)
	return b
}

// claim gives a place for a session that is to be dialled, if there is room at once.
func (p *Pool) claim(key string, want wanted) *berth {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.site(key)
	if p.closed || !p.room(st, want.target.Addr) {
		return nil
	}
	st.note(time.Now(), p.idleTime())
	return p.open(st, want)
}
