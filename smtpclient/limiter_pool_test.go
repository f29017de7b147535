package smtpclient_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// pooled gives the world's client a pool that keeps sessions, and a ledger.
func (w *world) pooled() (*smtpclient.Pool, *ledger) {
	p, l := &smtpclient.Pool{KeepAll: true}, &ledger{}
	w.client.Pool, w.client.Limiter = p, l
	return p, l
}

// An open session has its lease as long as it is open; each transaction on it asks
// for its own.
func TestLimiterWithPool(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p, l := w.pooled()
		w.mx(10, &smtptest.Server{})
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		want := "+transaction mx10, +connection mx10, worked connection mx10, worked transaction mx10, worked connection mx10, -transaction mx10"
		if got := l.said(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		env := fromAnn("carol@example.net")
		env.From = "dave@example.org"
		w.deliver(t.Context(), env, hello)
		want = "+transaction mx10, worked transaction mx10, worked connection mx10, -transaction mx10"
		if got := l.said(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if from := l.uses[2].From; from != "dave@example.org" {
			t.Errorf("the second transaction was asked for as of %s", from)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := l.said(); got != "-connection mx10" {
			t.Errorf("when the pool is closed: %s", got)
		}
	})
}

// A second transaction of a delivery on a session that another one has opened is
// asked for as this delivery's.
func TestLimiterOnReusedSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p, l := w.pooled()
		w.client.Limits.Recipients = 1
		w.mx(10, &smtptest.Server{})
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		env := fromAnn("carol@example.net", "erin@example.net")
		env.From = "dave@example.org"
		w.deliver(t.Context(), env, hello)
		for i, u := range l.uses[2:] {
			if u.From != "dave@example.org" || u.Connection {
				t.Errorf("use %d: %+v", i, u)
			}
		}
		if len(l.uses) != 4 {
			t.Errorf("%d uses", len(l.uses))
		}
		p.Close(t.Context())
		if l.open != 0 {
			t.Errorf("%d leases are held", l.open)
		}
	})
}

// Who is refused leaves the session that is open to others.
func TestRefusedWithSessionOpen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p, l := w.pooled()
		mx := w.mx(10, &smtptest.Server{})
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		l.refuse = func(smtpclient.Use) error { return comeBack(7) }
		report := w.deliver(t.Context(), fromAnn("carol@example.net"), hello)
		expect(t, report, "carol@example.net deferred limit 4.4.5")
		expectLater(t, report, 7)
		l.refuse = nil
		report = w.deliver(t.Context(), fromAnn("dave@example.net"), hello)
		expect(t, report, "dave@example.net delivered data-done 2.0.0")
		if s := p.Stats(); mx.Sessions() != 1 || s.Idle != 1 || s.InUse != 0 {
			t.Errorf("%d sessions; %+v", mx.Sessions(), s)
		}
		p.Close(t.Context())
		if l.open != 0 {
			t.Errorf("%d leases are held: %s", l.open, l.said())
		}
	})
}

// A session that is gone when it is to be used again is replaced, with a lease of
// its own, and the destination is not held to be broken for it.
func TestLimiterAndStaleSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		p, l := w.pooled()
		mails := 0
		mx := w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == "MAIL" {
				if mails++; mails == 2 {
					return action{Fault: smtptest.Drop}
				}
			}
			return action{}
		}})
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		l.said()
		report := w.deliver(t.Context(), fromAnn("carol@example.net"), hello)
		expect(t, report, "carol@example.net delivered data-done 2.0.0")
		if said := l.said(); strings.Contains(said, "broken") || mx.Sessions() != 2 {
			t.Errorf("%d sessions; %s", mx.Sessions(), said)
		}
		p.Close(t.Context())
		if l.open != 0 {
			t.Errorf("%d leases are held", l.open)
		}
	})
}

// Overlapped transactions are each asked for, and nothing is held at the end.
func TestLimiterWithOverlap(t *testing.T) {
	inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond}}, func(t *testing.T, c *convoy) {
		l := &ledger{}
		c.w.client.Limiter = l
		for n := range 20 {
			c.send(t.Context(), n, nil)
		}
		c.expect(strings.Repeat("d", 20))
		c.pool.Close(t.Context())
		synctest.Wait()
		transactions := 0
		for _, u := range l.uses {
			if !u.Connection {
				transactions++
			}
		}
		if said := l.said(); transactions < 20 || l.open != 0 || strings.Contains(said, "broken") {
			t.Errorf("%d transactions were asked for, %d leases are held: %s", transactions, l.open, said)
		}
	})
}

// A pool with a Limiter gives all back, whatever the server does.
func TestLeasesComeBackWithPool(t *testing.T) {
	for _, verb := range []string{smtptest.Connect, "EHLO", "MAIL", "RCPT", "DATA", smtptest.EndOfData} {
		for _, act := range []action{{Fault: smtptest.Drop}, {Reply: "450 wait"}, {Reply: "550 no"}, {Reply: "421 bye"}, {Fault: smtptest.Garbage}, {Fault: smtptest.Stall}} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				p, l := w.pooled()
				p.Total = 2
				w.mx(10, &smtptest.Server{Script: on(verb, act)})
				w.mx(20, &smtptest.Server{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				done := make(chan struct{})
				for i := range 6 {
					go func() {
						defer func() { done <- struct{}{} }()
						w.client.Deliver(ctx, fromAnn(fmt.Sprintf("user%d@example.net", i)), smtpclient.Bytes([]byte(hello)))
					}()
				}
				for range 6 {
					<-done
				}
				p.Close(t.Context())
				synctest.Wait()
				if l.open != 0 {
					t.Errorf("%s %+v: %d leases are held", verb, act, l.open)
				}
			})
		}
	}
}
