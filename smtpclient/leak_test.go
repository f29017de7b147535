package smtpclient_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// counted is a connection that tells when it is closed.
type counted struct {
	net.Conn
	open   *int
	closed bool
}

func (c *counted) Close() error {
	if !c.closed {
		c.closed = true
		*c.open--
	}
	return c.Conn.Close()
}

// counting dials connections and keeps the number of those that are open.
func (w *world) counting() *int {
	open := new(int)
	dial := w.client.Dialer.DialContext
	w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		*open++
		return &counted{Conn: conn, open: open}, nil
	}
	return open
}

// However a call ends, by a fault, a cancel or a panic in any hook, no connection
// is left open (invariant 10). That no goroutine is left, the bubble checks.
func TestNoConnectionIsLeft(t *testing.T) {
	verbs := []string{smtptest.Connect, "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", smtptest.EndOfData, "QUIT"}
	for _, verb := range verbs {
		for _, act := range []action{{}, {Fault: smtptest.Drop}, {Reply: "450 wait"}, {Reply: "550 no"}, {Reply: "421 bye"}, {Reply: "354 go"}, {Fault: smtptest.Garbage}, {Fault: smtptest.Stall}} {
			for _, extensions := range [][]string{nil, lockstep} {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = true
					w.mx(10, &smtptest.Server{Extensions: extensions, Script: on(verb, act)})
					w.mx(20, &smtptest.Server{Extensions: extensions, Script: on(verb, act)})
					open := w.counting()
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					w.deliver(ctx, fromAnn("bob@example.net", "carol@example.net"), hello)
					if *open != 0 {
						t.Errorf("%s %+v: %d connections are open", verb, act, *open)
					}
				})
			}
		}
	}
	for line := 1; line < 40; line++ {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{})
			open := w.counting()
			n := 0
			trace := &smtpclient.Trace{Line: func(context.Context, string) {
				if n++; n == line {
					panic("trace gone mad")
				}
			}}
			w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net"), hello)
			if *open != 0 {
				t.Errorf("panic at line %d: %d connections are open", line, *open)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		open := w.counting()
		w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { panic("quirks gone mad") }
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		if o := report.Outcomes[0]; *open != 0 || o.Cause == nil || !strings.Contains(o.Cause.Error(), "gone mad") {
			t.Errorf("panic in Quirks: %d connections are open, %v", *open, o.Err())
		}
	})
}
