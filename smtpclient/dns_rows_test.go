package smtpclient_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// zoned has the world ask a name server with a zone for example.net. The addresses
// 192.0.2.1 to 9 take mail, but 2 refuses connections and 3 defers.
func (w *world) zoned(zone string, script func(name string, qtype uint16) dnstest.Fault) *dnstest.Server {
	names := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN example.net.\n" + zone}, {Text: "$ORIGIN ."}}, Script: script}
	w.t.Cleanup(names.Close)
	w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: names.DialContext}
	for i := 1; i < 10; i++ {
		w.net[fmt.Sprintf("192.0.2.%d:25", i)] = &smtptest.Server{}
	}
	delete(w.net, "192.0.2.2:25")
	w.net["192.0.2.3:25"] = &smtptest.Server{Script: on("RCPT", action{Reply: "450 4.2.1 wait"})}
	return names
}

// answering answers with a fault for some names and types.
func answering(fault dnstest.Fault, name string, qtype uint16) func(string, uint16) dnstest.Fault {
	return func(n string, q uint16) dnstest.Fault {
		if n == name && (qtype == 0 || q == qtype) {
			return fault
		}
		return dnstest.None
	}
}

const (
	qA, qMX, qAAAA = 1, 15, 28 // RFC 1035, RFC 3596
)

// The rows of the fault catalogue about DNS and the choice of hosts, as far as
// their outcome takes a delivery. The name begins with the row.
func TestDNSRows(t *testing.T) {
	tests := []struct {
		name, zone string
		script     func(string, uint16) dnstest.Fault
		want       string   // the outcome
		attempts   []string // where each attempt was
	}{
		{"N4 no answer at all", "@ A 192.0.2.1\n", answering(dnstest.Silence, "example.net", qMX), "deferred resolve 4.4.3", []string{""}},
		{"N3 REFUSED", "@ A 192.0.2.1\n", answering(dnstest.Refused, "example.net", qMX), "deferred resolve 4.4.3", []string{""}},
		{"N3 FORMERR", "@ A 192.0.2.1\n", answering(dnstest.FormErr, "example.net", qMX), "deferred resolve 4.4.3", []string{""}},
		{"N9 one gone, one SERVFAIL", "@ MX 10 gone\n@ MX 20 mx1\nmx1 A 192.0.2.1\n", answering(dnstest.ServFail, "mx1.example.net", 0),
			"deferred resolve 4.4.3", []string{""}},
		{"N10 one gone, one there", "@ MX 10 gone\n@ MX 20 mx1\nmx1 A 192.0.2.1\n", nil,
			"delivered data-done 2.0.0", []string{"gone.example.net", "192.0.2.1:25"}},
		{"N10 one SERVFAIL, one there", "@ MX 10 mx4\nmx4 A 192.0.2.4\n@ MX 20 mx1\nmx1 A 192.0.2.1\n", answering(dnstest.ServFail, "mx4.example.net", 0),
			"delivered data-done 2.0.0", []string{"mx4.example.net", "192.0.2.1:25"}},
		{"N12 AAAA SERVFAIL", "@ MX 10 mx1\nmx1 A 192.0.2.1\n", answering(dnstest.ServFail, "mx1.example.net", qAAAA),
			"delivered data-done 2.0.0", []string{"192.0.2.1:25"}},
		{"N12 AAAA SERVFAIL and A does not answer", "@ MX 10 mx2\nmx2 A 192.0.2.2\n", answering(dnstest.ServFail, "mx2.example.net", qAAAA),
			"deferred connect 4.4.1", []string{"192.0.2.2:25"}},
		{"N17 the domain is an alias", "@ CNAME real\nreal MX 10 mx1\nmx1 A 192.0.2.1\n", nil,
			"delivered data-done 2.0.0", []string{"192.0.2.1:25"}},
		{"N18 aliases in a loop", "@ CNAME other\nother CNAME @\n", nil, "failed resolve 5.4.4", []string{""}},
		{"N18 SERVFAIL on the way", "@ CNAME real\n", answering(dnstest.ServFail, "example.net", qMX), "deferred resolve 4.4.3", []string{""}},
		{"N19 an exchanger is an alias", "@ MX 10 mail\nmail CNAME mx1\nmx1 A 192.0.2.1\n", nil,
			"delivered data-done 2.0.0", []string{"192.0.2.1:25"}},
		{"N22 five addresses of many", "@ MX 10 mx\n" + manyAddresses(20) + "@ MX 20 mx1\nmx1 A 192.0.2.1\n", nil,
			"deferred connect 4.4.1", []string{"198.51.100.1:25", "198.51.100.2:25", "198.51.100.3:25", "198.51.100.4:25", "198.51.100.5:25"}},
		{"N23 a host and an address that come twice", "@ MX 10 mx2\n@ MX 20 mx2\n@ MX 30 mx1\nmx2 A 192.0.2.2\nmx2 A 192.0.2.2\nmx1 A 192.0.2.1\n", nil,
			"delivered data-done 2.0.0", []string{"192.0.2.2:25", "192.0.2.1:25"}},
		{"N36 refused, then deferred", "@ MX 10 mx2\n@ MX 20 mx3\nmx2 A 192.0.2.2\nmx3 A 192.0.2.3\n", nil,
			"deferred rcpt 4.2.1", []string{"192.0.2.2:25", "192.0.2.3:25"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.zoned(tt.zone, tt.script)
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
				var got []string
				for _, s := range story(report.Outcomes[0]) {
					at, _, _ := strings.Cut(s, " ")
					got = append(got, at)
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.attempts) {
					t.Errorf("tried %q, want %q", got, tt.attempts)
				}
			})
		})
	}
}

// manyAddresses are of the host mx, and nobody is there.
func manyAddresses(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "mx A 198.51.100.%d\n", i)
	}
	return b.String()
}

// N17: an alias changes where the mail goes, and not the address.
func TestAliasLeavesTheAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.zoned("@ CNAME real\nreal MX 10 mx1\nmx1 A 192.0.2.1\n", nil)
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		if got := w.net["192.0.2.1:25"].Messages()[0].To[0]; got != "bob@example.net" {
			t.Errorf("the server has %s", got)
		}
	})
}

// N39: a configured next hop that does not exist bounces nothing, and its fallback
// is asked.
func TestConfiguredHopThatIsNotThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.zoned("@ MX 10 mx1\nmx1 A 192.0.2.1\n", nil)
		w.client.NextHops = []string{"[gone.example.net]"}
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net deferred resolve 4.3.5")
		w.client.Fallback = []string{"example.net"}
		expect(t, w.deliver(t.Context(), fromAnn("carol@example.net"), hello), "carol@example.net delivered data-done 2.0.0")
	})
}

// The hosts behind the best are looked up when they are needed, and never in vain.
func TestHostsAreLookedUpWhenNeeded(t *testing.T) {
	const zone = "@ MX 10 mx1\n@ MX 20 mx2\n@ MX 30 mx3\nmx1 A 192.0.2.1\nmx2 A 192.0.2.2\nmx3 A 192.0.2.3\n"
	for mx1, want := range map[string]string{"": "mx1", "450 4.2.1 wait": "mx1 mx2 mx3", "550 5.1.1 nobody": "mx1"} {
		inWorld(t, func(t *testing.T, w *world) {
			names := w.zoned(zone, nil)
			w.net["192.0.2.1:25"] = &smtptest.Server{Script: on("RCPT", action{Reply: mx1})}
			w.client.Limits = smtpclient.Limits{Addresses: -1}
			w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			var got []string
			for _, q := range names.Questions() {
				if host, isHost := strings.CutSuffix(q.Name, ".example.net"); isHost && q.Type == qA {
					got = append(got, host)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("mx1 says %q: looked up %q, want %q", mx1, got, want)
			}
		})
	}
}

// N16: a server with our own name is the best exchanger also where others are as
// good, in whatever order they come.
func TestOwnNameAmongEquals(t *testing.T) {
	for range 8 {
		inWorld(t, func(t *testing.T, w *world) {
			w.zoned("@ MX 10 mx1\n@ MX 10 mx2\n@ MX 20 mx4\nmx1 A 192.0.2.1\nmx2 A 192.0.2.2\nmx4 A 192.0.2.4\n", nil)
			w.net["192.0.2.1:25"] = &smtptest.Server{Script: on("EHLO", action{Reply: "250 client.example.org"})}
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net failed hello 5.4.6")
		})
	}
}

// N38: where this machine has no means left to connect to anybody, no other host is
// tried, and the host is not remembered as one that does not answer.
func TestShortage(t *testing.T) {
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			w.mx(20, &smtptest.Server{})
			dial := w.client.Dialer.DialContext
			short := true
			w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if short {
					return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", cause)}
				}
				return dial(ctx, network, addr)
			}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net deferred connect 4.3.0")
			if n := len(report.Outcomes[0].Earlier); n != 0 {
				t.Errorf("%v: %d more attempts were made", cause, n)
			}
			short = false
			report = w.deliver(t.Context(), fromAnn("carol@example.net"), hello)
			if got := report.Outcomes[0].Host; got != "mx10.example.net" {
				t.Errorf("%v: the next message went to %s", cause, got)
			}
		})
	}
}
