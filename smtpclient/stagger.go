package smtpclient

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"
)

// opened is a connection that was made before its session.
type opened struct {
	conn net.Conn
	took time.Duration
}

// take gives the connection away, once.
func (o *opened) take() (conn net.Conn, took time.Duration) {
	if o == nil {
		return nil, 0
	}
	conn, o.conn = o.conn, nil
	return conn, o.took
}

// runner is one address that was dialled beside others: a connection, or why
// there is none.
type runner struct {
	target  Target
	opened  *opened
	failure *Error
}

// errRunAway is a hook that ends the goroutine in which it is called.
var errRunAway = errors.New("Dialer.DialContext did not return")

// fastest dials addresses of one host beside each other, and puts the one that is
// connected first in front of those that are left to try. Those that have failed by
// then were attempts; those that were overtaken were none, and stay.
func (w *way) fastest(ctx context.Context, targets []Target) (left []Target) {
	most := len(targets)
	if w.limits.Addresses > 0 {
		most = min(most, w.limits.Addresses-w.addresses)
	}
	if most < 2 {
		return targets
	}
	failed, won := w.race(ctx, targets[:most])
	left = slices.Clone(targets)
	for _, r := range failed {
		left = without(left, r.target.Addr)
		w.addresses++
		w.noteBind(r.failure, r.target)
		w.settleUnreached(ctx, stillOpen(w.rcpts), r.target, r.failure)
	}
	if won != nil {
		won.target.opened = won.opened
		left = append([]Target{won.target}, without(left, won.target.Addr)...)
	}
	return left
}

func without(targets []Target, addr string) []Target {
	return slices.DeleteFunc(targets, func(t Target) bool { return t.Addr == addr })
}

// race dials targets, each Limits.Stagger after the one before it, or as soon as
// one has failed. It ends with the first connection, when all have failed, or with
// ctx; every other connection is closed, and no goroutine is left.
func (w *way) race(ctx context.Context, targets []Target) (failed []runner, won *runner) {
	racing, stop := context.WithCancel(ctx)
	defer stop()
	results := make(chan runner, len(targets))
	timer := time.NewTimer(w.limits.Stagger)
	defer timer.Stop()
	started, running := 0, 0
	start := func() {
		if won == nil && started < len(targets) && ctx.Err() == nil {
			go w.dialer.runTo(racing, targets[started], w.before, results)
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
		case r := <-results:
			running--
			switch {
			case r.failure == nil && won == nil:
				won = &r
				stop()
			case r.failure == nil:
				r.opened.conn.Close()
			case won == nil:
				failed = append(failed, r)
				start()
			}
		}
	}
	return failed, won
}

// runTo opens a connection for race.
func (d *Dialer) runTo(ctx context.Context, t Target, before StageTimes, results chan<- runner) {
	at := t.complete(before)
	at.Stage = StageConnect
	o := &opened{}
	failure := unconnected(at, errRunAway)
	defer func() {
		if p := recover(); p != nil {
			at.Enhanced, at.Cause = "4.3.0", panicked(p)
			failure = &Error{Status: Deferred, Attempt: at}
		}
		if failure != nil && o.conn != nil {
			o.conn.Close()
		}
		results <- runner{target: t, opened: o, failure: failure}
	}()
	took, err := staged(ctx, at, func() (err error) {
		o.conn, err = d.connect(ctx, t)
		return err
	})
	o.took = took
	at.Times[StageConnect] += took
	failure = nil
	if err != nil {
		failure = unconnected(at, err)
	}
}
