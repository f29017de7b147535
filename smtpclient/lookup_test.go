package smtpclient_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// lookupZone is what the DNS has in TestLookupOutcomes. At 192.0.2.10 a server
// takes everything.
const lookupZone = `
$ORIGIN .
example.net           MX    10 mx.example.net.
example.net           A     192.0.2.10
mx.example.net        A     192.0.2.10
implicit.example.net  A     192.0.2.10
nothing.example.net   TXT   "no MX, no address"
alias.example.net     CNAME example.net.
stray.example.net     CNAME missing.example.net.
loop.example.net      CNAME pool.example.net.
pool.example.net      CNAME loop.example.net.
hostalias.example.net MX    10 other.example.net.
other.example.net     CNAME mx.example.net.
`

// TestLookupOutcomes has one thing go wrong with the lookup for a recipient's
// domain. The domains also have addresses at which the message would be taken:
// nothing may get there where the MX records could not be found out. Names begin
// with the fault's number in the catalogue.
func TestLookupOutcomes(t *testing.T) {
	type fault struct {
		name  string // "": every question
		qtype uint16
		what  dnstest.Fault
	}
	tests := []struct {
		name   string
		domain string
		faults []fault
		want   string
	}{
		{"nothing goes wrong", "example.net", nil, "delivered data-done 2.0.0"},
		{"N1 MX NXDOMAIN", "missing.example.net", nil, "failed resolve 5.1.2"},
		{"N2 no MX record, implicit MX", "implicit.example.net", nil, "delivered data-done 2.0.0"},
		{"N3 MX SERVFAIL", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.ServFail}}, "deferred resolve 4.4.3"},
		{"N3 MX REFUSED", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.Refused}}, "deferred resolve 4.4.3"},
		{"N3 MX FORMERR", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.FormErr}}, "deferred resolve 4.4.3"},
		{"N3 MX NOTIMP", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.NotImp}}, "deferred resolve 4.4.3"},
		{"N3 everything REFUSED", "missing.example.net", []fault{{"", 0, dnstest.Refused}}, "deferred resolve 4.4.3"},
		{"N4 MX times out", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.Silence}}, "deferred resolve 4.4.3"},
		{"N4 everything times out", "missing.example.net", []fault{{"", 0, dnstest.Silence}}, "deferred resolve 4.4.3"},
		{"N11 no MX, no address", "nothing.example.net", nil, "failed resolve 5.4.4"},
		{"N12 AAAA SERVFAIL", "example.net", []fault{{"mx.example.net", dns.TypeAAAA, dnstest.ServFail}}, "delivered data-done 2.0.0"},
		{"N12 AAAA times out", "example.net", []fault{{"mx.example.net", dns.TypeAAAA, dnstest.Silence}}, "delivered data-done 2.0.0"},
		{"N12 A SERVFAIL, no AAAA", "example.net", []fault{{"mx.example.net", dns.TypeA, dnstest.ServFail}}, "deferred resolve 4.4.3"},
		{"N17 alias at the domain", "alias.example.net", nil, "delivered data-done 2.0.0"},
		{"N17 alias to no name", "stray.example.net", nil, "failed resolve 5.1.2"},
		{"N18 aliases in a circle", "loop.example.net", nil, "failed resolve 5.4.4"},
		{"N18 SERVFAIL on the way", "alias.example.net", []fault{{"alias.example.net", dns.TypeMX, dnstest.ServFail}}, "deferred resolve 4.4.3"},
		{"N19 mail exchanger is an alias", "hostalias.example.net", nil, "delivered data-done 2.0.0"},
		{"N24 MX truncated", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.Truncate}}, "delivered data-done 2.0.0"},
		{"N24 everything truncated", "example.net", []fault{{"", 0, dnstest.Truncate}}, "delivered data-done 2.0.0"},
		{"N27 MX is garbage", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.Garbage}}, "deferred resolve 4.4.3"},
		{"N27 addresses are garbage", "example.net", []fault{{"mx.example.net", dns.TypeA, dnstest.Garbage}, {"mx.example.net", dns.TypeAAAA, dnstest.Garbage}}, "deferred resolve 4.4.3"},
		{"D1 MX bogus", "example.net", []fault{{"example.net", dns.TypeMX, dnstest.Bogus}}, "deferred resolve 4.4.3"},
		{"D1 addresses bogus", "example.net", []fault{{"mx.example.net", dns.TypeA, dnstest.Bogus}, {"mx.example.net", dns.TypeAAAA, dnstest.Bogus}}, "deferred resolve 4.4.3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{})
				srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: lookupZone}}, Script: func(name string, qtype uint16) dnstest.Fault {
					for _, f := range tt.faults {
						if f.name == "" || f.name == name && f.qtype == qtype {
							return f.what
						}
					}
					return dnstest.None
				}}
				defer srv.Close()
				w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: srv.DialContext}
				report := w.deliver(t.Context(), fromAnn("bob@"+tt.domain), hello)
				expect(t, report, "bob@"+tt.domain+" "+tt.want)
			})
		})
	}
}

// N24: where TCP is closed, what fitted into the datagram is not used.
func TestLookupN24WithoutTCP(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: lookupZone}}, Script: func(string, uint16) dnstest.Fault { return dnstest.Truncate }}
		defer srv.Close()
		w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if network == "tcp" {
				return nil, errors.New("connection refused")
			}
			return srv.DialContext(ctx, network, addr)
		}}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred resolve 4.4.3")
	})
}

// N39: what the caller mistyped bounces nobody's mail.
func TestLookupN39ConfiguredNextHop(t *testing.T) {
	for hop, want := range map[string]string{"[missing.example.net]": "4.3.5", "missing.example.net": "4.3.5", "[nothing.example.net]": "4.3.5"} {
		inWorld(t, func(t *testing.T, w *world) {
			srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: lookupZone}}}
			defer srv.Close()
			w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: srv.DialContext}
			w.client.NextHops = []string{hop}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net deferred resolve "+want)
		})
	}
}

// smtp_host_lookup = dns, native: the smarthost is only in the hosts file. It is
// real time here, since package net does not work in a bubble.
func TestHostsFileAsFallback(t *testing.T) {
	system := resolve.System{Net: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}}
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: lookupZone}}}
	defer srv.Close()
	byDNS := &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: srv.DialContext}
	for _, tt := range []struct {
		lookup   string
		resolver resolve.Resolver
		want     string
	}{
		{"dns", byDNS, "deferred resolve 4.3.5"},
		{"dns, native", resolve.First{byDNS, system}, "delivered data-done 2.0.0"},
		{"native", system, "delivered data-done 2.0.0"},
	} {
		servers := smtptest.Network{"127.0.0.1:25": &smtptest.Server{}}
		client := holdClient(t, smtpclient.Client{
			LocalName: "client.example.org",
			NextHops:  []string{"[localhost]"},
			Resolver:  tt.resolver,
			Routing:   resolve.Routing{Prefer: resolve.IPv4},
			Dialer:    &smtpclient.Dialer{DialContext: servers.DialContext},
		}, servers["127.0.0.1:25"])
		env := fromAnn("bob@example.net")
		report, err := client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		checkEnds(t, servers, env, hello, report)
		expect(t, report, "bob@example.net "+tt.want)
		servers.Close()
	}
}

// smtp_dns_reply_filter: what is left out is not used, and a domain whose mail
// exchangers are all left out waits instead of being reached in another way.
func TestDNSReplyFilter(t *testing.T) {
	for drop, want := range map[string]string{
		"":                "delivered data-done 2.0.0",
		"mx.example.net":  "deferred resolve 4.7.0",
		"192.0.2.":        "deferred resolve 4.7.0",
		"mx10.nobody.net": "delivered data-done 2.0.0",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: lookupZone}}}
			defer srv.Close()
			w.client.Resolver = resolve.Filter{
				Resolver: &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: srv.DialContext},
				Keep:     func(_ resolve.Question, data string) bool { return drop == "" || !strings.Contains(data, drop) },
			}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net "+want)
		})
	}
}

// smtp_dns_resolver_options: a next hop without a dot is completed only where it
// is asked for.
func TestDNSResolverOptions(t *testing.T) {
	for search, want := range map[resolve.Search]string{
		0:                    "deferred resolve 4.3.5",
		resolve.SearchDotted: "deferred resolve 4.3.5",
		resolve.SearchSingle: "delivered data-done 2.0.0",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: lookupZone}}}
			defer srv.Close()
			w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: srv.DialContext, Search: search, SearchList: []string{"example.net"}}
			w.client.NextHops = []string{"[mx]"}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net "+want)
		})
	}
}

// disable_dns_lookups: a Resolver without MX records leads to the addresses of
// the domains themselves.
func TestWithoutMXLookups(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, nil)
		w.net["192.0.2.99:25"] = &smtptest.Server{}
		w.dns[aOfNet] = resolve.Answer{Addrs: addrs("192.0.2.99")}
		w.client.Resolver = resolve.Func(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
			if q.Type == resolve.TypeMX {
				return resolve.Answer{}, nil
			}
			return w.dns.Lookup(ctx, q)
		})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if got := report.Outcomes[0]; got.Status == smtpclient.Delivered && got.Addr != "192.0.2.99:25" {
			t.Errorf("delivered to %s", got.Addr)
		}
	})
}
