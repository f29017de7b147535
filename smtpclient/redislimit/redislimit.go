// Package redislimit holds many processes to common limits, by Redis or Valkey.
//
//	client.Limiter = &redislimit.Limiter{
//		Redis: redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"}),
//		Rules: func(u smtpclient.Use) []smtpclient.Limit { ... },
//	}
//
// What counts at the same time is a sorted set of leases, each with the time when
// it ends; a rate is one number, by the generic cell rate algorithm. All limits of
// a use are asked and taken in one script. The only clock is that of the server,
// in microseconds, so that rates may be far above one in a second, and the clocks
// of the processes may say what they like.
//
// Who can write to that Redis can stop all mail.
package redislimit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/redis/go-redis/v9"
)

// Limiter is a smtpclient.Limiter in Redis. Processes that share a Redis and a
// Prefix share their limits. It is safe for many goroutines and must not be copied.
// While it holds leases there is a goroutine that renews them.
//
// A process that stands still for longer than Lease, as a machine that is suspended,
// loses what it holds, and counts again when it goes on: meanwhile there may be
// more than Max.
type Limiter struct {
	// Redis is made and closed by the caller, after Close. It may be one server, a
	// cluster or with sentinels. What a fail-over loses is renewed within Lease.
	Redis redis.UniversalClient
	// Prefix is put before every key. "": "{postrider}:limit:". In a cluster all keys
	// of a use have to be in one slot: so it needs a part in braces.
	Prefix string
	// Rules gives the limits of a use, in every process the same. Limit.Start has no
	// meaning here: there are Max from the first. nil: smtpclient.UsualLimits.
	Rules func(u smtpclient.Use) []smtpclient.Limit
	// Lease is after what time the leases of a process that has died come back. A
	// living one renews them three times as often. Zero: 1 minute.
	Lease time.Duration
	// Retry is when to come back where only the end of another use makes room.
	// Zero: 5 s.
	Retry time.Duration
	// Timeout is how long Redis is waited for. Zero: 2 s.
	Timeout time.Duration
	// Down is asked while Redis cannot be, as a LocalLimiter with this process's
	// share. nil: the error is returned, and mail is deferred.
	Down smtpclient.Limiter

	now func() time.Time // for tests; nil: time.Now

	mu      sync.Mutex
	held    map[*lease]bool // to be renewed
	back    []*lease        // to be given back
	running bool            // a keeper
	closed  bool
	wake    chan struct{} // holds one: there is something to give back
	ended   chan struct{} // closed when the keeper has gone
}

// ErrClosed is the error of Acquire after Close.
var ErrClosed = errors.New("redislimit: the Limiter is closed")

// Acquire implements smtpclient.Limiter.
func (l *Limiter) Acquire(ctx context.Context, u smtpclient.Use) (smtpclient.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rules := l.Rules
	if rules == nil {
		rules = smtpclient.UsualLimits
	}
	g := &lease{limiter: l, id: rand.Text(), limits: smtpclient.InOrder(rules(u)), done: make(chan struct{})}
	if len(g.limits) == 0 {
		return free{}, nil
	}
	if l.isClosed() {
		return nil, ErrClosed
	}
	a, err := l.ask(ctx, g)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case err != nil && l.Down != nil:
		return l.Down.Acquire(ctx, u)
	case err != nil:
		return nil, fmt.Errorf("redislimit: %w", err)
	case a.refused > 0:
		limit := g.limits[a.refused-1]
		return nil, &smtpclient.RefusedError{Key: limit.Key, NotBefore: l.clock().Add(a.wait)}
	}
	return g, nil
}

func (l *Limiter) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Limiter) clock() time.Time {
	if l.now != nil {
		return l.now()
	}
	return time.Now()
}

// answer is what the script says to a use.
type answer struct {
	refused int           // number of the limit that is used up, from 1; 0: granted
	wait    time.Duration // until there may be room
}

// ask runs the script within ctx and Timeout. The client of Redis does not notice
// that a ctx was cancelled: what comes when nobody waits any more is given back.
func (l *Limiter) ask(ctx context.Context, g *lease) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(l.Timeout, 2*time.Second))
	defer cancel()
	type result struct {
		answer
		err error
	}
	done := make(chan result)
	go func() {
		a, err := l.acquire(context.WithoutCancel(ctx), g)
		granted := err == nil && a.refused == 0
		if granted && !l.hold(g) {
			granted, err = false, ErrClosed
		}
		if err != nil {
			g.giveBack() // it may have been granted, and the answer lost
		}
		select {
		case done <- result{a, err}:
		case <-ctx.Done():
			if granted {
				g.giveBack()
			}
		}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func orDefault(d, usual time.Duration) time.Duration {
	if d <= 0 {
		return usual
	}
	return d
}

// free is the Lease of a use without limits.
type free struct{}

func (free) Report(smtpclient.Feedback) {}
func (free) Release()                   {}
