package smtpclient_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// relay adds a fallback relay at 198.51.100.1.
func (w *world) relay(s *smtptest.Server) *smtptest.Server {
	w.client.Fallback = []string{"[198.51.100.1]"}
	w.net["198.51.100.1:25"] = s
	return s
}

// The fallback relay gets those whom no host answered: neither who was refused or
// deferred, nor whose domain takes no mail. FallbackDeferred gives it all who are
// still open.
func TestFallback(t *testing.T) {
	type setUp = func(w *world)
	exchanger := func(script func(smtptest.Command) action) setUp {
		return func(w *world) { w.mx(10, &smtptest.Server{Script: script}) }
	}
	tests := []struct {
		name               string
		setUp              setUp
		unanswered, always bool // bob goes to the relay
		want               string
	}{
		{"N1 no such domain", func(w *world) {
			w.client.Resolver = overrides{w.dns, map[resolve.Question]func() (resolve.Answer, error){
				mxOfNet: func() (resolve.Answer, error) { return resolve.Answer{NoName: true}, nil }}}
		}, true, true, "failed resolve 5.1.2"},
		{"N11 no address", func(w *world) {}, true, true, "failed resolve 5.4.4"},
		{"N3 lookup fails", func(w *world) {
			w.client.Resolver = overrides{w.dns, map[resolve.Question]func() (resolve.Answer, error){
				mxOfNet: func() (resolve.Answer, error) { return resolve.Answer{}, errNoAnwer }}}
		}, true, true, "deferred resolve 4.4.3"},
		{"N5 null MX", func(w *world) { w.dns[mxOfNet] = resolve.Answer{MX: []resolve.MX{{}}} }, false, false, "failed resolve 5.1.10"},
		{"N14 MX on loopback", func(w *world) {
			w.mx(10, nil)
			w.dns[resolve.Question{Name: "mx10.example.net", Type: resolve.TypeA}] = resolve.Answer{Addrs: addrs("127.0.0.1")}
		}, true, true, "deferred resolve 4.4.4"},
		{"N36 refused", func(w *world) { w.absentMX(10) }, true, true, "deferred connect 4.4.1"},
		{"N35 timeout", func(w *world) { w.mx(10, nil) }, true, true, "deferred connect 4.4.1"},
		{"C1 closed without a byte", exchanger(on(smtptest.Connect, action{Fault: smtptest.Drop})), true, true, "deferred greeting 4.4.2"},
		{"C5 421 greeting", exchanger(on(smtptest.Connect, action{Reply: "421 4.3.2 busy"})), false, true, "deferred greeting 4.3.2"},
		{"lost at MAIL", exchanger(on("MAIL", action{Fault: smtptest.Drop})), false, true, "deferred mail 4.4.2"},
		{"450 to RCPT", exchanger(on("RCPT", action{Reply: "450 4.2.1 wait"})), false, true, "deferred rcpt 4.2.1"},
		{"550 to RCPT", exchanger(on("RCPT", action{Reply: "550 5.1.1 nobody"})), false, false, "failed rcpt 5.1.1"},
		{"554 to the dot", exchanger(on(smtptest.EndOfData, action{Reply: "554 5.7.1 spam"})), false, false, "failed data-done 5.7.1"},
		{"lost after the dot", exchanger(on(smtptest.EndOfData, action{Fault: smtptest.Drop})), false, false, "unknown data-done 4.4.2"},
		{"the server has our own name", func(w *world) {
			w.absentMX(10)
			w.mx(20, &smtptest.Server{Script: on("EHLO", action{Reply: "250 client.example.org"})})
		}, false, false, "deferred hello 4.4.6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for use, goes := range map[smtpclient.FallbackFor]bool{smtpclient.FallbackUnanswered: tt.unanswered, smtpclient.FallbackDeferred: tt.always} {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = true
					tt.setUp(w)
					relay := w.relay(&smtptest.Server{})
					w.client.FallbackFor = use
					report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
					want := tt.want
					if goes {
						want = "delivered data-done 2.0.0"
					}
					expect(t, report, "bob@example.net "+want)
					if got := relay.Sessions() > 0; got != goes {
						t.Errorf("for %v: the relay was asked: %v, want %v", use, got, goes)
					}
				})
			}
		})
	}
}

// Each recipient goes its own way: only who is left goes on, to relay after relay.
// At a relay the verdict is not about the domain any more.
func TestFallbackForSome(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Script: onRcpt("carol@", "450 4.2.1 wait")})
		w.client.Fallback = []string{"nowhere.example", "[198.51.100.1]:2525", "[198.51.100.2]"}
		w.net["198.51.100.1:2525"] = &smtptest.Server{Script: onRcpt("erin@", "550 5.7.1 no relaying")}
		w.net["198.51.100.2:25"] = &smtptest.Server{}
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net", "dave@gone.example", "erin@gone.example"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net deferred rcpt 4.2.1",
			"dave@gone.example delivered data-done 2.0.0", "erin@gone.example failed rcpt 5.7.1")
		if got := story(report.Outcomes[2]); len(got) != 3 || got[1] != " resolve 4.3.5" {
			t.Errorf("dave's attempts are %q", got)
		}
		if n := w.net["198.51.100.2:25"].Sessions(); n != 0 {
			t.Errorf("the second relay has %d sessions, and nobody was left", n)
		}
	})
}

// Where no relay can be reached either, mail for a domain that does not exist
// waits: the relay may know better.
func TestFallbackUnreachable(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Fallback = []string{"[198.51.100.1]"}
		report := w.deliver(t.Context(), fromAnn("dave@gone.example"), hello)
		expect(t, report, "dave@gone.example deferred connect 4.4.1")
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Fallback = []string{"[198.51.100.1"}
		report := w.deliver(t.Context(), fromAnn("dave@gone.example"), hello)
		expect(t, report, "dave@gone.example deferred input 4.3.5")
		if err := report.Err(); !strings.Contains(err.Error(), "Client.Fallback[0]") {
			t.Errorf("error %q does not name the field", err)
		}
	})
}

// N15: this machine as the best exchanger is a loop, which a caller can tell from
// other faults; as a backup, mail waits. In both cases a fallback relay would send
// it back.
func TestLoop(t *testing.T) {
	for name, tt := range map[string]struct {
		self, want string
		loop       bool
	}{
		"best":   {"mx10.example.net", "failed resolve 5.4.6", true},
		"backup": {"mx20.example.net", "deferred connect 4.4.1", false},
		// An address is known only when the host is needed.
		"best by address":   {"192.0.2.10", "failed resolve 5.4.6", true},
		"backup by address": {"192.0.2.20", "deferred connect 4.4.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.absentMX(10)
				mx20 := w.mx(20, &smtptest.Server{})
				relay := w.relay(&smtptest.Server{})
				w.client.Routing.Self = []string{tt.self}
				w.client.FallbackFor = smtpclient.FallbackDeferred
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
				if got := errors.Is(report.Err(), resolve.ErrLoop); got != tt.loop {
					t.Errorf("error %q is ErrLoop: %v, want %v", report.Err(), got, tt.loop)
				}
				if mx20.Sessions()+relay.Sessions() != 0 {
					t.Errorf("%d sessions with the backup and %d with the relay", mx20.Sessions(), relay.Sessions())
				}
			})
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // N16
		w.mx(10, &smtptest.Server{Script: on("EHLO", action{Reply: "250 client.example.org"})})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net failed hello 5.4.6")
		if !errors.Is(report.Err(), resolve.ErrLoop) {
			t.Errorf("error %q is no ErrLoop", report.Err())
		}
	})
}
