package smtpclient_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// A 5yz before MAIL fails the recipients where Limits.Final has the stage, and no
// other host is asked. A 4yz, a lost connection and the other stages do not.
func TestFinal(t *testing.T) {
	refuse := func(verb, reply string) func(smtptest.Command) action {
		return func(c smtptest.Command) action {
			if c.Verb == verb || verb == "EHLO" && c.Verb == "HELO" {
				return action{Reply: reply}
			}
			return action{}
		}
	}
	tests := []struct {
		verb, stage string
		final       smtpclient.Final
	}{
		{smtptest.Connect, "greeting", smtpclient.FinalGreeting},
		{"EHLO", "hello", smtpclient.FinalHello},
		{"STARTTLS", "starttls", smtpclient.FinalStartTLS},
	}
	for _, tt := range tests {
		t.Run(tt.stage, func(t *testing.T) {
			for final, fails := range map[smtpclient.Final]bool{
				0: false, tt.final: true, ^tt.final: false, smtpclient.FinalGreeting | smtpclient.FinalHello | smtpclient.FinalStartTLS: true,
			} {
				for reply, want := range map[string]string{"554 5.7.1 go away": "failed " + tt.stage + " 5.7.1", "450 4.7.1 later": ""} {
					inWorld(t, func(t *testing.T, w *world) {
						w.client.TLS = tlspolicy.Encrypt
						w.client.Limits.Final = final
						w.mx(10, &smtptest.Server{Script: refuse(tt.verb, reply)})
						mx20 := w.mx(20, &smtptest.Server{})
						if want == "" || !fails {
							want = "delivered data-done 2.0.0"
						}
						report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
						expect(t, report, "bob@example.net "+want)
						if got := mx20.Sessions() == 0; got != strings.HasPrefix(want, "failed") {
							t.Errorf("Final %b, %q: the next host was asked: %v", final, reply, !got)
						}
					})
				}
			}
		})
	}
	t.Run("soft bounce", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.client.Limits.Final = smtpclient.FinalGreeting
			w.client.Classify = softBounce
			w.mx(10, &smtptest.Server{Script: on(smtptest.Connect, action{Reply: "554 5.7.1 go away"})})
			w.mx(20, &smtptest.Server{})
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
		})
	})
}

// Recipients are split into transactions on one session: by our limit, which is 50
// unless it is set, by what the server says, and one by one for a notice.
func TestRecipientsInATransaction(t *testing.T) {
	for name, tt := range map[string]struct {
		from   string
		limit  int
		server string
		users  int
		want   []int
	}{
		"50":                             {"ann@example.org", 0, "PIPELINING", 120, []int{50, 50, 20}},
		"the server says more":           {"ann@example.org", 0, "LIMITS RCPTMAX=100", 120, []int{100, 20}},
		"the server says less":           {"ann@example.org", 0, "LIMITS RCPTMAX=40", 120, []int{40, 40, 40}},
		"ours is less":                   {"ann@example.org", 30, "LIMITS RCPTMAX=100", 70, []int{30, 30, 10}},
		"ours is more":                   {"ann@example.org", 60, "LIMITS RCPTMAX=50", 70, []int{50, 20}},
		"ours":                           {"ann@example.org", 60, "PIPELINING", 70, []int{60, 10}},
		"no limit":                       {"ann@example.org", -1, "PIPELINING", 120, []int{120}},
		"no limit but the server's":      {"ann@example.org", -1, "LIMITS RCPTMAX=70", 120, []int{70, 50}},
		"a notice":                       {"<>", 0, "PIPELINING", 3, []int{1, 1, 1}},
		"a notice, the server says more": {"<>", 0, "LIMITS RCPTMAX=100", 3, []int{1, 1, 1}},
		"a notice, and our limit":        {"<>", 2, "PIPELINING", 3, []int{2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Extensions: []string{tt.server}})
				w.client.Limits.Recipients = tt.limit
				env := smtpclient.Envelope{From: tt.from}
				for i := range tt.users {
					env.To = append(env.To, smtpclient.Recipient{Address: "user" + itoa(i) + "@example.net"})
				}
				if report := w.deliver(t.Context(), env, hello); report.Err() != nil {
					t.Error(report.Err())
				}
				if got := received(mx); !sameInts(got, tt.want...) || mx.Sessions() != 1 {
					t.Errorf("messages to %v recipients in %d sessions, want %v in one", got, mx.Sessions(), tt.want)
				}
			})
		})
	}
}

// Limits.Call bounds the whole call, wherever it is held; the error says so, and is
// a timeout.
func TestCallTime(t *testing.T) {
	for _, tt := range silences {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				tt.setUp(w)
				w.client.Limits.Call = 20 * time.Second
				start := time.Now()
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				if took := time.Since(start); took != 20*time.Second {
					t.Errorf("returned after %v", took)
				}
				expect(t, report, "bob@example.net "+tt.want)
				var e *smtpclient.Error
				if err := report.Err(); !errors.As(err, &e) || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Limits.Call") {
					t.Errorf("error %v does not say that the time for the call was used up", err)
				}
			})
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // the deadline of ctx counts besides
		w.unruly = true
		w.mx(10, nil)
		w.client.Limits.Call = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred connect 4.4.1")
		if err := report.Err(); strings.Contains(err.Error(), "Limits.Call") || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
