package smtpclient

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider/tlspolicy"
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

	rested sync.Pool // of *waiter who wait no more; a channel belongs to one Pool, since a bubble of testing/synctest has its own

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
	ended   chan struct{} // closed when the last session is gone; nil before Close
	stats   PoolStats
	policy  *tlspolicy.Policy // of the newest place, which others share
}

// PoolStats is what a Pool has done, and what it holds.
type PoolStats struct {
	Dialed  int64 // places given to new sessions
	Reused  int64 // deliveries that found an open session
	Dropped int64 // sessions that were closed while idle: too old, not wanted, or in the way

	Idle, InUse, Waiting int
}

var errPoolClosed = errors.New("the pool is closed")

// Close closes the idle sessions and waits until those in use have ended, or ctx
// has; then they are cut off, and their deliveries end as if the connection had been lost.
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
		w := p.queue.Front().Value.(*site).waiters[0]
		p.dequeue(w)
		w.end(nil, false)
	}
	if p.ended == nil {
		p.ended = make(chan struct{})
	}
	ended := p.ended
	p.noteEnd()
	p.mu.Unlock()
	p.dismiss(ctx, doomed)
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

// noteEnd tells Close when nothing is left.
func (p *Pool) noteEnd() {
	if !p.closed || len(p.used) > 0 || p.leaving > 0 {
		return
	}
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
