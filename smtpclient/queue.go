package smtpclient

import (
	"context"
	"slices"
	"time"
)

// waiter is a delivery that waits for a place. What stands below wake is guarded by
// Pool.mu.
type waiter struct {
	dialer *Dialer
	name   string
	target *Target
	site   *site
	mine   *transaction // its envelope, which only it touches
	since  time.Time
	wake   chan struct{} // has room for one: look at what follows

	passed  int          // deliveries that came later and went first
	invited *Session     // its envelope is to be made ready for this one
	at      *berth       // where it is invited, or its envelope is written
	ahead   *transaction // its envelope, once it is ready
	left    bool         // it does not wait any more
	done    bool         // it has its place, or the pool is closed
	got     *berth       // nil: the pool is closed
	written bool         // its envelope is, on the session that it got
	sent    bool         // its envelope was written; where its content was, too, it is committed
	peer    resting      // of the session where it is invited
}

func (p *Pool) newWaiter(st *site, want wanted, now time.Time) *waiter {
	w, ok := p.rested.Get().(*waiter)
	if !ok {
		w = &waiter{wake: make(chan struct{}, 1)}
	}
	w.dialer, w.name, w.target, w.site, w.since = want.dialer, want.name, want.target, st, now
	return w
}

// recycle is for one who has his place: no berth knows him any more.
func (p *Pool) recycle(w *waiter) {
	select {
	case <-w.wake: // he was told twice
	default:
	}
	*w = waiter{wake: w.wake}
	p.rested.Put(w)
}

func (w *waiter) wanted() wanted { return wanted{w.dialer, w.name, w.target} }

// tell wakes who waits, if he is not awake already.
func (w *waiter) tell() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// end gives a waiter its place; nil where the pool is closed.
func (w *waiter) end(b *berth, written bool) {
	w.at, w.invited = nil, nil
	w.done, w.got, w.written = true, b, written
	w.tell()
}

// maxPassed is how often a delivery whose turn it is lets others go first, whom an
// open session suits as it is.
const maxPassed = 8

// overtaken tells that nobody goes first any more. Who is invited has a session in
// view, and is passed by what the others of its destination take meanwhile.
func (w *waiter) overtaken() bool {
	most := maxPassed
	if w.at != nil {
		most *= len(w.site.inUse)
	}
	return w.passed >= most
}

// get gives a place for a session to want.target: with one that is open, or
// without, and then the caller dials. Where a bound is reached it gives a waiter.
func (p *Pool) get(ctx context.Context, key string, want wanted) (*berth, *waiter, error) {
	now := time.Now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, errPoolClosed
	}
	st := p.site(key)
	st.note(now, p.idleTime())
	b, doomed := p.find(st, want, now, p.stats.Waiting+1)
	var w *waiter
	if b == nil {
		w = p.newWaiter(st, want, now)
		p.enqueue(w)
		p.inviteTo(w)
	}
	p.mu.Unlock()
	p.dismiss(ctx, doomed)
	return b, w, nil
}

// await waits for a place, and makes the envelope ready when it is invited. Where
// that was written, it comes with the place.
func (w *way) await(ctx context.Context, wt *waiter, rcpts []*recipient) (*berth, *transaction, error) {
	p := w.client.Pool
	over := false
	defer func() {
		if !over { // a hook of the caller ended it all
			w.letter.kept = true
			p.giveUp(ctx, wt)
		}
	}()
	for {
		if !wt.told(ctx) {
			over = true
			w.letter.kept = true
			flown := p.giveUp(ctx, wt)
			return nil, wt.discard(flown), cancelled(ctx)
		}
		p.mu.Lock()
		s, at, peer := wt.invited, wt.at, wt.peer
		wt.invited = nil
		done, b, written := wt.done, wt.got, wt.written
		p.mu.Unlock()
		switch {
		case done && b == nil:
			wt.discard(false)
			over = true
			return nil, nil, errPoolClosed
		case done:
			a := wt.discard(written)
			over = true
			p.recycle(wt)
			return b, a, nil
		case s != nil:
			wt.discard(false)
			if wt.mine = s.ready(ctx, w.letter, rcpts); wt.mine != nil {
				wt.mine.peer = peer
			}
			p.offer(wt, at)
		}
	}
}

// told waits for word of the pool; false is the end of ctx. Most are invited as they
// come, and need no select of two.
func (w *waiter) told(ctx context.Context) bool {
	select {
	case <-w.wake:
		return true
	default:
	}
	select {
	case <-w.wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// discard gives the envelope of a waiter if it was written, and closes its content
// otherwise.
func (w *waiter) discard(written bool) *transaction {
	a := w.mine
	w.mine = nil
	if a != nil && !written {
		a.drop()
		return nil
	}
	return a
}

// giveUp ends waiting, and tells whether the content may have arrived by now. A
// session that has an envelope without it is of no use then, since its reply is for
// nobody: the owner closes it.
func (p *Pool) giveUp(ctx context.Context, w *waiter) (flown bool) {
	p.mu.Lock()
	w.left = true
	b := w.got
	flown = w.sent && w.ahead.committed
	switch {
	case !w.done && !w.sent:
		p.dequeue(w)
		p.release(w)
	case b != nil && flown:
		b.session.owe(w.ahead)
	case b != nil && w.written:
		b.session.err = errGivenUp
	}
	p.mu.Unlock()
	if b != nil {
		b.back(ctx)
	}
	return flown
}

// turn is the next delivery that waits for a session like that of b and is invited
// nowhere; nil where there is none, or it is somebody else's turn.
func (p *Pool) turn(b *berth) *waiter {
	if p.yields(b) {
		return nil
	}
	for _, w := range b.site.waiters {
		if w.at == nil && b.suits(w.wanted()) {
			return w
		}
		if w.overtaken() {
			break
		}
	}
	return nil
}

// turnOfGuest is turn for those who are invited somewhere.
func (p *Pool) turnOfGuest(b *berth) *waiter {
	if p.yields(b) {
		return nil
	}
	for _, w := range b.site.waiters {
		if w.at != nil && b.suits(w.wanted()) {
			return w
		}
		if w.overtaken() {
			break
		}
	}
	return nil
}

// yields tells that a session, which may just have come back, has served its own
// destination for long enough while another one waits for room.
func (p *Pool) yields(b *berth) bool {
	st := p.longest()
	return st != nil && st != b.site && st.passed >= maxPassed &&
		(p.Total > 0 && p.all()+1 >= p.Total || st.waiters[0].target.Addr == b.asked.addr)
}

// longest is the destination that waits longest for room that others have; nil if
// none does.
func (p *Pool) longest() *site {
	for e := p.queue.Front(); e != nil; e = e.Next() {
		if st := e.Value.(*site); p.roomAt(st) {
			return st
		}
	}
	return nil
}

// serve takes a delivery out of the queue because its turn has come, and counts
// those that it passes. Its destination is the last one now.
func (p *Pool) serve(w *waiter) {
	for _, earlier := range w.site.waiters {
		if earlier == w {
			break
		}
		earlier.passed++
	}
	if st := p.longest(); st != nil && st != w.site {
		st.passed++
	}
	p.dequeue(w)
	if w.site.passed = 0; w.site.place != nil {
		p.queue.MoveToBack(w.site.place)
	}
}

// handOver passes the session on to the next delivery that waits for one like it.
func (p *Pool) handOver(b *berth) bool {
	w := p.turn(b)
	if w == nil {
		w = p.turnOfGuest(b)
	}
	if w == nil {
		return false
	}
	p.grantTo(w, b)
	p.use(b)
	p.stats.Reused++
	p.invite(b)
	return true
}

// grantTo ends the waiting of a delivery with a place.
func (p *Pool) grantTo(w *waiter, b *berth) {
	p.serve(w)
	p.release(w)
	w.end(b, false)
}

// grant gives places to those who wait, as far as there is room: one to each
// destination in turn.
func (p *Pool) grant() (doomed []*berth) {
	for e := p.queue.Front(); e != nil; {
		st := e.Value.(*site)
		e = e.Next()
		granted, more := p.grantAt(st)
		doomed = append(doomed, more...)
		if granted && e == nil {
			e = st.place
		}
		if p.Total > 0 && p.all() >= p.Total && p.idle.Len() == 0 {
			break // nothing can be done for the others either
		}
	}
	return doomed
}

// grantAt gives a place to the first delivery of a destination, or to a later one
// where only another address has room.
func (p *Pool) grantAt(st *site) (granted bool, doomed []*berth) {
	for i, w := range st.waiters {
		if i > 0 && !p.room(st, w.target.Addr) {
			continue
		}
		b, more := p.find(st, w.wanted(), time.Now(), p.stats.Waiting)
		doomed = append(doomed, more...)
		if b != nil {
			p.grantTo(w, b)
			return true, doomed
		}
		if p.PerEndpoint <= 0 || !p.roomAt(st) {
			break
		}
	}
	return false, doomed
}

func (p *Pool) enqueue(w *waiter) {
	w.site.waiters = append(w.site.waiters, w)
	p.enqueued(w)
}

func (p *Pool) enqueueFirst(w *waiter) {
	w.site.waiters = slices.Insert(w.site.waiters, 0, w)
	p.enqueued(w)
}

func (p *Pool) enqueued(w *waiter) {
	if w.site.place == nil {
		w.site.place = p.queue.PushBack(w.site)
	}
	p.stats.Waiting++
}

func (p *Pool) dequeue(w *waiter) {
	st := w.site
	i := slices.Index(st.waiters, w)
	if i < 0 {
		return
	}
	st.waiters = slices.Delete(st.waiters, i, i+1)
	if len(st.waiters) == 0 {
		p.queue.Remove(st.place)
		st.place, st.passed = nil, 0
	}
	p.stats.Waiting--
}
