package redislimit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// lease is a use in Redis.
type lease struct {
	limiter *Limiter
	id      string
	limits  []smtpclient.Limit
	granted bool // as far as is known; else the answer was lost
	used    atomic.Bool
	once    sync.Once
	done    chan struct{} // closed when it was given back, or that has failed
}

// Report implements smtpclient.Lease.
func (g *lease) Report(smtpclient.Feedback) { g.used.Store(true) }

// Release implements smtpclient.Lease. It waits for Redis, but not for long: what
// could not be given back is not renewed either, and ends by itself.
func (g *lease) Release() {
	g.giveBack()
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-g.done:
	case <-timer.C:
	}
}

// giveBack leaves it to the keeper, so that no renewal comes behind it.
func (g *lease) giveBack() {
	g.once.Do(func() {
		l := g.limiter
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, g)
		l.back = append(l.back, g)
		l.keepLocked()
		select {
		case l.wake <- struct{}{}:
		default:
		}
	})
}

// hold has the lease renewed from now on. After Close there is nobody to do it.
func (l *Limiter) hold(g *lease) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.granted = true
	if l.closed {
		return false
	}
	if l.held == nil {
		l.held = make(map[*lease]bool)
	}
	l.held[g] = true
	l.keepLocked()
	return true
}

// keepLocked starts the keeper, unless it runs.
func (l *Limiter) keepLocked() {
	if l.running {
		return
	}
	l.running = true
	l.wake, l.ended = make(chan struct{}, 1), make(chan struct{})
	go l.keep(l.wake, l.ended)
}

// keep gives back and renews as long as there is anything to be.
func (l *Limiter) keep(wake, ended chan struct{}) {
	defer close(ended)
	every := orDefault(l.Lease, time.Minute) / 3
	due := time.Now().Add(every) // not after the timer
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		back, ok := l.next()
		if !ok {
			return
		}
		if len(back) > 0 {
			l.giveAll(back)
		} else {
			select {
			case <-wake:
			case <-timer.C:
			}
		}
		// A busy process always has some to give back, and must renew the others none
		// the less.
		if !time.Now().Before(due) {
			l.renew(context.Background(), l.all())
			due = time.Now().Add(every)
			timer.Reset(every)
		}
	}
}

// giveAll gives back, until Redis cannot be reached: who is behind is not to wait
// for that again and again, and neither are those who live.
func (l *Limiter) giveAll(back []*lease) {
	var err error
	for _, g := range back {
		if err == nil {
			err = l.release(context.Background(), g)
		}
		close(g.done)
	}
}

// next takes what is to be given back. It tells whether there is anything to do.
func (l *Limiter) next() (back []*lease, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	back, l.back = l.back, nil
	l.running = len(back) > 0 || len(l.held) > 0
	return back, l.running
}

func (l *Limiter) all() []*lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*lease, 0, len(l.held))
	for g := range l.held {
		list = append(list, g)
	}
	return list
}

// Close gives back what is held and ends the goroutine. It waits for Redis for
// Timeout at most; what could not be given back comes back after Lease. Connections
// should be closed before, and so should a Pool. Afterwards nothing is granted.
func (l *Limiter) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	for _, g := range l.all() {
		g.giveBack()
	}
	l.mu.Lock()
	ended := l.ended
	l.mu.Unlock()
	if ended == nil {
		return nil
	}
	timer := time.NewTimer(orDefault(l.Timeout, 2*time.Second))
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return context.DeadlineExceeded
	}
}
