package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Rows of the fault catalogue about what the DNS holds. The addresses 192.0.2.1 to
// 9 take mail, as do those of this machine, which nobody may reach.
func TestLookupRecords(t *testing.T) {
	const mx1 = "mx1 A 192.0.2.1\n"
	self := resolve.Routing{Self: []string{"192.0.2.5", "me.example.net"}}
	tests := []struct {
		name, zone string
		routing    resolve.Routing
		want       string
		at         string // where it was delivered
	}{
		{"N5 null MX", "@ MX 0 .\n@ A 192.0.2.1\n", resolve.Routing{}, "failed resolve 5.1.10", ""},
		{"N5 null MX with another preference", "@ MX 10 .\n", resolve.Routing{}, "failed resolve 5.1.10", ""},
		{"N6 null MX beside another", "@ MX 0 .\n@ MX 10 mx1\n" + mx1, resolve.Routing{}, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"N8 no MX host exists", "@ MX 10 gone\n@ A 192.0.2.1\n", resolve.Routing{}, "failed resolve 5.4.4", ""},
		{"N8 no MX host has an address", "@ MX 10 text\ntext TXT x\n@ A 192.0.2.1\n", resolve.Routing{}, "failed resolve 5.4.4", ""},
		{"N8 no MX host exists, and mail is to wait", "@ MX 10 gone\n@ A 192.0.2.1\n", resolve.Routing{DeferNoAddress: true}, "deferred resolve 4.4.4", ""},
		{"N14 loopback", "@ MX 10 lo\nlo A 127.0.0.1\n", resolve.Routing{}, "deferred resolve 4.4.4", ""},
		{"N14 loopback in IPv6", "@ MX 10 lo\nlo AAAA ::1\n", resolve.Routing{}, "deferred resolve 4.4.4", ""},
		{"N14 loopback as IPv4-mapped", "@ MX 10 lo\nlo AAAA ::ffff:127.0.0.1\n", resolve.Routing{}, "deferred resolve 4.4.4", ""},
		{"N14 unspecified", "@ MX 10 lo\nlo A 0.0.0.0\n", resolve.Routing{}, "deferred resolve 4.4.4", ""},
		{"N14 multicast", "@ MX 10 lo\nlo A 224.0.0.1\n", resolve.Routing{}, "deferred resolve 4.4.4", ""},
		{"N14 link-local", "@ MX 10 lo\nlo A 169.254.0.1\n", resolve.Routing{}, "deferred resolve 4.4.4", ""},
		{"N14 an address in place of a host", "@ MX 10 127.0.0.1.\n", resolve.Routing{}, "deferred resolve 4.4.4", ""},
		{"N14 loopback and another", "@ MX 10 mx\nmx A 127.0.0.1\nmx A 192.0.2.1\n", resolve.Routing{}, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"N14 loopback, then another host", "@ MX 10 lo\nlo A 127.0.0.1\n@ MX 20 mx1\n" + mx1, resolve.Routing{}, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"N14 loopback, allowed", "@ MX 10 lo\nlo A 127.0.0.1\n", resolve.Routing{Local: true}, "delivered data-done 2.0.0", "127.0.0.1:25"},
		{"N15 we are the best by address", "@ MX 10 mx5\nmx5 A 192.0.2.5\n@ MX 20 mx1\n" + mx1, self, "failed resolve 5.4.6", ""},
		{"N15 we are the best by name", "@ MX 10 me\nme A 192.0.2.6\n@ MX 20 mx1\n" + mx1, self, "failed resolve 5.4.6", ""},
		{"N15 we are the best, beside another", "@ MX 10 mx5\nmx5 A 192.0.2.5\n@ MX 10 mx1\n" + mx1, self, "failed resolve 5.4.6", ""},
		{"N15 we are a backup", "@ MX 10 mx1\n@ MX 20 mx5\nmx5 A 192.0.2.5\n" + mx1, self, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"N15 we are a backup, and the best has no address", "@ MX 10 gone\n@ MX 20 mx5\nmx5 A 192.0.2.5\n@ MX 30 mx1\n" + mx1, self, "deferred resolve 4.4.4", ""},
		{"N15 we are a backup, and the best does not answer", "@ MX 10 mx2\nmx2 A 192.0.2.2\n@ MX 20 mx5\nmx5 A 192.0.2.5\n@ MX 30 mx1\n" + mx1, self, "deferred connect 4.4.1", ""},
		{"N28 no host name", "@ MX 10 a\\013\\010RSET\n@ MX 20 mx1\n" + mx1, resolve.Routing{}, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"N28 no host name at all", "@ MX 10 a\\032b\n@ A 192.0.2.1\n", resolve.Routing{}, "failed resolve 5.4.4", ""},
		{"N30 a TTL of ages", "@ 4294967295 MX 10 mx1\nmx1 2147483648 A 192.0.2.1\n", resolve.Routing{}, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"SRV", "_submission._tcp SRV 10 0 2525 mx1\n@ MX 10 mx4\nmx4 A 192.0.2.4\n" + mx1, resolve.Routing{Service: "submission"}, "delivered data-done 2.0.0", "192.0.2.1:2525"},
		{"SRV not offered", "_submission._tcp SRV 0 0 0 .\n@ MX 10 mx1\n" + mx1, resolve.Routing{Service: "submission", MXInstead: resolve.SRVMissing}, "failed resolve 5.1.0", ""},
		{"no SRV", "@ MX 10 mx1\n" + mx1, resolve.Routing{Service: "submission"}, "failed resolve 5.4.4", ""},
		{"no SRV, MX instead", "@ MX 10 mx1\n" + mx1, resolve.Routing{Service: "submission", MXInstead: resolve.SRVMissing, Port: 25}, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"IPv4 alone", "@ MX 10 mx6\nmx6 AAAA 2001:db8::6\n@ MX 20 mx1\n" + mx1, resolve.Routing{Families: resolve.IPv4}, "delivered data-done 2.0.0", "192.0.2.1:25"},
		{"both families", "@ MX 10 mx6\nmx6 AAAA 2001:db8::6\n@ MX 20 mx1\n" + mx1, resolve.Routing{}, "delivered data-done 2.0.0", "[2001:db8::6]:25"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.zoned(tt.zone, nil)
				for _, addr := range []string{"127.0.0.1:25", "[::1]:25", "0.0.0.0:25", "224.0.0.1:25", "169.254.0.1:25", "192.0.2.1:2525", "[2001:db8::6]:25"} {
					w.net[addr] = &smtptest.Server{}
				}
				w.client.Routing = tt.routing
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
				if o := report.Outcomes[0]; o.Status == smtpclient.Delivered && o.Addr != tt.at {
					t.Errorf("delivered at %s, want %s", o.Addr, tt.at)
				}
			})
		})
	}
}

// ignore_mx_lookup_error: the addresses of the domain are used after a failure of
// its MX records (N3), but not where it has them.
func TestLookupIgnoringMXErrors(t *testing.T) {
	for fault, want := range map[dnstest.Fault]string{
		dnstest.ServFail: "delivered data-done 2.0.0",
		dnstest.Refused:  "delivered data-done 2.0.0",
		dnstest.Silence:  "delivered data-done 2.0.0",
		dnstest.Bogus:    "deferred resolve 4.4.3", // D1
		dnstest.None:     "deferred rcpt 4.2.1",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.zoned("@ A 192.0.2.1\n@ MX 10 mx3\nmx3 A 192.0.2.3\n", answering(fault, "example.net", qMX))
			w.client.Routing.IgnoreMXErrors = true
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net "+want)
		})
	}
}

// N7: the domain of the sender takes no mail. The message is sent all the same;
// nobody asks.
func TestLookupN7SenderWithoutMail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := w.zoned("@ MX 10 mx1\nmx1 A 192.0.2.1\nquiet MX 0 .\n", nil)
		env := fromAnn("bob@example.net")
		env.From = "ann@quiet.example.net"
		expect(t, w.deliver(t.Context(), env, hello), "bob@example.net delivered data-done 2.0.0")
		for _, q := range names.Questions() {
			if strings.HasPrefix(q.Name, "quiet.") {
				t.Errorf("asked for %s", q.Name)
			}
		}
	})
}

// N31: a call has one picture of the domain, also where it sends in several
// transactions to several hosts: no question is asked twice.
func TestLookupN31OnePicture(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := w.signed("@ MX 10 mx3\n@ MX 10 mx4\n@ MX 20 mx1\nmx1 A 192.0.2.1\nmx3 A 192.0.2.3\nmx4 A 192.0.2.4\n", nil)
		w.net["192.0.2.4:25"] = &smtptest.Server{Script: on("RCPT", action{Reply: "450 4.2.1 wait"})}
		w.client.Limits = smtpclient.Limits{Recipients: 1, Sessions: -1}
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net", "dave@example.net"), hello)
		if err := report.Err(); err != nil {
			t.Error(err)
		}
		asked := make(map[dnstest.Question]int)
		for _, q := range names.Questions() {
			if asked[q]++; asked[q] == 2 {
				t.Errorf("asked again for %s %d", q.Name, q.Type)
			}
		}
		if asked[dnstest.Question{Name: "_25._tcp.mx3.example.net", Type: uint16(resolve.TypeTLSA), Network: "udp"}] != 1 {
			t.Errorf("asked %v, and not for TLSA records", asked)
		}
	})
}

// forger is a connection to a name server on which something else comes in before
// each answer.
type forger struct {
	net.Conn
	forge func(answer []byte) []byte
	held  []byte
}

func (f *forger) Read(b []byte) (int, error) {
	if f.held != nil {
		n := copy(b, f.held)
		f.held = nil
		return n, nil
	}
	n, err := f.Conn.Read(b)
	if err != nil {
		return n, err
	}
	f.held = slices.Clone(b[:n])
	return copy(b, f.forge(slices.Clone(b[:n]))), nil
}

// N25, N26: what anybody can send to our port does not stand in for the answer,
// and records that are not about the question are none of it.
func TestLookupN25N26Forged(t *testing.T) {
	for name, forge := range map[string]func(b []byte) []byte{
		"N25 another ID":         func(b []byte) []byte { b = noName(b); b[1]++; return b },
		"N25 another question":   func(b []byte) []byte { b = noName(b); b[13]++; return b },
		"N25 another case":       func(b []byte) []byte { b = noName(b); b[13] ^= 0x20; return b },
		"N25 another type":       func(b []byte) []byte { b = noName(b); b[typeAt(b)]++; return b },
		"N25 a question":         func(b []byte) []byte { b = noName(b); b[2] &^= 0x80; return b },
		"N25 less than a header": func(b []byte) []byte { return b[:11] },
		"N26 records of another": func(b []byte) []byte { return withForeignMX(b) },
		"nothing is forged":      func(b []byte) []byte { return b },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				names := w.zoned("@ MX 10 mx1\nmx1 A 192.0.2.1\nmx3 A 192.0.2.3\n", nil)
				w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if network == "tcp" {
						return nil, errors.New("connection refused")
					}
					conn, err := names.DialContext(ctx, network, addr)
					return &forger{Conn: conn, forge: forge}, err
				}}
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				if got := report.Outcomes[0].Addr; got != "192.0.2.1:25" || len(report.Outcomes[0].Earlier) > 0 {
					t.Errorf("delivered at %s after %+v", got, report.Outcomes[0].Earlier)
				}
			})
		})
	}
}

// noName is an answer to the same question: there is no such name.
func noName(b []byte) []byte {
	b = b[:typeAt(b)+3]
	b[3] |= dns.RcodeNameError
	copy(b[6:], make([]byte, 6)) // no records
	return b
}

// typeAt is where the type of the question ends.
func typeAt(b []byte) int { return 12 + bytes.IndexByte(b[12:], 0) + 2 }

// withForeignMX puts records of another name and of another class first, which
// lead to a server that defers.
func withForeignMX(b []byte) []byte {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		panic(err)
	}
	for _, text := range []string{"evil.example.net. 60 MX 1 mx3.example.net.", "example.net. 60 CH MX 1 mx3.example.net."} {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append([]dns.RR{rr}, m.Answer...)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// N27: a message that goes in circles, or ends too early, is a failure for now.
func TestLookupN27Malformed(t *testing.T) {
	for name, forge := range map[string]func(b []byte) []byte{
		"a pointer to itself":      func(b []byte) []byte { at := typeAt(b) + 3; b[at], b[at+1] = 0xc0|byte(at>>8), byte(at); return b },
		"a record that ends early": func(b []byte) []byte { return b[:len(b)-1] },
		"more records than it has": func(b []byte) []byte { b[7] = 200; return b },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				names := w.zoned("@ MX 10 mx1\n@ A 192.0.2.1\nmx1 A 192.0.2.1\n", nil)
				w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if network == "tcp" {
						return nil, errors.New("connection refused")
					}
					conn, err := names.DialContext(ctx, network, addr)
					return &forger{Conn: conn, forge: forge}, err
				}}
				expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net deferred resolve 4.4.3")
			})
		})
	}
}

// signed is zoned, with zones that are signed.
func (w *world) signed(zone string, script func(name string, qtype uint16) dnstest.Fault) *dnstest.Server {
	w.zoned("", nil)
	names := &dnstest.Server{Script: script, Zones: []dnstest.Zone{
		{Text: "$ORIGIN example.net.\n" + zone, Secure: true},
		{Text: "$ORIGIN unsigned.example.\nmx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 " + aDigest + "\n"},
		{Text: "$ORIGIN .", Secure: true},
	}}
	w.t.Cleanup(names.Close)
	w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: names.DialContext}
	return names
}

const aDigest = "0000000000000000000000000000000000000000000000000000000000000000"

// The rows of the catalogue about the lookups for DANE. No server offers TLS, so
// that mail goes only where nothing asks for it: "deferred starttls" is a host with
// TLSA records, "deferred policy" one of which nobody knows.
func TestLookupDANE(t *testing.T) {
	const (
		mx1     = "@ MX 10 mx1\nmx1 A 192.0.2.1\n"
		tlsa    = "_25._tcp.mx1 TLSA 3 1 1 " + aDigest + "\n"
		gone    = "delivered data-done 2.0.0"
		needed  = "deferred starttls 4.7.4"
		unknown = "deferred policy 4.7.5"
	)
	at := func(fault dnstest.Fault) func(string, uint16) dnstest.Fault {
		return answering(fault, "_25._tcp.mx1.example.net", 0)
	}
	many := tlsa
	for i := range 300 {
		many += fmt.Sprintf("_25._tcp.mx1 TLSA 3 1 1 %064x\n", i+1)
	}
	tests := []struct {
		name, zone string
		script     func(string, uint16) dnstest.Fault
		server     string // "": 127.0.0.1
		level      tlspolicy.Source
		want       string
	}{
		{name: "a host that wants TLS", zone: mx1 + tlsa, want: needed},
		{name: "D1 MX bogus", zone: mx1, script: answering(dnstest.Bogus, "example.net", qMX), want: "deferred resolve 4.4.3"},
		{name: "D3 the host is not signed: nobody asks", zone: "@ MX 10 mx.unsigned.example.\n", script: answering(dnstest.ServFail, "_25._tcp.mx.unsigned.example", 0), want: gone},
		{name: "D5 SERVFAIL", zone: mx1 + tlsa, script: at(dnstest.ServFail), want: unknown},
		{name: "D5 REFUSED", zone: mx1 + tlsa, script: at(dnstest.Refused), want: unknown},
		{name: "D5 no answer", zone: mx1 + tlsa, script: at(dnstest.Silence), want: unknown},
		{name: "D5 bogus", zone: mx1 + tlsa, script: at(dnstest.Bogus), want: unknown},
		{name: "D5 garbage", zone: mx1 + tlsa, script: at(dnstest.Garbage), want: unknown},
		{name: "D5 the next host is tried", zone: mx1 + tlsa + "@ MX 20 mx4\nmx4 A 192.0.2.4\n", script: at(dnstest.ServFail), want: gone},
		{name: "D6 no such name", zone: mx1, want: gone},
		{name: "D6 no TLSA record", zone: mx1 + "_25._tcp.mx1 TXT x\n", want: gone},
		{name: "D7 none that can be used", zone: mx1 + "_25._tcp.mx1 TLSA 1 1 1 " + aDigest + "\n", want: needed},
		{name: "D11 an alias, TLSA at its target", zone: "@ MX 10 mail\nmail CNAME mx1\nmx1 A 192.0.2.1\n" + tlsa, want: needed},
		{name: "D11 an alias, TLSA at the alias", zone: "@ MX 10 mail\nmail CNAME mx1\nmx1 A 192.0.2.1\n_25._tcp.mail TLSA 3 1 1 " + aDigest + "\n", want: needed},
		{name: "D11 an alias, its target cannot be asked", zone: "@ MX 10 mail\nmail CNAME mx1\nmx1 A 192.0.2.1\n", script: at(dnstest.ServFail), want: unknown},
		{name: "D11 an alias to a host that is not signed", zone: "@ MX 10 mail\nmail CNAME mx.unsigned.example.\n", want: gone},
		{name: "D11 an alias with TLSA to a host that is not signed", zone: "@ MX 10 mail\nmail CNAME mx.unsigned.example.\n_25._tcp.mail TLSA 3 1 1 " + aDigest + "\n", want: needed},
		{name: "D14 300 records", zone: mx1 + many, want: unknown},
		{name: "D15 a server that is not trusted", zone: mx1 + tlsa, server: "192.0.2.53", want: gone},
		{name: "D16 nothing is validated any more", zone: mx1 + tlsa, server: "192.0.2.53", level: tlspolicy.DANEOnly, want: unknown},
		{name: "D17 the proof that there is none is broken", zone: mx1, script: at(dnstest.ServFail), want: unknown},
		{name: "N27 TLSA of three octets", zone: mx1 + "_25._tcp.mx1 TYPE52 \\# 3 030101\n", want: unknown},
		{name: "N32 TLSA and TXT are dropped, nothing is signed", zone: "@ MX 10 mx.unsigned.example.\n", script: func(_ string, qtype uint16) dnstest.Fault {
			if qtype == uint16(resolve.TypeTLSA) || qtype == uint16(resolve.TypeTXT) {
				return dnstest.Silence
			}
			return dnstest.None
		}, want: gone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				names := w.signed(tt.zone, tt.script)
				for _, addr := range []string{"192.0.2.1:25", "192.0.2.4:25"} {
					w.net[addr] = &smtptest.Server{Extensions: []string{"8BITMIME"}}
				}
				if tt.server != "" {
					w.client.Resolver = &resolve.DNS{Servers: []string{tt.server}, DialContext: names.DialContext}
				}
				w.client.TLS = tt.level
				expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net "+tt.want)
			})
		})
	}
}
