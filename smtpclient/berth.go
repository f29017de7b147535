package smtpclient

import (
	"container/list"
	"context"
	"runtime"
	"slices"
	"time"
)

// site is a destination, as receivers count: a set of hosts.
type site struct {
	key     string
	open    int      // sessions, used and idle
	inUse   []*berth // of them
	idle    []*berth // the newest at the end
	waiters []*waiter
	last    time.Time     // when a delivery came
	follows bool          // it came within IdleTime of another
	place   *list.Element // in Pool.queue; nil if nobody waits
	passed  int           // deliveries to others that went first while it was at the head of the queue
}

// note remembers that a delivery has come.
func (st *site) note(now time.Time, soon time.Duration) {
	st.follows = len(st.inUse) > 0 || !st.last.IsZero() && now.Sub(st.last) <= soon
	st.last = now
}

// endpoint is an address.
type endpoint struct {
	open int
	idle []*berth
}

// berth is a place in a pool, with the session that has it. Its holder owns the
// session.
type berth struct {
	pool    *Pool
	site    *site
	name    string // in EHLO
	asked   asked  // what the session was asked to be
	dialer  *Dialer
	session *Session // nil while it is dialled
	since   time.Time
	place   *list.Element // in Pool.idle; nil if in use

	uses   int       // transactions, those of the owner and of who follows included
	next   []*waiter // who is invited, and waits in the queue all the same
	flight []*waiter // whose envelopes are written, in their order; only the owner changes it
	added  []*waiter // room for what follow gives
}

// wanted is what a delivery needs of a session.
type wanted struct {
	dialer *Dialer
	name   string // ours, in EHLO
	target *Target
}

// find gives an open session that suits, or room for another. Where there is no
// room, an idle session gives way if more wait than sessions are leaving; the place
// is free once it is closed, so that no bound is ever passed.
func (p *Pool) find(st *site, want wanted, now time.Time, waiting int) (b *berth, doomed []*berth) {
	if b, doomed = p.reuse(st, st.idle, want, now, nil); b != nil {
		return b, doomed
	}
	// The same address serves other destinations, too.
	if e := p.ends[want.target.Addr]; e != nil && p.roomAt(st) {
		if b, doomed = p.reuse(st, e.idle, want, now, doomed); b != nil {
			return b, doomed
		}
	}
	if p.room(st, want.target.Addr) {
		return p.open(st, want), doomed
	}
	if victim := p.inTheWay(st, want.target.Addr); victim != nil && p.leaving < waiting {
		doomed = append(doomed, p.evict(victim))
	}
	return nil, doomed
}

// reuse takes the newest of some idle sessions that suits.
func (p *Pool) reuse(st *site, idle []*berth, want wanted, now time.Time, doomed []*berth) (*berth, []*berth) {
	for i := len(idle) - 1; i >= 0; i-- {
		b := idle[i]
		if !b.suits(want) {
			continue
		}
		if p.worn(b, now) || now.Sub(b.since) >= p.idleTime() {
			doomed = append(doomed, p.evict(b))
			continue
		}
		p.wake(b)
		if b.site != st {
			b.site.open--
			st.open++
			b.site = st
		}
		p.use(b)
		p.stats.Reused++
		return b, doomed
	}
	return nil, doomed
}

// suits tells whether a new session would end up equal.
func (b *berth) suits(want wanted) bool {
	return b.dialer == want.dialer && b.name == want.name && b.asked.same(want.target)
}

// room tells whether another session may be opened.
func (p *Pool) room(st *site, addr string) bool {
	e := p.ends[addr]
	return p.roomAt(st) && (p.PerEndpoint <= 0 || e == nil || e.open < p.PerEndpoint) && (p.Total <= 0 || p.all() < p.Total)
}

func (p *Pool) roomAt(st *site) bool { return p.PerDestination <= 0 || st.open < p.PerDestination }

func (p *Pool) all() int { return len(p.used) + p.idle.Len() + p.leaving }

// inTheWay is the idle session that has to go where there is no room, the one of
// the nearest bound first; nil if all are in use.
func (p *Pool) inTheWay(st *site, addr string) *berth {
	e := p.ends[addr]
	switch {
	case !p.roomAt(st):
		return oldest(st.idle)
	case p.PerEndpoint > 0 && e != nil && e.open >= p.PerEndpoint:
		return oldest(e.idle)
	case p.idle.Len() > 0:
		return p.idle.Front().Value.(*berth)
	}
	return nil
}

func oldest(idle []*berth) *berth {
	if len(idle) == 0 {
		return nil
	}
	return idle[0]
}

// open makes a place for a session that is going to be dialled.
func (p *Pool) open(st *site, want wanted) *berth {
	b := &berth{pool: p, site: st, dialer: want.dialer, name: want.name, asked: want.target.asked(p.policy)}
	p.policy = b.asked.policy
	st.open++
	p.end(b.asked.addr).open++
	p.use(b)
	p.stats.Dialed++
	return b
}

func (p *Pool) use(b *berth) {
	if p.used == nil {
		p.used = make(map[*berth]struct{})
	}
	p.used[b] = struct{}{}
	b.site.inUse = append(b.site.inUse, b)
	b.uses++
}

// back gives a place back that has a session in order, or none. A session that is
// broken, worn out or not wanted is closed; ctx, that of the call, may cut its
// farewell short.
func (b *berth) back(ctx context.Context) {
	p, s := b.pool, b.session
	now := time.Now()
	p.mu.Lock()
	delete(p.used, b)
	b.site.inUse = without(b.site.inUse, b)
	b.leaveOut()
	alive := s != nil && s.err == nil
	if b.uses = 0; s != nil {
		b.uses = s.at.Reused + max(len(b.flight)-1, 0)
	}
	good := alive && !p.worn(b, now) && s.mayMail() && !s.once() && !p.closed && !s.mute && !s.unmet()
	var doomed []*berth
	passed := false
	switch {
	case p.passOn(b, alive, good):
		passed = true
	case good && p.handOver(b):
		passed = true
	case good && (p.KeepAll || b.site.follows || len(b.site.inUse) > 0):
		p.rest(b, now)
		doomed = p.grant()
	case s != nil && (s.err == nil || s.err == errGivenUp):
		p.leaving++
		doomed = []*berth{b}
	default:
		p.free(b)
		doomed = p.grant()
	}
	p.noteEnd()
	p.mu.Unlock()
	if passed {
		// A server waits for the next delivery, and nobody for the rest of this one.
		runtime.Gosched()
		return
	}
	p.dismiss(ctx, doomed)
}

// renew empties a place whose session was gone when it was to be used again: its
// holder dials another one, and nobody comes in between. It is false where the
// pool is closed.
func (b *berth) renew() bool {
	p := b.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.disinvite(b)
	b.session, b.uses = nil, 1
	p.stats.Dialed++
	return true
}

// worn tells that a session has served long enough.
func (p *Pool) worn(b *berth, now time.Time) bool {
	return p.MaxUses >= 0 && b.uses >= p.uses() || p.old(b, now)
}

func (p *Pool) old(b *berth, now time.Time) bool {
	return now.Sub(b.session.born) >= orDefault(p.MaxAge, 5*time.Minute)
}

func (p *Pool) uses() int {
	if p.MaxUses == 0 {
		return 100
	}
	return p.MaxUses
}

func (p *Pool) idleTime() time.Duration { return orDefault(p.IdleTime, 5*time.Second) }

// rest makes a session idle.
func (p *Pool) rest(b *berth, now time.Time) {
	b.session.slim()
	b.since = now
	b.place = p.idle.PushBack(b)
	b.site.idle = append(b.site.idle, b)
	e := p.end(b.asked.addr)
	e.idle = append(e.idle, b)
	if p.idle.Len() == 1 {
		p.wind(p.idleTime())
	}
}

// wake takes a session out of those that are idle.
func (p *Pool) wake(b *berth) {
	p.idle.Remove(b.place)
	b.place = nil
	b.session.rise()
	b.site.idle = without(b.site.idle, b)
	e := p.ends[b.asked.addr]
	e.idle = without(e.idle, b)
}

func without(list []*berth, b *berth) []*berth {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == b {
			return slices.Delete(list, i, i+1)
		}
	}
	return list
}

// evict takes an idle session out for good: it is dismissed outside the lock.
func (p *Pool) evict(b *berth) *berth {
	p.wake(b)
	p.leaving++
	p.stats.Dropped++
	return b
}

// free gives up a place.
func (p *Pool) free(b *berth) {
	b.site.open--
	e := p.ends[b.asked.addr]
	if e.open--; e.open == 0 {
		delete(p.ends, b.asked.addr)
	}
}

func (p *Pool) end(addr string) *endpoint {
	e := p.ends[addr]
	if e == nil {
		if p.ends == nil {
			p.ends = make(map[string]*endpoint)
		}
		e = &endpoint{}
		p.ends[addr] = e
	}
	return e
}
