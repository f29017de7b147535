package smtpclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Quirks.PIX and what belongs to it, where a firewall masks the greeting.
func TestPIX(t *testing.T) {
	const masked = "220 ********0*2********"
	ago := func(d time.Duration) func(*smtpclient.Envelope) {
		return func(env *smtpclient.Envelope) { env.Arrival = time.Now().Add(-d) }
	}
	old, young := ago(500*time.Second), ago(499*time.Second)
	for _, tt := range []struct {
		name     string
		greeting string
		quirks   smtpclient.Quirks
		arrival  func(*smtpclient.Envelope)
		verb     string
		pause    time.Duration
	}{
		{"both", masked, smtpclient.Quirks{}, old, "HELO", 10 * time.Second},
		{"young message", masked, smtpclient.Quirks{}, young, "HELO", 0},
		{"unknown age", masked, smtpclient.Quirks{}, ago(0), "HELO", 0},
		{"disable_esmtp", masked, smtpclient.Quirks{PIX: smtpclient.PIXDisableESMTP}, old, "HELO", 0},
		{"delay_dotcrlf", masked, smtpclient.Quirks{PIX: smtpclient.PIXDelayDot}, old, "EHLO", 10 * time.Second},
		{"none", masked, smtpclient.Quirks{PIX: smtpclient.PIXNone}, old, "EHLO", 0},
		{"its own age", masked, smtpclient.Quirks{PIXAge: time.Minute}, ago(time.Minute), "HELO", 10 * time.Second},
		{"its own delay", masked, smtpclient.Quirks{PIXDelay: 3 * time.Second}, old, "HELO", 3 * time.Second},
		{"not masked", "220 mx10.example.net", smtpclient.Quirks{}, old, "EHLO", 0},
		{"masked in part", "220 mx10.example.net ****", smtpclient.Quirks{}, old, "EHLO", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Extensions: pipelined, Script: on(smtptest.Connect, action{Reply: tt.greeting})})
				w.client.Dialer.Quirks = func(target smtpclient.Target) smtpclient.Quirks {
					if target.Addr != "192.0.2.10:25" {
						t.Errorf("asked about %s", target.Addr)
					}
					return tt.quirks
				}
				env := fromAnn("bob@example.net")
				tt.arrival(&env)
				start := time.Now()
				report := w.deliver(t.Context(), env, hello)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				if took := time.Since(start); took != tt.pause {
					t.Errorf("paused %v, want %v", took, tt.pause)
				}
				if got := clientLines(mx, 0)[0]; !strings.HasPrefix(got, tt.verb) {
					t.Errorf("the client began with %q, want %s", got, tt.verb)
				}
				if alone := dotAlone(mx); alone != (tt.pause > 0) {
					t.Errorf("the dot is written alone: %v", alone)
				}
			})
		})
	}
}

// dotAlone tells that the dot came later than the content.
func dotAlone(s *smtptest.Server) bool {
	for _, c := range s.Transcript(0) {
		if c.FromClient && strings.HasPrefix(string(c.Data), ".\r\n") {
			return true
		}
	}
	return false
}

// SMTPUTF8 is asked for where the message needs it, and needed only by those who
// need it.
func TestSMTPUTF8(t *testing.T) {
	utf8Header := strings.Replace(hello, "hello", "gr\xc3\xbc\xc3\x9fe", 1)
	for name, tt := range map[string]struct {
		change          func(env *smtpclient.Envelope)
		message         string
		offered, denied string // outcome of bob
		asked           bool
	}{
		"nothing needs it": {func(*smtpclient.Envelope) {}, hello, "delivered data-done 2.0.0", "delivered data-done 2.0.0", false},
		"asked for":        {func(env *smtpclient.Envelope) { env.UTF8 = true }, hello, "delivered data-done 2.0.0", "failed mail 5.6.7", true},
		"sender":           {func(env *smtpclient.Envelope) { env.From = "änn@example.org" }, hello, "delivered data-done 2.0.0", "failed mail 5.6.7", true},
		"header":           {func(*smtpclient.Envelope) {}, utf8Header, "delivered data-done 2.0.0", "failed mail 5.6.7", true},
		"another recipient": {func(env *smtpclient.Envelope) {
			env.To = append(env.To, smtpclient.Recipient{Address: "çarol@example.net"})
		}, hello, "delivered data-done 2.0.0", "delivered data-done 2.0.0", true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, offered := range []bool{true, false} {
				inWorld(t, func(t *testing.T, w *world) {
					extensions, want := []string{"8BITMIME"}, tt.denied
					if offered {
						extensions, want = append(extensions, "SMTPUTF8"), tt.offered
					}
					mx := w.mx(10, &smtptest.Server{Extensions: extensions})
					env := fromAnn("bob@example.net")
					tt.change(&env)
					report := w.deliver(t.Context(), env, tt.message)
					if got := strings.Split(summary(report), "\n")[0]; got != "bob@example.net "+want {
						t.Errorf("offered %v: %s, want %s", offered, got, want)
					}
					if n := len(env.To); n > 1 && !offered && report.Outcomes[1].Enhanced != "5.6.7" {
						t.Errorf("the other recipient: %v", report.Outcomes[1].Err())
					}
					if m := mx.Messages(); len(m) > 0 {
						if got := strings.Contains(m[0].FromArgs, "SMTPUTF8"); got != (tt.asked && offered) {
							t.Errorf("MAIL has %q", m[0].FromArgs)
						}
					}
				})
			}
		})
	}
}

// AUTH= of MAIL goes to servers that offer AUTH.
func TestAuthParameter(t *testing.T) {
	for _, offered := range []bool{true, false} {
		inWorld(t, func(t *testing.T, w *world) {
			extensions := []string{}
			if offered {
				extensions = []string{"AUTH PLAIN"}
			}
			mx := w.mx(10, &smtptest.Server{Extensions: extensions})
			env := fromAnn("bob@example.net")
			env.Auth = "<>"
			report := w.deliver(t.Context(), env, hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if got := mx.Messages()[0].FromArgs == "AUTH=<>"; got != offered {
				t.Errorf("offered %v: MAIL has %q", offered, mx.Messages()[0].FromArgs)
			}
		})
	}
}

// A reply that waits on the connection, unread, when the last piece of the content
// is to go out: a refusal decides, and a message is never complete.
func TestReplyThatWaitsBeforeTheDot(t *testing.T) {
	for reply, want := range map[string]string{
		"250 ok now\r\n":     "deferred data-block 4.5.0",
		"552 5.3.4 big\r\n":  "failed data-block 5.3.4",
		"451 4.3.0 full\r\n": "deferred data-block 4.3.0",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			mx := w.mx(10, &smtptest.Server{
				Extensions: lockstep,
				Script:     on("DATA", action{Raw: []byte("354 go\r\n" + reply)}),
				Wire:       smtptest.Wire{Window: 1 << 16, MaxRead: len("354 go\r\n")},
			})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net "+want)
			if n := len(mx.Messages()); n != 0 {
				t.Errorf("%q: %d messages arrived", reply, n)
			}
		})
	}
}
