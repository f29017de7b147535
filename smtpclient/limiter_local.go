package smtpclient

import (
	"context"
	"slices"
	"sync"
	"time"
)

// LocalLimiter is a Limiter for this process. The zero value is ready. It has no
// goroutine, must not be copied after its first use, and forgets what has not been
// used for an hour.
type LocalLimiter struct {
	// Rules gives the limits of a use. It has to give the same ones each time, and
	// several goroutines call it at the same time. nil: UsualLimits.
	Rules func(u Use) []Limit
	// Wait is how long a use waits for its turn, in order with the others of its
	// key, before it is refused. Zero: not at all.
	Wait time.Duration
	// Retry is when to come back where only the end of another use makes room.
	// Zero: 5 s.
	Retry time.Duration
	// Now is the clock, for simulations; with one Wait must be zero. It is asked with
	// a lock held. nil: time.Now.
	Now func() time.Time

	mu     sync.Mutex
	counts map[string]*count // by Limit.id
	swept  int               // how many were left when they were swept last

	granted, refused int64 // see LimiterStats
}

// Acquire implements Limiter.
func (l *LocalLimiter) Acquire(ctx context.Context, u Use) (Lease, error) {
	rules := l.Rules
	if rules == nil {
		rules = UsualLimits
	}
	limits := rules(u)
	if len(limits) == 0 {
		return l.unbounded(ctx)
	}
	w := &claimant{limits: InOrder(limits), wake: make(chan struct{}, 1)}
	end := l.now().Add(l.Wait)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		no := l.ask(w, end)
		if no == nil {
			return &localLease{limiter: l, limits: w.limits}, nil
		}
		if no.final {
			l.refuse()
			return nil, &RefusedError{Key: no.limit.Key, NotBefore: no.at}
		}
		l.await(ctx, w, no, end)
	}
}

// unbounded grants a use that has no limit, as a transaction by UsualLimits.
func (l *LocalLimiter) unbounded(ctx context.Context) (Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted++
	return boundless{}, nil
}

// boundless is a Lease of what has no limit.
type boundless struct{}

// Report implements Lease.
func (boundless) Report(Feedback) {}

// Release implements Lease.
func (boundless) Release() {}

func (l *LocalLimiter) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

// claimant is a use that waits.
type claimant struct {
	limits  []Limit
	wake    chan struct{} // holds one: granted, or to be asked again
	granted bool          // guarded by LocalLimiter.mu, like all below
	queue   *count        // where it stands; nil: nowhere
}

// refusal is why a use cannot go now.
type refusal struct {
	limit Limit
	count *count
	at    time.Time // when to ask again; before that is of no use if timed
	timed bool      // the time alone makes room
	final bool      // no time is left to wait
}

// ask takes what w needs, or says why not and lines it up.
func (l *LocalLimiter) ask(w *claimant, end time.Time) *refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.granted {
		return nil
	}
	now := l.now()
	no := l.check(w, now)
	if no == nil {
		l.take(w, now)
		return nil
	}
	no.final = !now.Before(end) || no.timed && no.at.After(end)
	if !no.final && !no.timed {
		w.queue = no.count
		no.count.waiting = append(no.count.waiting, w)
	}
	return no
}

// await sleeps until w may be asked again.
func (l *LocalLimiter) await(ctx context.Context, w *claimant, no *refusal, end time.Time) {
	if no.timed {
		end = no.at
	}
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-w.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w.leaveQueue()
	if w.granted && ctx.Err() != nil {
		w.granted = false
		l.granted--
		l.giveBack(w.limits, true)
	}
}

func (w *claimant) leaveQueue() {
	if w.queue != nil {
		w.queue.waiting = slices.DeleteFunc(w.queue.waiting, func(o *claimant) bool { return o == w })
		w.queue = nil
	}
}

// check finds the limit that holds w up for longest. Who comes anew has to stand
// behind those who wait.
func (l *LocalLimiter) check(w *claimant, now time.Time) (no *refusal) {
	for _, limit := range w.limits {
		c := l.count(limit, now)
		r := c.refuses(limit, now)
		if r == nil && limit.Per <= 0 && len(c.waiting) > 0 && c.waiting[0] != w {
			r = &refusal{}
		}
		if r == nil {
			continue
		}
		r.limit, r.count = limit, c
		if !r.timed {
			r.at = now.Add(orDefault(l.Retry, 5*time.Second))
		}
		if no == nil || r.at.After(no.at) {
			no = r
		}
	}
	return no
}

// take counts w in all of its limits.
func (l *LocalLimiter) take(w *claimant, now time.Time) {
	w.granted = true
	l.granted++
	for _, limit := range w.limits {
		l.count(limit, now).take(limit, now)
	}
}

// giveBack takes a use out of what counts at the same time, and one that was not
// used out of the rates, too. Then those go who have waited for it.
func (l *LocalLimiter) giveBack(limits []Limit, unused bool) {
	now := l.now()
	for _, limit := range limits {
		c := l.count(limit, now)
		switch {
		case limit.Per <= 0:
			c.inUse--
		case unused:
			c.next = c.next.Add(-limit.price())
		}
	}
	for _, limit := range limits {
		l.call(l.count(limit, now), now)
	}
}

// call grants in turn to those who wait for c. Who waits for something else
// besides is told to ask again.
func (l *LocalLimiter) call(c *count, now time.Time) {
	for len(c.waiting) > 0 {
		w := c.waiting[0]
		no := l.check(w, now)
		if no != nil && no.count == c && !no.timed {
			return
		}
		w.leaveQueue()
		if no == nil {
			l.take(w, now)
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// count finds the state of a limit, and now and then throws away what says
// nothing any more.
func (l *LocalLimiter) count(limit Limit, now time.Time) *count {
	if l.counts == nil {
		l.counts = make(map[string]*count)
	}
	c := l.counts[limit.id()]
	if c == nil {
		l.sweep(now)
		c = &count{}
		l.counts[limit.id()] = c
	}
	c.limit, c.touched = limit, now
	return c
}

func (l *LocalLimiter) sweep(now time.Time) {
	if len(l.counts) < 2*l.swept+1000 {
		return
	}
	for id, c := range l.counts {
		if c.idle(now) {
			delete(l.counts, id)
		}
	}
	l.swept = len(l.counts)
}

// localLease is a Lease of a LocalLimiter.
type localLease struct {
	limiter        *LocalLimiter
	limits         []Limit
	used, released bool // guarded by limiter.mu
}

// Report implements Lease.
func (g *localLease) Report(f Feedback) {
	l := g.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	g.used = true
	now := l.now()
	for _, limit := range g.limits {
		if limit.Start > 0 && limit.Per <= 0 {
			c := l.count(limit, now)
			c.learn(limit, f, now)
			l.call(c, now)
		}
	}
}

// Release implements Lease.
func (g *localLease) Release() {
	l := g.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if !g.released {
		g.released = true
		l.giveBack(g.limits, !g.used)
	}
}
