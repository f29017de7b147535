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
	target Target
	site   *site
	mine   *transaction  // its envelope, which only it touches
	wake   chan struct{} // has room for one: look at what follows

	passed  int          // deliveries that came later and went first
	invited *Session     // its envelope is to be made ready for this one
	at      *berth       // where it is invited
	ahead   *transaction // its envelope, once it is ready
	left    bool         // it does not wait any more
	done    bool         // it has its place, or the pool is closed
	got     *berth       // nil: the pool is closed
	written bool         // its envelope is, on the session that it got
}

func (w *waiter) wanted() wanted { return wanted{w.dialer, w.name, &w.target} }

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

// get gives a place for a session to want.target: with one that is open, or
// without, and then the caller dials. Where a bound is reached it gives a waiter.
func (p *Pool) get(key string, want wanted) (*berth, *waiter, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, errPoolClosed
	}
	now := time.Now()
	st := p.site(key)
	st.note(now, p.idleTime())
	b, doomed := p.find(st, want, now, p.stats.Waiting+1)
	var w *waiter
	if b == nil {
		w = &waiter{dialer: want.dialer, name: want.name, target: *want.target, site: st, wake: make(chan struct{}, 1)}
		p.enqueue(w)
		p.inviteTo(w)
	}
	p.mu.Unlock()
	p.dismiss(doomed)
	return b, w, nil
}

// await waits for a place, and makes the envelope ready when it is invited. Where
// that was written, it comes with the place.
func (w *way) await(ctx context.Context, wt *waiter, rcpts []*recipient) (*berth, *transaction, error) {
	p := w.client.Pool
	for {
		select {
		case <-wt.wake:
		case <-ctx.Done():
			p.giveUp(wt)
			wt.discard(false)
			return nil, nil, cancelled(ctx)
		}
		p.mu.Lock()
		s, at := wt.invited, wt.at
		wt.invited = nil
		done, b, written := wt.done, wt.got, wt.written
		p.mu.Unlock()
		switch {
		case done && b == nil:
			wt.discard(false)
			return nil, nil, errPoolClosed
		case done:
			return b, wt.discard(written), nil
		case s != nil:
			wt.discard(false)
			wt.mine = s.ready(ctx, w.letter, rcpts)
			p.offer(wt, at)
		}
	}
}

// discard gives the envelope of a waiter if it was written, and closes its content
// otherwise.
func (w *waiter) discard(written bool) *transaction {
	a := w.mine
	w.mine = nil
	if a != nil && !written {
		a.closeContent()
		return nil
	}
	return a
}

// giveUp ends waiting. A session that has the envelope already is of no use then,
// since its reply is for nobody: the owner closes it.
func (p *Pool) giveUp(w *waiter) {
	p.mu.Lock()
	w.left = true
	b := w.got
	switch {
	case w.done:
	case w.at == nil:
		p.dequeue(w)
	case w.at.next == w:
		w.at.next = nil
	}
	if b != nil && w.written {
		b.session.err = errGivenUp
	}
	p.mu.Unlock()
	if b != nil {
		b.back()
	}
}

// pick takes the next delivery that waits for a session like that of b out of the
// queue, unless another one has let too many pass.
func (p *Pool) pick(b *berth) *waiter {
	for i, w := range b.site.waiters {
		if b.suits(w.wanted()) {
			for _, earlier := range b.site.waiters[:i] {
				earlier.passed++
			}
			p.dequeue(w)
			return w
		}
		if w.passed >= maxPassed {
			return nil
		}
	}
	return nil
}

// handOver passes the session on to the next delivery that waits for one like it.
func (p *Pool) handOver(b *berth) bool {
	w := p.pick(b)
	if w == nil {
		return false
	}
	p.use(b)
	p.stats.Reused++
	w.end(b, false)
	p.invite(b)
	return true
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
			p.dequeue(w)
			w.end(b, false)
		}
		if p.Total > 0 && p.all() >= p.Total && p.idle.Len() == 0 {
			break // nothing can be done for the others either
		}
	}
	return doomed
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
		st.place = nil
	}
	p.stats.Waiting--
}
