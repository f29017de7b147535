package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// Overrides answers some questions itself and leaves the rest to the Resolver
// that it embeds.
type Overrides struct {
	resolve.Resolver
	Records resolve.Static
}

func (o Overrides) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if answer, ok := o.Records[q]; ok {
		return answer, nil
	}
	return o.Resolver.Lookup(ctx, q)
}

// A Resolver of one's own is one method. This one sends the mail of a domain to
// a test server, and asks DNS (here: Static, so that the example needs no
// network) for all others.
func ExampleResolver() {
	dns := resolve.Static{
		{Name: "example.org", Type: resolve.TypeMX}: {MX: []resolve.MX{{Preference: 10, Host: "mx.example.org"}}},
	}
	var resolver resolve.Resolver = Overrides{
		Resolver: dns,
		Records: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}: {MX: []resolve.MX{{Host: "test.example.com"}}},
		},
	}
	for _, domain := range []string{"example.org", "example.net"} {
		answer, err := resolver.Lookup(context.Background(), resolve.Question{Name: domain, Type: resolve.TypeMX})
		fmt.Println(domain, answer.MX[0].Host, err)
	}
	// Output:
	// example.org mx.example.org <nil>
	// example.net test.example.com <nil>
}

// Two servers are asked by DNS over TLS, each by turns. The way to them is safe and
// so are they themselves, says whoever sets TrustAD: what they have validated is
// Secure then. (The example asks a server of its own.)
func ExampleDNS() {
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN example.org.\n@ MX 10 mx\n", Secure: true}}}
	defer srv.Close()

	resolver := &resolve.DNS{
		Servers: []string{"tls://192.0.2.53#dns.example.net", "tls://198.51.100.53#dns.example.net"},
		TrustAD: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32"), netip.MustParsePrefix("198.51.100.53/32")},
		Rotate:  true,
	}
	resolver.Servers, resolver.DialContext = []string{"192.0.2.53"}, srv.DialContext // for the example

	answer, err := resolver.Lookup(context.Background(), resolve.Question{Name: "example.org", Type: resolve.TypeMX})
	fmt.Println(answer.MX, answer.Secure, err)
	// Output: [{10 mx.example.org}] true <nil>
}

// The system knows the hosts file, but not every type of record.
func ExampleSystem() {
	answer, err := resolve.System{}.Lookup(context.Background(), resolve.Question{Name: "localhost", Type: resolve.TypeA})
	fmt.Println(answer.Addrs[0], err)

	_, err = resolve.System{}.Lookup(context.Background(), resolve.Question{Name: "_25._tcp.localhost", Type: resolve.TypeTLSA})
	fmt.Println(errors.Is(err, errors.ErrUnsupported))
	// Output:
	// 127.0.0.1 <nil>
	// true
}

func ExampleStatic() {
	static := resolve.Static{
		{Name: "www.example.org", Type: resolve.TypeCNAME}: {Canonical: "host.example.org"},
		{Name: "host.example.org", Type: resolve.TypeA}:    {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
	}
	answer, err := static.Lookup(context.Background(), resolve.Question{Name: "www.example.org", Type: resolve.TypeA})
	fmt.Println(answer.Addrs, answer.Canonical, err)
	// Output: [192.0.2.1] host.example.org <nil>
}

func ExampleParseNextHop() {
	for _, s := range []string{"Example.org", "[smtp.example.net]:submission", "inet:[2001:db8::1]:24", "unix:/run/lmtp.sock", "192.0.2.1"} {
		hop, err := resolve.ParseNextHop(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(hop)
	}
	// Output:
	// example.org
	// [smtp.example.net]:587
	// [2001:db8::1]:24
	// unix:/run/lmtp.sock
	// next hop "192.0.2.1": write an address in brackets, as [192.0.2.1]
}

func ExampleRouting_Route() {
	dns := resolve.Static{
		{Name: "example.org", Type: resolve.TypeMX}: {MX: []resolve.MX{
			{Preference: 20, Host: "backup.example.org"},
			{Preference: 10, Host: "mx.example.org"},
		}},
		{Name: "mx.example.org", Type: resolve.TypeA}:     {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{Name: "mx.example.org", Type: resolve.TypeAAAA}:  {Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}},
		{Name: "backup.example.org", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
		{Name: "nomail.example", Type: resolve.TypeMX}:    {MX: []resolve.MX{{}}},
	}
	routing := resolve.Routing{Prefer: resolve.IPv6}
	for _, domain := range []string{"example.org", "nomail.example"} {
		hop, err := resolve.ParseNextHop(domain)
		if err != nil {
			fmt.Println(err)
			return
		}
		route, err := routing.Route(context.Background(), dns, hop)
		if errors.Is(err, resolve.ErrNullMX) {
			fmt.Println(err)
			continue
		}
		for _, host := range route.Hosts {
			fmt.Println(host.Preference, host.Name, host.Port, host.Addrs)
		}
	}
	// Output:
	// 10 mx.example.org 25 [2001:db8::1 192.0.2.1]
	// 20 backup.example.org 25 [192.0.2.2]
	// nomail.example: the domain takes no mail (null MX)
}

// The hosts of the best preference are looked up first, the others only when
// they are needed. With the cache the second Route asks no question at all.
func ExampleRoutes_Begin() {
	dns := resolve.Static{
		{Name: "example.org", Type: resolve.TypeMX}: {MX: []resolve.MX{
			{Preference: 20, Host: "backup.example.org"},
			{Preference: 10, Host: "mx.example.org"},
		}},
		{Name: "mx.example.org", Type: resolve.TypeA}:     {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{Name: "backup.example.org", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
	}
	ctx := context.Background()
	routes := &resolve.Routes{Resolver: dns, Cache: &cache.Memory{}}
	for range 2 {
		route, err := routes.Begin(ctx, resolve.NextHop{Name: "example.org"})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("at first:", len(route.Hosts))
		for i := 0; i < len(route.Hosts) || route.More(ctx); i++ {
			fmt.Println(route.Hosts[i].Name, route.Hosts[i].Addrs)
		}
	}
	// Output:
	// at first: 1
	// mx.example.org [192.0.2.1]
	// backup.example.org [192.0.2.2]
	// at first: 2
	// mx.example.org [192.0.2.1]
	// backup.example.org [192.0.2.2]
}

// A health check: without validation DANE is off, and nothing else shows it.
func ExampleValidates() {
	names := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN .\n@ NS ns.example.org.\n"}}} // not signed
	defer names.Close()
	resolver := &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: names.DialContext}

	err := resolve.Validates(context.Background(), resolver)
	fmt.Println("DANE is off:", errors.Is(err, resolve.ErrNotValidated))
	fmt.Println(err)
	// Output:
	// DANE is off: true
	// no DNS answer is validated by DNSSEC: the name server 127.0.0.1:53 did not validate "." NS; turn on DNSSEC validation there (it needs a trust anchor), or ask a name server that validates
}
