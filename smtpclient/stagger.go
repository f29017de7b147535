package smtpclient

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// opened is what dialling an address has come to before its session: a
// connection, or why there is none.
type opened struct {
	conn  net.Conn
	took  time.Duration
	err   error
	place *berth // of the connection; nil: there is no pool
	grant *grant // of the connection

	refused bool // by the Limiter: nothing was dialled
}

// failed tells that there is no connection, and why is known.
func (o *opened) failed() bool { return o != nil && o.conn == nil && o.err != nil }

// claim takes the place of the connection, once.
func (o *opened) claim() *berth {
	if o == nil {
		return nil
	}
	b := o.place
	o.place = nil
	return b
}

// take gives the result away, once. There is none if nothing was dialled.
func (o *opened) take() (conn net.Conn, took time.Duration, err error) {
	if o == nil {
		return nil, 0, nil
	}
	conn, took, err = o.conn, o.took, o.err
	o.conn, o.took, o.err = nil, 0, nil
	return conn, took, err
}

// close is for a result that nobody took.
func (o *opened) close() {
	if o != nil {
		o.grant.report(Used)
		o.grant.release()
	}
	defer func() {
		if b := o.claim(); b != nil {
			b.back(context.Background())
		}
	}()
	if o != nil {
		o.grant.report(Used)
		o.grant.release()
	}
	if conn, _, _ := o.take(); conn != nil {
		conn.Close()
	}
}

// fastest dials addresses of one host beside each other. Those that have failed
// come first in what is left to try, then the one that is connected; those that
// were overtaken are as if they had not been dialled. In a pool each has a place of
// its own: where an open session suits, or there is no room at once, nothing is
// dialled here.
func (w *way) fastest(ctx context.Context, targets []Target) (left []Target) {
	most := len(targets)
	if w.limits.Addresses > 0 {
		most = min(most, w.limits.Addresses-w.addresses)
	}
	if most < 2 || targets[0].opened != nil {
		return targets
	}
	if n := w.openTo(ctx, targets[:most]); n >= 0 {
		open := targets[n]
		return slices.Insert(slices.Delete(targets, n, n+1), 0, open)
	}
	order, results := w.race(ctx, targets[:most])
	for _, n := range order {
		t := targets[n]
		t.opened = results[n]
		left = append(left, t)
	}
	for n, t := range targets {
		if n >= most || results[n] == nil {
			left = append(left, t)
		}
	}
	return left
}

// openTo takes an open session to one of the targets from the pool; -1: there is
// none.
func (w *way) openTo(ctx context.Context, targets []Target) int {
	if p := w.client.Pool; p != nil {
		for n := range targets {
			if w.held = p.take(ctx, w.site, wanted{w.dialer, w.name, &targets[n]}); w.held != nil {
				return n
			}
		}
	}
	return -1
}

// lane prepares to dial one of the targets; nil: the pool has no room for it.
func (w *way) lane(t *Target) *opened {
	o := &opened{err: errRunAway}
	if p := w.client.Pool; p != nil {
		if o.place = p.claim(w.site, wanted{w.dialer, w.name, t}); o.place == nil {
			return nil
		}
	}
	return o
}

// race dials targets, each Limits.Stagger after the one before it, or as soon as
// one has failed. It ends with the first connection, when all have failed, or with
// ctx; every other connection is closed, and no goroutine is left. order has those
// that count, as they came in; the others have no result.
func (w *way) race(ctx context.Context, targets []Target) (order []int, results []*opened) {
	racing, stop := context.WithCancel(ctx)
	defer stop()
	results = make([]*opened, len(targets))
	finish := make(chan int, len(targets))
	timer := time.NewTimer(w.limits.Stagger)
	defer timer.Stop()
	started, running, won := 0, 0, false
	start := func() {
		if n := started; !won && n < len(targets) && ctx.Err() == nil {
			if results[n] = w.lane(&targets[n]); results[n] == nil {
				return
			}
			go func() {
				defer func() { finish <- n }()
				w.dialer.runTo(racing, targets[n], results[n])
			}()
			started++
			running++
			timer.Reset(w.limits.Stagger)
		}
	}
	start()
	for running > 0 {
		select {
		case <-timer.C:
			start()
		case n := <-finish:
			running--
			if won || results[n].refused {
				results[n].close()
				results[n] = nil
				continue
			}
			order = append(order, n)
			won = results[n].err == nil
			if won {
				stop()
			} else if b := results[n].claim(); b != nil {
				b.back(ctx)
			}
			start()
		}
	}
	return order, results
}

// errRunAway is a hook that ends the goroutine in which it is called.
var errRunAway = errors.New("Dialer.DialContext did not return")

// runTo opens a connection for race.
func (d *Dialer) runTo(ctx context.Context, t Target, o *opened) {
	defer func() {
		if p := recover(); p != nil {
			o.close()
			o.err = panicked(p)
		}
	}()
	at := Attempt{Stage: StageConnect, Host: t.Host, Addr: t.Addr, TLS: tlspolicy.State{Wanted: t.Policy.Level}}
	grant, refused := d.claim(ctx, &t, &at)
	if refused != nil {
		o.refused, o.err = true, refused
		return
	}
	o.grant = grant
	took, err := stagedAt(ctx, StageConnect, &at, func(*Event) (err error) {
		o.conn, err = d.connect(ctx, t)
		return err
	})
	o.took, o.err = took, err
	if err != nil {
		o.grant.report(Used)
		o.grant.release() // whoever is dialled next may need it
	}
}
