package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/resolve"
)

// errDown is what a Resolver says that knows nothing.
var errDown = errors.New("server failure")

// down fails for some questions; the rest goes to Static.
type down struct {
	resolve.Static
	questions []resolve.Question
}

func (d down) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if slices.Contains(d.questions, q) {
		return resolve.Answer{}, errDown
	}
	return d.Static.Lookup(ctx, q)
}

func mx(name string) resolve.Question   { return resolve.Question{Name: name, Type: resolve.TypeMX} }
func a(name string) resolve.Question    { return resolve.Question{Name: name, Type: resolve.TypeA} }
func aaaa(name string) resolve.Question { return resolve.Question{Name: name, Type: resolve.TypeAAAA} }
func cname(name string) resolve.Question {
	return resolve.Question{Name: name, Type: resolve.TypeCNAME}
}

func mxs(records ...resolve.MX) resolve.Answer { return resolve.Answer{MX: records} }

func ips(texts ...string) resolve.Answer { return resolve.Answer{Addrs: addrs(texts...)} }

// summary writes hosts as "10 mx1.example.org 192.0.2.1 2001:db8::1".
func summary(r *resolve.Route) string {
	var lines []string
	for _, h := range r.Hosts {
		line := fmt.Sprint(h.Preference, " ", h.Name)
		for _, addr := range h.Addrs {
			line += " " + addr.String()
		}
		if h.Err != nil {
			line += " !"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func parseHop(t *testing.T, s string) resolve.NextHop {
	t.Helper()
	hop, err := resolve.ParseNextHop(s)
	if err != nil {
		t.Fatal(err)
	}
	return hop
}

func TestRoute(t *testing.T) {
	null := resolve.MX{}
	nothing := resolve.Answer{}
	noName := resolve.Answer{NoName: true}
	tests := []struct {
		name string
		hop  string // "": example.org
		dns  resolve.Static
		down []resolve.Question
		want string
		err  error // one of ours or errDown
	}{
		{
			name: "MX",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{20, "mx2.example.org"}, resolve.MX{10, "mx1.example.org"}), a("mx1.example.org"): ips("192.0.2.1"), a("mx2.example.org"): ips("192.0.2.2")},
			want: "10 mx1.example.org 192.0.2.1\n20 mx2.example.org 192.0.2.2",
		},
		{name: "N1_MX_NXDOMAIN", dns: resolve.Static{mx("example.org"): noName, a("example.org"): ips("192.0.2.1")}, err: resolve.ErrNoDomain},
		{name: "N2_MX_NODATA", dns: resolve.Static{mx("example.org"): nothing, a("example.org"): ips("192.0.2.1")}, want: "0 example.org 192.0.2.1"},
		{name: "N3_MX_fails", dns: resolve.Static{a("example.org"): ips("192.0.2.1")}, down: []resolve.Question{mx("example.org")}, err: errDown},
		{name: "null_MX", dns: resolve.Static{mx("example.org"): mxs(null), a("example.org"): ips("192.0.2.1")}, err: resolve.ErrNullMX},
		{name: "null_MX_twice", dns: resolve.Static{mx("example.org"): mxs(null, resolve.MX{Host: "."})}, err: resolve.ErrNullMX},
		{
			name: "N6_null_MX_among_others",
			dns:  resolve.Static{mx("example.org"): mxs(null, resolve.MX{10, "mx1.example.org"}), a("mx1.example.org"): ips("192.0.2.1")},
			want: "10 mx1.example.org 192.0.2.1",
		},
		{
			name: "N8_no_MX_host_exists",
			dns: resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}),
				a("mx1.example.org"): noName, a("mx2.example.org"): noName, a("example.org"): ips("192.0.2.1")},
			err: resolve.ErrNotFound,
		},
		{
			name: "N8_no_MX_host_has_an_address",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}), a("mx1.example.org"): noName, a("example.org"): ips("192.0.2.1")},
			err:  resolve.ErrNotFound,
		},
		{
			name: "N9_one_MX_host_fails_the_other_does_not_exist",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}), a("mx1.example.org"): noName},
			down: []resolve.Question{a("mx2.example.org"), aaaa("mx2.example.org")},
			err:  errDown,
		},
		{
			name: "N10_one_MX_host_does_not_exist",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}), a("mx1.example.org"): noName, a("mx2.example.org"): ips("192.0.2.2")},
			want: "10 mx1.example.org !\n20 mx2.example.org 192.0.2.2",
		},
		{
			name: "N10_one_MX_host_fails",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}), a("mx2.example.org"): ips("192.0.2.2")},
			down: []resolve.Question{a("mx1.example.org"), aaaa("mx1.example.org")},
			want: "10 mx1.example.org !\n20 mx2.example.org 192.0.2.2",
		},
		{name: "N11_implicit_MX_has_no_address", dns: resolve.Static{}, err: resolve.ErrNotFound},
		{name: "implicit_MX_does_not_exist", dns: resolve.Static{a("example.org"): noName}, err: resolve.ErrNoDomain},
		{name: "N12_A_answers_AAAA_fails", dns: resolve.Static{a("example.org"): ips("192.0.2.1")}, down: []resolve.Question{aaaa("example.org")}, want: "0 example.org 192.0.2.1"},
		{name: "N12_AAAA_answers_A_fails", dns: resolve.Static{aaaa("example.org"): ips("2001:db8::1")}, down: []resolve.Question{a("example.org")}, want: "0 example.org 2001:db8::1"},
		{name: "N12_no_A_and_AAAA_fails", dns: resolve.Static{}, down: []resolve.Question{aaaa("example.org")}, err: errDown},
		{name: "N12_A_does_not_exist_and_AAAA_fails", dns: resolve.Static{a("example.org"): noName}, down: []resolve.Question{aaaa("example.org")}, err: errDown},
		{name: "N14_local_addresses_only", dns: resolve.Static{a("example.org"): ips("127.0.0.1", "169.254.169.254"), aaaa("example.org"): ips("::1")}, err: resolve.ErrForbidden},
		{name: "N14_a_local_address_among_others", dns: resolve.Static{a("example.org"): ips("127.0.0.1", "192.0.2.1", "0.0.0.0")}, want: "0 example.org 192.0.2.1"},
		{name: "N14_local_address_and_AAAA_fails", dns: resolve.Static{a("example.org"): ips("127.0.0.1")}, down: []resolve.Question{aaaa("example.org")}, err: errDown},
		{
			name: "N14_local_MX_literal",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{10, "127.0.0.1"})},
			err:  resolve.ErrForbidden,
		},
		{name: "N14_local_literal", hop: "[127.0.0.1]", err: resolve.ErrForbidden},
		{name: "N17_domain_is_an_alias", dns: resolve.Static{cname("example.org"): {Canonical: "example.net"}, mx("example.net"): mxs(resolve.MX{10, "mx1.example.net"}), a("mx1.example.net"): ips("192.0.2.1")}, want: "10 mx1.example.net 192.0.2.1"},
		{name: "N17_alias_without_MX", dns: resolve.Static{cname("example.org"): {Canonical: "example.net"}, a("example.net"): ips("192.0.2.1")}, want: "0 example.org 192.0.2.1"},
		{name: "N18_alias_loop", dns: resolve.Static{cname("example.org"): {Canonical: "example.net"}, cname("example.net"): {Canonical: "example.org"}}, err: resolve.ErrNotFound},
		{
			name: "N19_MX_host_is_an_alias",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}), cname("mx1.example.org"): {Canonical: "host.example.net"}, a("host.example.net"): ips("192.0.2.1")},
			want: "10 mx1.example.org 192.0.2.1",
		},
		{
			name: "N23_host_twice",
			dns:  resolve.Static{mx("example.org"): mxs(resolve.MX{20, "mx1.example.org"}, resolve.MX{10, "MX1.example.org."}), a("mx1.example.org"): ips("192.0.2.1", "192.0.2.1")},
			want: "10 mx1.example.org 192.0.2.1",
		},
		{
			name: "N28_host_names_that_are_none",
			dns: resolve.Static{mx("example.org"): mxs(resolve.MX{1, "mx\x00.example.org"}, resolve.MX{2, "mx\r\nRSET"}, resolve.MX{3, "a b"}, resolve.MX{4, "x>"}, resolve.MX{5, `mx\032`}, resolve.MX{6, "mx.example.org"}),
				a("mx.example.org"): ips("192.0.2.1")},
			want: "6 mx.example.org 192.0.2.1",
		},
		{name: "N28_no_host_name_that_is_one", dns: resolve.Static{mx("example.org"): mxs(null, resolve.MX{1, "a b"}), a("example.org"): ips("192.0.2.1")}, err: resolve.ErrNotFound},
		{name: "MX_is_an_IPv4_address", dns: resolve.Static{mx("example.org"): mxs(resolve.MX{10, "192.0.2.1"})}, want: "10 192.0.2.1 192.0.2.1"},
		{name: "MX_is_an_IPv6_address", dns: resolve.Static{mx("example.org"): mxs(resolve.MX{10, "2001:DB8::1"})}, want: "10 2001:db8::1 2001:db8::1"},
		{name: "mapped_addresses_become_IPv4", dns: resolve.Static{aaaa("example.org"): ips("::ffff:192.0.2.1")}, want: "0 example.org 192.0.2.1"},
		{name: "N14_mapped_local_address", dns: resolve.Static{aaaa("example.org"): ips("::ffff:127.0.0.1")}, err: resolve.ErrForbidden},
		{name: "no_address_at_all_in_the_record", dns: resolve.Static{a("example.org"): {Addrs: []netip.Addr{{}}}}, err: resolve.ErrNotFound},
		{name: "host", hop: "[mx1.example.org]", dns: resolve.Static{mx("mx1.example.org"): mxs(resolve.MX{10, "mx2.example.org"}), a("mx1.example.org"): ips("192.0.2.1")}, want: "0 mx1.example.org 192.0.2.1"},
		{name: "host_does_not_exist", hop: "[mx1.example.org]", dns: resolve.Static{a("mx1.example.org"): noName}, err: resolve.ErrNoDomain},
		{name: "host_fails", hop: "[mx1.example.org]", down: []resolve.Question{a("mx1.example.org"), aaaa("mx1.example.org")}, err: errDown},
		{name: "literal", hop: "[IPv6:2001:db8::1]", want: "0 2001:db8::1 2001:db8::1"},
		{name: "socket", hop: "unix:/run/lmtp", want: "0 /run/lmtp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.hop == "" {
				tt.hop = "example.org"
			}
			hop := parseHop(t, tt.hop)
			route, err := resolve.Routing{}.Route(t.Context(), down{tt.dns, tt.down}, hop)
			if tt.err != nil {
				checkRouteError(t, route, err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if route.NextHop != hop || summary(route) != tt.want {
				t.Errorf("got %v:\n%s\nwant\n%s", route.NextHop, summary(route), tt.want)
			}
		})
	}
}

// checkRouteError expects exactly one of the verdicts.
func checkRouteError(t *testing.T, route *resolve.Route, got, want error) {
	t.Helper()
	if route != nil {
		t.Errorf("a Route came with the error: %s", summary(route))
	}
	for _, verdict := range []error{resolve.ErrNotFound, resolve.ErrNoDomain, resolve.ErrNullMX, resolve.ErrForbidden, errDown} {
		if errors.Is(got, verdict) != errors.Is(want, verdict) {
			t.Errorf("got %v; is %q: %v", got, verdict, errors.Is(got, verdict))
		}
	}
	if errors.Is(want, resolve.ErrForbidden) && !strings.Contains(fmt.Sprint(got), "Routing.Local") {
		t.Errorf("%v does not name Routing.Local", got)
	}
}

func TestRouteN14Guard(t *testing.T) {
	local := []string{"127.0.0.1", "127.1.2.3", "0.0.0.0", "169.254.1.1", "224.0.0.1", "255.255.255.255",
		"::1", "::", "fe80::1", "ff02::1", "0.1.2.3", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::1",
		"2002:a9fe:a9fe::", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:169.254.1.1"}
	hop := resolve.NextHop{Name: "example.org"}
	for _, addr := range local {
		dns := resolve.Static{a("example.org"): ips(addr)}
		if route, err := (resolve.Routing{}).Route(t.Context(), dns, hop); !errors.Is(err, resolve.ErrForbidden) {
			t.Errorf("%s: %v, %v, want ErrForbidden", addr, route, err)
		}
		route, err := resolve.Routing{Local: true}.Route(t.Context(), dns, hop)
		if err != nil || len(route.Hosts[0].Addrs) != 1 {
			t.Errorf("%s with Local: %v, %v", addr, route, err)
		}
	}
	for _, addr := range []string{"10.0.0.1", "192.168.1.1", "169.253.1.1", "169.255.1.1", "223.255.255.255", "255.255.255.254", "fd00::1", "100.64.0.1", "64:ff9b::192.0.2.1", "2002:c000:201::1", "2001:db8::7f00:1"} {
		if _, err := (resolve.Routing{}).Route(t.Context(), resolve.Static{a("example.org"): ips(addr)}, hop); err != nil {
			t.Errorf("%s of a private network: %v", addr, err)
		}
	}
}

func TestRoutePort(t *testing.T) {
	dns := resolve.Static{a("example.org"): ips("192.0.2.1")}
	tests := []struct {
		hop     string
		routing resolve.Routing
		want    uint16
	}{
		{"example.org", resolve.Routing{}, 25},
		{"example.org", resolve.Routing{Port: 2525}, 2525},
		{"example.org:587", resolve.Routing{Port: 2525}, 587},
		{"[192.0.2.9]", resolve.Routing{Port: 24}, 24},
		{"unix:/run/lmtp", resolve.Routing{Port: 24}, 0},
	}
	for _, tt := range tests {
		route, err := tt.routing.Route(t.Context(), dns, parseHop(t, tt.hop))
		if err != nil || route.Hosts[0].Port != tt.want {
			t.Errorf("%s: %+v, %v, want port %d", tt.hop, route, err, tt.want)
		}
	}
}

// Hosts of equal preference take turns, and those of others stay where they are
// (RFC 5321, Section 5.1).
func TestRouteShufflesEquals(t *testing.T) {
	dns := resolve.Static{mx("example.org"): mxs(resolve.MX{10, "first.example.org"}, resolve.MX{20, "b.example.org"}, resolve.MX{20, "c.example.org"}, resolve.MX{30, "last.example.org"})}
	for _, name := range []string{"first", "b", "c", "last"} {
		dns[a(name+".example.org")] = ips("192.0.2.1")
	}
	seen := make(map[string]bool)
	for range 100 {
		route, err := resolve.Routing{}.Route(t.Context(), dns, resolve.NextHop{Name: "example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if route.Hosts[0].Name != "first.example.org" || route.Hosts[3].Name != "last.example.org" {
			t.Fatalf("wrong order:\n%s", summary(route))
		}
		seen[route.Hosts[1].Name] = true
	}
	if len(seen) != 2 {
		t.Errorf("in 100 routes only %v came second", seen)
	}
}

func TestRouteAlternatesFamilies(t *testing.T) {
	dns := resolve.Static{a("example.org"): ips("192.0.2.1", "192.0.2.2", "192.0.2.3"), aaaa("example.org"): ips("2001:db8::1", "2001:db8::2")}
	tests := []struct {
		prefer resolve.Families
		want   []string // any of these, and each at least once
	}{
		{0, []string{"192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2 192.0.2.3", "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 192.0.2.3"}},
		{resolve.IPv4, []string{"192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1 2001:db8::2"}},
		{resolve.IPv6, []string{"2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2 192.0.2.3"}},
		{resolve.IPv4 | resolve.IPv6, []string{"192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2 192.0.2.3", "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 192.0.2.3"}},
	}
	for _, tt := range tests {
		seen := make(map[string]bool)
		for range 100 {
			route, err := resolve.Routing{Prefer: tt.prefer}.Route(t.Context(), dns, resolve.NextHop{Name: "example.org"})
			if err != nil {
				t.Fatal(err)
			}
			seen[strings.TrimPrefix(summary(route), "0 example.org ")] = true
		}
		for _, order := range tt.want {
			if !seen[order] || len(seen) != len(tt.want) {
				t.Errorf("Prefer %d: saw %v, want %q", tt.prefer, seen, tt.want)
			}
		}
	}
}

func TestRoutePrefersHostsOfAFamily(t *testing.T) {
	dns := resolve.Static{
		mx("example.org"):     mxs(resolve.MX{10, "four.example.org"}, resolve.MX{20, "four2.example.org"}, resolve.MX{20, "six.example.org"}),
		a("four.example.org"): ips("192.0.2.1"), a("four2.example.org"): ips("192.0.2.2"), aaaa("six.example.org"): ips("2001:db8::1"),
	}
	for prefer, want := range map[resolve.Families]string{
		resolve.IPv6: "10 four.example.org 192.0.2.1\n20 six.example.org 2001:db8::1\n20 four2.example.org 192.0.2.2",
		resolve.IPv4: "10 four.example.org 192.0.2.1\n20 four2.example.org 192.0.2.2\n20 six.example.org 2001:db8::1",
	} {
		for range 20 {
			route, err := resolve.Routing{Prefer: prefer}.Route(t.Context(), dns, resolve.NextHop{Name: "example.org"})
			if err != nil || summary(route) != want {
				t.Fatalf("Prefer %d: %v\n%s\nwant\n%s", prefer, err, summary(route), want)
			}
		}
	}
}

// Every step has to be validated: MX answer and both address answers.
func TestRouteSecure(t *testing.T) {
	secure := func(a resolve.Answer) resolve.Answer { a.Secure = true; return a }
	signed := func() resolve.Static {
		return resolve.Static{
			mx("example.org"):       secure(mxs(resolve.MX{10, "mx.example.org"})),
			mx("direct.example"):    secure(resolve.Answer{}),
			a("direct.example"):     secure(ips("192.0.2.1")),
			aaaa("direct.example"):  secure(resolve.Answer{}),
			a("mx.example.org"):     secure(ips("192.0.2.1")),
			aaaa("mx.example.org"):  secure(resolve.Answer{}),
			cname("mx.alias.org"):   secure(resolve.Answer{Canonical: "mx.example.org"}),
			cname("weak.alias.org"): {Canonical: "mx.example.org"},
		}
	}
	tests := []struct {
		name, hop   string
		change      func(resolve.Static)
		down        []resolve.Question
		route, host bool
		canonical   string
	}{
		{name: "all", hop: "example.org", route: true, host: true, canonical: "mx.example.org"},
		{name: "implicit MX", hop: "direct.example", route: true, host: true, canonical: "direct.example"},
		{name: "MX is not", hop: "example.org", change: func(s resolve.Static) { s[mx("example.org")] = mxs(resolve.MX{10, "mx.example.org"}) }, host: true, canonical: "mx.example.org"},
		{name: "implicit MX is not", hop: "direct.example", change: func(s resolve.Static) { delete(s, mx("direct.example")) }, host: true, canonical: "direct.example"},
		{name: "A is not", hop: "example.org", change: func(s resolve.Static) { s[a("mx.example.org")] = ips("192.0.2.1") }, route: true, canonical: "mx.example.org"},
		{name: "AAAA is not", hop: "example.org", change: func(s resolve.Static) { delete(s, aaaa("mx.example.org")) }, route: true, canonical: "mx.example.org"},
		{name: "AAAA fails", hop: "example.org", down: []resolve.Question{aaaa("mx.example.org")}, route: true, host: true, canonical: "mx.example.org"},
		{name: "A fails, AAAA is not", hop: "example.org", change: func(s resolve.Static) { s[aaaa("mx.example.org")] = ips("2001:db8::1") }, down: []resolve.Question{a("mx.example.org")}, route: true, canonical: "mx.example.org"},
		{name: "host by name", hop: "[mx.example.org]", route: true, host: true, canonical: "mx.example.org"},
		{name: "alias", hop: "[mx.alias.org]", route: true, host: true, canonical: "mx.example.org"},
		{name: "alias is not", hop: "[weak.alias.org]", route: true, canonical: "mx.example.org"},
		{name: "address", hop: "[192.0.2.1]", route: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dns := signed()
			if tt.change != nil {
				tt.change(dns)
			}
			route, err := resolve.Routing{}.Route(t.Context(), down{dns, tt.down}, parseHop(t, tt.hop))
			if err != nil {
				t.Fatal(err)
			}
			h := route.Hosts[0]
			if route.Secure != tt.route || h.Secure != tt.host || h.Canonical != tt.canonical {
				t.Errorf("route %v, host %v, canonical %q; want %v, %v, %q", route.Secure, h.Secure, h.Canonical, tt.route, tt.host, tt.canonical)
			}
		})
	}
}

func TestRouteN20ManyHosts(t *testing.T) {
	dns := resolve.Static{}
	var records []resolve.MX
	for i := range 5000 {
		name := fmt.Sprintf("mx%d.example.org", i)
		records = append(records, resolve.MX{Preference: uint16(5000 - i), Host: name})
		dns[a(name)] = ips("192.0.2.1")
	}
	dns[mx("example.org")] = mxs(records...)
	route, err := resolve.Routing{}.Route(t.Context(), dns, resolve.NextHop{Name: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if len(route.Hosts) != 100 || route.Hosts[0].Preference != 1 || route.Hosts[99].Preference != 100 {
		t.Errorf("%d hosts, preference %d to %d", len(route.Hosts), route.Hosts[0].Preference, route.Hosts[len(route.Hosts)-1].Preference)
	}
}

func TestRouteN22ManyAddresses(t *testing.T) {
	var many []netip.Addr
	for i := range 200 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	dns := resolve.Static{a("example.org"): {Addrs: many}, aaaa("example.org"): ips("2001:db8::1")}
	route, err := resolve.Routing{}.Route(t.Context(), dns, resolve.NextHop{Name: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	got := route.Hosts[0].Addrs
	if len(got) != 30 || !slices.Contains(got[:2], netip.MustParseAddr("2001:db8::1")) {
		t.Errorf("%d addresses: %v", len(got), got)
	}
	if len(many) != 200 || many[199] != netip.AddrFrom4([4]byte{192, 0, 2, 199}) {
		t.Error("the answer of the Resolver was changed")
	}
}

// slow answers only after a time, or when ctx ends.
type slow struct {
	resolve.Static
	wait time.Duration
}

func (s slow) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	select {
	case <-time.After(s.wait):
		return s.Static.Lookup(ctx, q)
	case <-ctx.Done():
		return resolve.Answer{}, ctx.Err()
	}
}

func TestRouteAsksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}, resolve.MX{30, "mx3.example.org"}), a("mx3.example.org"): ips("192.0.2.3")}
		start := time.Now()
		if _, err := (resolve.Routing{}).Route(t.Context(), slow{dns, time.Second}, resolve.NextHop{Name: "example.org"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v, want one second for MX and one for all addresses", took)
		}
	})
}

func TestRouteN33Cancel(t *testing.T) {
	dns := resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}), a("mx1.example.org"): ips("192.0.2.1")}
	for _, after := range []time.Duration{0, time.Second / 2, 3 * time.Second / 2} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			start := time.Now()
			route, err := resolve.Routing{}.Route(ctx, slow{dns, time.Second}, resolve.NextHop{Name: "example.org"})
			if route != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != after {
				t.Errorf("ended after %v: %v, %v at %v", after, route, err, time.Since(start))
			}
		})
	}
}

// stalls answers at once, but not for some questions before ctx ends.
type stalls struct {
	resolve.Static
	questions []resolve.Question
}

func (s stalls) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if slices.Contains(s.questions, q) {
		<-ctx.Done()
		return resolve.Answer{}, ctx.Err()
	}
	return s.Static.Lookup(ctx, q)
}

// There is a host with addresses, but no time left to use it.
func TestRouteN33CancelWithHalfARoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}), a("mx1.example.org"): ips("192.0.2.1")}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		route, err := resolve.Routing{}.Route(ctx, stalls{dns, []resolve.Question{a("mx2.example.org")}}, resolve.NextHop{Name: "example.org"})
		if route != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, %v, want context.Canceled", route, err)
		}
	})
}

func TestRouteOfNothing(t *testing.T) {
	if route, err := (resolve.Routing{}).Route(t.Context(), resolve.Static{}, resolve.NextHop{}); err == nil {
		t.Errorf("got %v, want an error", route)
	}
}
