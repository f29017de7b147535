package smtpclient

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Pool keeps sessions open for the deliveries that follow, and bounds how many
// there are. The zero value is ready; it serves any number of Clients and must not
// be copied. Close it when no delivery is to come.
//
// A delivery gets a session that is open only where a new one would have ended up
// equal: the same Dialer, protocol, host, address, EHLO name, TLS policy and
// credential. Sessions inside TLS and authenticated ones are kept like any other.
// A session that the server has closed meanwhile is replaced without a word.
//
// Where a bound is reached, deliveries wait in turn until their ctx ends; an idle
// session of another kind gives way. There is no goroutine behind a Pool, and one
// timer while sessions are idle.
type Pool struct {
	// PerDestination bounds the sessions, used and idle, to one set of hosts
	// (resolve.Route.Site); PerEndpoint those to one address, Total all. Zero: no
	// bound.
	PerDestination, PerEndpoint, Total int

	IdleTime time.Duration // how long a session waits for the next delivery; zero: 5 s
	MaxAge   time.Duration // how old a session gets, from its connection on; zero: 5 min
	MaxUses  int           // transactions on a session; zero: 100; negative: no bound
	// KeepAll keeps every session. Otherwise only those are kept whose destination
	// has another delivery at the same time, or had one within IdleTime before: to
	// wait for a message that does not come costs the receiver.
	KeepAll bool

	mu      sync.Mutex // guards what follows
	sites   map[string]*site
	ends    map[string]*endpoint
	idle    list.List // of *berth, the one that is idle longest in front
	used    map[*berth]struct{}
	queue   list.List // of *site, those where deliveries wait
	timer   *time.Timer
	leaving int // sessions that are being closed, and still count
	closed  bool
	cut     bool          // those in use were cut off
	ended   chan struct{} // closed when the last session in use is back; nil before Close
	stats   PoolStats
}

// PoolStats is what a Pool has done, and what it holds.
type PoolStats struct {
	Dialed  int64 // places given to new sessions
	Reused  int64 // deliveries that found an open session
	Dropped int64 // sessions that were closed while idle: too old, not wanted, or in the way

	Idle, InUse, Waiting int
}

// site is a destination, as receivers count: a set of hosts.
type site struct {
	key     string
	open    int      // sessions, used and idle
	inUse   int      // of them
	idle    []*berth // the newest at the end
	waiters []*waiter
	last    time.Time     // when a delivery came
	follows bool          // it came within IdleTime of another
	place   *list.Element // in Pool.queue; nil if nobody waits
}

// note remembers that a delivery has come.
func (st *site) note(now time.Time, soon time.Duration) {
	st.follows = st.inUse > 0 || !st.last.IsZero() && now.Sub(st.last) <= soon
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
	target  Target // what the session was asked to be
	dialer  *Dialer
	session *Session // nil while it is dialled
	since   time.Time
	place   *list.Element // in Pool.idle; nil if in use
}

// wanted is what a delivery needs of a session.
type wanted struct {
	dialer *Dialer
	name   string // ours, in EHLO
	target *Target
}

// waiter is a delivery that waits for a place.
type waiter struct {
	dialer  *Dialer
	name    string
	target  Target
	granted chan *berth // has room for one
	passed  int         // deliveries that came later and went first
}

func (w *waiter) wanted() wanted { return wanted{w.dialer, w.name, &w.target} }

// maxPassed is how often a delivery whose turn it is lets others go first, whom an
// open session suits as it is.
const maxPassed = 8

var errPoolClosed = errors.New("the pool is closed")

// get gives a place for a session to want.target: with one that is open, or
// without, and then the caller dials. It waits where a bound is reached.
func (p *Pool) get(ctx context.Context, key string, want wanted) (*berth, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errPoolClosed
	}
	now := time.Now()
	st := p.site(key)
	st.note(now, p.idleTime())
	b, doomed := p.find(st, want, now, p.stats.Waiting+1)
	if b != nil {
		p.mu.Unlock()
		p.dismiss(doomed)
		return b, nil
	}
	w := &waiter{want.dialer, want.name, *want.target, make(chan *berth, 1), 0}
	p.enqueue(st, w)
	p.mu.Unlock()
	p.dismiss(doomed)
	return p.wait(ctx, st, w)
}

// wait ends with a place, or with ctx.
func (p *Pool) wait(ctx context.Context, st *site, w *waiter) (*berth, error) {
	select {
	case b := <-w.granted:
		if b == nil {
			return nil, errPoolClosed
		}
		return b, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	left := p.dequeue(st, w)
	p.mu.Unlock()
	if !left { // it was granted at the same time
		if b := <-w.granted; b != nil {
			b.back()
		}
	}
	return nil, cancelled(ctx)
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
		if p.worn(b.session, now) || now.Sub(b.since) >= p.idleTime() {
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
	return b.dialer == want.dialer && b.name == want.name && b.target.same(want.target)
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
	b := &berth{pool: p, site: st, dialer: want.dialer, name: want.name, target: *want.target}
	b.target.opened = nil
	st.open++
	p.end(b.target.Addr).open++
	p.use(b)
	p.stats.Dialed++
	return b
}

func (p *Pool) use(b *berth) {
	if p.used == nil {
		p.used = make(map[*berth]struct{})
	}
	p.used[b] = struct{}{}
	b.site.inUse++
}

// back gives a place back that has a session in order, or none. A session that is
// broken, worn out or not wanted is closed.
func (b *berth) back() {
	p, s := b.pool, b.session
	now := time.Now()
	p.mu.Lock()
	delete(p.used, b)
	b.site.inUse--
	good := s != nil && s.err == nil && !p.worn(s, now) && s.mayMail() && !p.closed
	var doomed []*berth
	switch {
	case good && p.handOver(b):
	case good && (p.KeepAll || b.site.follows || b.site.inUse > 0):
		p.rest(b, now)
		doomed = p.grant()
	case s != nil && s.err == nil:
		p.leaving++
		doomed = []*berth{b}
	default:
		p.free(b)
		doomed = p.grant()
	}
	if p.closed && len(p.used) == 0 {
		p.allEnded()
	}
	p.mu.Unlock()
	p.dismiss(doomed)
}

// handOver passes the session on to the next delivery that waits for one like it,
// unless another one has let too many pass.
func (p *Pool) handOver(b *berth) bool {
	for i, w := range b.site.waiters {
		if b.suits(w.wanted()) {
			for _, earlier := range b.site.waiters[:i] {
				earlier.passed++
			}
			p.dequeue(b.site, w)
			p.use(b)
			p.stats.Reused++
			w.granted <- b
			return true
		}
		if w.passed >= maxPassed {
			return false
		}
	}
	return false
}

// grant gives places to those who wait, as far as there is room.
func (p *Pool) grant() (doomed []*berth) {
	for e := p.queue.Front(); e != nil; {
		st := e.Value.(*site)
		e = e.Next()
		for len(st.waiters) > 0 {
			w := st.waiters[0]
			b, more := p.find(st, w.wanted(), time.Now(), p.stats.Waiting)
			doomed = append(doomed, more...)
			if b == nil {
				break
			}
			p.dequeue(st, w)
			w.granted <- b
		}
		if p.Total > 0 && p.all() >= p.Total && p.idle.Len() == 0 {
			break // nothing can be done for the others either
		}
	}
	return doomed
}

// worn tells that a session has served long enough.
func (p *Pool) worn(s *Session, now time.Time) bool {
	return p.MaxUses >= 0 && s.at.Reused >= p.uses() || now.Sub(s.born) >= orDefault(p.MaxAge, 5*time.Minute)
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
	b.since = now
	b.place = p.idle.PushBack(b)
	b.site.idle = append(b.site.idle, b)
	e := p.end(b.target.Addr)
	e.idle = append(e.idle, b)
	if p.idle.Len() == 1 {
		p.wind(p.idleTime())
	}
}

// wake takes a session out of those that are idle.
func (p *Pool) wake(b *berth) {
	p.idle.Remove(b.place)
	b.place = nil
	b.site.idle = without(b.site.idle, b)
	e := p.ends[b.target.Addr]
	e.idle = without(e.idle, b)
}

func without(idle []*berth, b *berth) []*berth {
	for i := len(idle) - 1; i >= 0; i-- {
		if idle[i] == b {
			return append(idle[:i], idle[i+1:]...)
		}
	}
	return idle
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
	e := p.ends[b.target.Addr]
	if e.open--; e.open == 0 {
		delete(p.ends, b.target.Addr)
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

// maxSites is how many destinations are remembered that have no session: when
// there was a delivery to them is all that is known.
const maxSites = 4096

func (p *Pool) site(key string) *site {
	st := p.sites[key]
	if st != nil {
		return st
	}
	if len(p.sites) >= maxSites && len(p.sites) >= 2*p.all() {
		p.forget()
	}
	if p.sites == nil {
		p.sites = make(map[string]*site)
	}
	st = &site{key: key}
	p.sites[key] = st
	return st
}

// forget drops the destinations that nothing is open to.
func (p *Pool) forget() {
	for key, st := range p.sites {
		if st.open == 0 && len(st.waiters) == 0 {
			delete(p.sites, key)
		}
	}
}

func (p *Pool) enqueue(st *site, w *waiter) {
	st.waiters = append(st.waiters, w)
	if st.place == nil {
		st.place = p.queue.PushBack(st)
	}
	p.stats.Waiting++
}

// dequeue tells whether w was waiting.
func (p *Pool) dequeue(st *site, w *waiter) bool {
	for i := range st.waiters {
		if st.waiters[i] != w {
			continue
		}
		st.waiters = append(st.waiters[:i], st.waiters[i+1:]...)
		if len(st.waiters) == 0 {
			p.queue.Remove(st.place)
			st.place = nil
		}
		p.stats.Waiting--
		return true
	}
	return false
}

// wind sets the timer for the session that is idle longest.
func (p *Pool) wind(d time.Duration) {
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
		return
	}
	p.timer.Reset(d)
}

// expire closes what was idle for too long.
func (p *Pool) expire() {
	p.mu.Lock()
	now := time.Now()
	var doomed []*berth
	for p.idle.Len() > 0 {
		b := p.idle.Front().Value.(*berth)
		if left := p.idleTime() - now.Sub(b.since); left > 0 {
			p.wind(left)
			break
		}
		doomed = append(doomed, p.evict(b))
	}
	p.mu.Unlock()
	p.dismiss(doomed)
}

// Close closes the idle sessions and waits for those in use until ctx ends; then
// they are cut off, and their deliveries end as if the connection had been lost.
// Deliveries that wait, or come later, are Deferred. The error is that of ctx.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	var doomed []*berth
	for p.idle.Len() > 0 {
		doomed = append(doomed, p.evict(p.idle.Front().Value.(*berth)))
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	for p.queue.Len() > 0 {
		st := p.queue.Front().Value.(*site)
		w := st.waiters[0]
		p.dequeue(st, w)
		w.granted <- nil
	}
	if p.ended == nil {
		p.ended = make(chan struct{})
	}
	ended := p.ended
	if len(p.used) == 0 {
		p.allEnded()
	}
	p.mu.Unlock()
	p.dismiss(doomed)
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for b := range p.used {
		if b.session != nil {
			b.session.Close()
		}
	}
	return cancelled(ctx)
}

func (p *Pool) allEnded() {
	select {
	case <-p.ended:
	default:
		close(p.ended)
	}
}

// Stats gives the counters, and what there is now.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Idle, s.InUse = p.idle.Len(), len(p.used)
	return s
}

// partingTime bounds what a session may take to say QUIT when it is closed.
const partingTime = 100 * time.Millisecond

// dismiss says QUIT on sessions that nobody uses, closes them, and gives their
// places to those who wait.
func (p *Pool) dismiss(doomed []*berth) {
	for len(doomed) > 0 {
		for _, b := range doomed {
			b.session.part()
		}
		p.mu.Lock()
		for _, b := range doomed {
			p.leaving--
			p.free(b)
		}
		doomed = p.grant()
		p.mu.Unlock()
	}
}

// part ends a session that nobody uses.
func (s *Session) part() {
	ctx, cancel := context.WithTimeout(context.Background(), partingTime)
	defer cancel()
	if leave, err := s.enter(ctx); err == nil {
		s.leaveQuietly(errDone)
		leave()
	}
	s.Close()
}
