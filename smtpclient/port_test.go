package smtpclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Port 465 wants TLS from the first byte, which is not there yet: it is refused
// wherever it is configured, and not waited for.
func TestImplicitTLSPortIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.untouched()
		w.client.Routing.Port = 465
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred input 4.3.5")
		if err := report.Err(); !strings.Contains(err.Error(), "Client.Routing.Port") {
			t.Errorf("error %q does not name the field", err)
		}
		s, err := w.client.Dialer.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:465"})
		if s != nil || err == nil || !strings.Contains(err.Error(), "Target.Addr") {
			t.Errorf("Dial: %v, %v", s, err)
		}
	})
}

// A next hop's own port goes before that of the Client's Routing; the same host
// at two ports is two ways.
func TestPorts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		busy := on("MAIL", action{Reply: "451 4.7.1 wait"})
		w.net["192.0.2.10:587"] = &smtptest.Server{Script: busy}
		w.net["192.0.2.10:2525"] = &smtptest.Server{}
		w.client.Routing = resolve.Routing{Port: 2525}
		w.client.NextHops = []string{"[192.0.2.10]:587", "[192.0.2.10]"}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if o := report.Outcomes[0]; o.Addr != "192.0.2.10:2525" || len(o.Earlier) != 1 || o.Earlier[0].Addr != "192.0.2.10:587" {
			t.Errorf("%s after %+v", o.Addr, o.Earlier)
		}
	})
}

// A next hop is not even looked at once everybody is decided.
func TestNextHopOfNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net["192.0.2.10:25"] = &smtptest.Server{Script: onRcpt("carol", "550 5.1.1 no")}
		second := &smtptest.Server{}
		w.net["192.0.2.20:25"] = second
		w.client.NextHops = []string{"[192.0.2.10]", "[192.0.2.20]"}
		w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		if n := second.Sessions(); n != 0 {
			t.Errorf("%d sessions with the second next hop", n)
		}
	})
}

// A host that cannot take the message is no session that reached MAIL: the limit
// does not count it.
func TestUnsuitedHostsAreNoSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := 1; i <= 3; i++ {
			w.mx(10*i, &smtptest.Server{Extensions: []string{"PIPELINING"}})
		}
		w.mx(40, &smtptest.Server{Extensions: []string{"8BITMIME"}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n")
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if n := len(report.Outcomes[0].Earlier); n != 3 {
			t.Errorf("%d earlier attempts, want 3", n)
		}
	})
}

// Timeouts that are negative bound nothing: the server may take a year for each
// step, the connection included.
func TestNegativeTimeouts(t *testing.T) {
	for _, verb := range []string{smtptest.Connect, "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", smtptest.EndOfData} {
		inWorld(t, func(t *testing.T, w *world) {
			const year = 365 * 24 * time.Hour
			w.mx(10, &smtptest.Server{Script: on(verb, action{Delay: year})})
			w.client.Dialer.Timeouts = smtpclient.Timeouts{Connect: -1, Greeting: -1, Hello: -1, StartTLS: -1, Mail: -1, Rcpt: -1,
				DataInit: -1, DataBlock: -1, DataDone: -1, Quit: -1, Command: -1, Transaction: -1, MinRate: -1}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
		})
	}
}
