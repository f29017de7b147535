package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// silentAt never answers at one verb.
func silentAt(verb string) func(smtptest.Command) action {
	return on(verb, action{Fault: smtptest.Stall})
}

// silentResolver answers nothing until ctx ends.
type silentResolver struct{}

func (silentResolver) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	<-ctx.Done()
	return resolve.Answer{}, ctx.Err()
}

// silentSource decides nothing until ctx ends.
type silentSource struct{}

func (silentSource) Decide(ctx context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	<-ctx.Done()
	return tlspolicy.Policy{}, ctx.Err()
}

// silences are the places where a call can be held, with the outcome of bob
// after a cancel.
var silences = []struct {
	name  string
	setUp func(w *world)
	want  string
}{
	{"resolve", func(w *world) { w.mx(10, &smtptest.Server{}); w.client.Resolver = silentResolver{} }, "deferred resolve 4.4.3"},
	{"policy", func(w *world) { w.mx(10, &smtptest.Server{}); w.client.TLS = silentSource{} }, "deferred policy 4.7.5"},
	{"connect", func(w *world) { w.mx(10, nil) }, "deferred connect 4.4.1"},
	{"greeting", func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt(smtptest.Connect)}) }, "deferred greeting 4.4.2"},
	{"hello", func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt("EHLO")}) }, "deferred hello 4.4.2"},
	{"starttls", func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt("STARTTLS")}) }, "deferred starttls 4.4.2"},
	{"mail", func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt("MAIL")}) }, "deferred mail 4.4.2"},
	{"rcpt", func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt("RCPT")}) }, "deferred rcpt 4.4.2"},
	{"data-init", func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt("DATA")}) }, "deferred data-init 4.4.2"},
	{"data-done", func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt(smtptest.EndOfData)}) }, "unknown data-done 4.4.2"},
	{"lockstep mail", func(w *world) { w.mx(10, &smtptest.Server{Extensions: lockstep, Script: silentAt("MAIL")}) }, "deferred mail 4.4.2"},
	{"lockstep data-done", func(w *world) {
		w.mx(10, &smtptest.Server{Extensions: lockstep, Script: silentAt(smtptest.EndOfData)})
	}, "unknown data-done 4.4.2"},
}

// Wherever a call is held, a cancel ends it at once, with a report (invariants
// 1, 3 and 8). After it no server is tried any more.
func TestCancel(t *testing.T) {
	for _, tt := range silences {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true // a client that is cut off does not say QUIT
				tt.setUp(w)
				mx20 := w.mx(20, &smtptest.Server{})
				mine := errors.New("the operator has had enough")
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(10*time.Second, func() { cancel(mine) })
				start := time.Now()
				report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("returned %v after the cancel", took-10*time.Second)
				}
				expect(t, report, "bob@example.net "+tt.want)
				if !errors.Is(report.Err(), mine) {
					t.Errorf("error %q does not wrap the cause of the cancel", report.Err())
				}
				if n := mx20.Sessions(); n != 0 {
					t.Errorf("%d sessions with the next host after the cancel", n)
				}
			})
		})
	}
}

// The deadline of ctx ends a call like a cancel, and the error says that it was
// a timeout.
func TestContextDeadline(t *testing.T) {
	for _, tt := range silences {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				tt.setUp(w)
				w.client.Limits.Destinations = 1 // example.com comes second
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				report := w.deliver(ctx, fromAnn("bob@example.net", "bob@example.com"), hello)
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("returned after %v", took)
				}
				expect(t, report, "bob@example.net "+tt.want, "bob@example.com deferred resolve 4.4.3")
				var e *smtpclient.Error
				if !errors.As(report.Err(), &e) || !e.Timeout() || !e.Temporary() || !errors.Is(e, context.DeadlineExceeded) {
					t.Errorf("error %v does not say that it was a timeout", report.Err())
				}
			})
		})
	}
}

// X1: a call that is cancelled before it begins does nothing.
func TestCancelledBefore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred resolve 4.4.3")
		if n := mx.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

// A cancel while the content is on its way: never a whole message.
func TestCancelWithinContent(t *testing.T) {
	for _, read := range []int{0, 1, 4096, 100_000, 300_000} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			ctx, cancel := context.WithCancel(t.Context())
			mx := w.mx(10, &smtptest.Server{Extensions: pipelined})
			w.client.Dialer = &smtpclient.Dialer{DialContext: w.throttled(read, cancel)}
			report := w.deliver(ctx, fromAnn("bob@example.net"), longMessage(400_000))
			expect(t, report, "bob@example.net deferred data-block 4.4.2")
			if n := len(mx.Messages()); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}

// Each stage has its own time. One nanosecond before it is over the server may
// still answer; after it the session is broken.
func TestStageTimeouts(t *testing.T) {
	type set = func(d *smtpclient.Timeouts, v time.Duration)
	tests := []struct {
		verb     string
		usual    time.Duration // RFC 5321, Section 4.5.3.2, and Postfix
		set      set
		timedOut string
	}{
		{smtptest.Connect, 5 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.Greeting = v }, "deferred greeting 4.4.2"},
		{"EHLO", 5 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.Hello = v }, "deferred hello 4.4.2"},
		{"STARTTLS", 5 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.StartTLS = v }, "deferred starttls 4.4.2"},
		{"MAIL", 5 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.Mail = v }, "deferred mail 4.4.2"},
		{"RCPT", 5 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.Rcpt = v }, "deferred rcpt 4.4.2"},
		{"DATA", 2 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.DataInit = v }, "deferred data-init 4.4.2"},
		{smtptest.EndOfData, 10 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.DataDone = v }, "unknown data-done 4.4.2"},
	}
	for _, tt := range tests {
		for _, own := range []time.Duration{0, 7 * time.Second} {
			limit := tt.usual
			if own != 0 {
				limit = own
			}
			for delay, want := range map[time.Duration]string{limit - 1: "delivered data-done 2.0.0", limit + 1: tt.timedOut} {
				t.Run(fmt.Sprintf("%s/%v", tt.verb, delay), func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true
						w.mx(10, &smtptest.Server{Script: on(tt.verb, action{Delay: delay})})
						tt.set(&w.client.Dialer.Timeouts, own)
						report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
						expect(t, report, "bob@example.net "+want)
						if want != tt.timedOut {
							return
						}
						var e *smtpclient.Error
						if !errors.As(report.Err(), &e) || !e.Timeout() || !errors.Is(e, os.ErrDeadlineExceeded) {
							t.Errorf("error %v does not say that it was a timeout", report.Err())
						}
						if got := report.Outcomes[0].Times[report.Outcomes[0].Stage]; got < limit {
							t.Errorf("the stage took %v, want %v at least", got, limit)
						}
					})
				})
			}
		}
	}
}

// A connection that does not come about ends after its own time, and the next
// address is tried.
func TestConnectTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, nil)
		w.mx(20, &smtptest.Server{})
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("took %v, want 30s", took)
		}
		if e := report.Outcomes[0].Earlier[0]; e.Stage != smtpclient.StageConnect || !errors.Is(e.Cause, os.ErrDeadlineExceeded) || e.Times[smtpclient.StageConnect] != 30*time.Second {
			t.Errorf("the first attempt is %+v", e)
		}
	})
}

// R6: a reply that drips has the time of one reply for all its bytes.
func TestDrippingReply(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Script: on("MAIL", action{Reply: "250 " + string(make([]byte, 100)), Fault: smtptest.Drip, Delay: 4 * time.Minute})})
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred mail 4.4.2")
		if took := time.Since(start); took != 5*time.Minute {
			t.Errorf("took %v, want 5m", took)
		}
	})
}

// In a group every reply has its own time, counted from the one before it; the
// budget bounds them all (E32).
func TestTransactionBudget(t *testing.T) {
	slow := func(c smtptest.Command) action {
		if c.Verb == "RCPT" {
			return action{Delay: 4 * time.Minute}
		}
		return action{}
	}
	to := make([]string, 20)
	for i := range to {
		to[i] = "user" + itoa(i) + "@example.net"
	}
	for _, tt := range []struct {
		name         string
		budget, took time.Duration
		want         smtpclient.Status
	}{
		{"one hour and the content's time", 0, time.Hour + time.Duration(len(hello))*time.Second/500, smtpclient.Deferred},
		{"its own", 30 * time.Minute, 30 * time.Minute, smtpclient.Deferred},
		{"none", -1, 80 * time.Minute, smtpclient.Delivered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				// Every reply is written by itself, as a tarpit does.
				w.mx(10, &smtptest.Server{Extensions: lockstep, Script: slow})
				w.client.Dialer.Timeouts.Transaction = tt.budget
				start := time.Now()
				report := w.deliver(t.Context(), fromAnn(to...), hello)
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				for _, o := range report.Outcomes {
					if o.Status != tt.want {
						t.Errorf("%s: %v", o.Address, o.Err())
					}
				}
			})
		})
	}
}
