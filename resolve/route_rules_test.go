package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

func srv(name string) resolve.Question {
	return resolve.Question{Name: "_submission._tcp." + name, Type: resolve.TypeSRV}
}

func srvs(records ...resolve.SRV) resolve.Answer { return resolve.Answer{SRV: records} }

// rule is a row of the tables: what a Routes makes of example.org. Everything is
// asked twice, the second time of a cache.
type rule struct {
	name    string
	hop     string // "": example.org
	routes  *resolve.Routes
	dns     resolve.Static
	down    []resolve.Question
	want    string // hosts with ports, as "mx1:25 mx2:25"; those without addresses have "!"
	self    bool
	err     error
	onlyNow bool // it is not kept
}

func checkRules(t *testing.T, rules []rule) {
	for _, tt := range rules {
		t.Run(tt.name, func(t *testing.T) {
			if tt.hop == "" {
				tt.hop = "example.org"
			}
			dns := &recorder{Resolver: down{tt.dns, tt.down}}
			s := tt.routes
			s.Resolver, s.Cache = dns, &cache.Memory{}
			tt.check(t, s)
			first := dns.take()
			tt.check(t, s)
			if again := dns.take(); (again != "") != tt.onlyNow && !strings.HasPrefix(tt.hop, "[") {
				t.Errorf("asked %s at first, and then %q", first, again)
			}
		})
	}
}

func (tt rule) check(t *testing.T, s *resolve.Routes) {
	t.Helper()
	r, err := s.Route(t.Context(), parseHop(t, tt.hop))
	if tt.err != nil {
		if !errors.Is(err, tt.err) || r != nil {
			t.Errorf("got %v, %v, want %v", r, err, tt.err)
		}
		for _, final := range []error{resolve.ErrNotFound, resolve.ErrNullMX, resolve.ErrNoService, resolve.ErrForbidden, resolve.ErrLoop, resolve.ErrNotNow} {
			if errors.Is(err, final) && !errors.Is(tt.err, final) {
				t.Errorf("%v is %q, too", err, final)
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := places(r); got != tt.want || r.Self != tt.self {
		t.Errorf("got %s, self %v, want %s, %v", got, r.Self, tt.want, tt.self)
	}
}

func places(r *resolve.Route) string {
	var list []string
	for _, h := range r.Hosts {
		text := fmt.Sprint(strings.TrimSuffix(h.Name, ".example.org"), ":", h.Port)
		if h.Err != nil {
			text += "!"
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

// SRV records come in place of MX records where Routing.Service asks for them
// (RFC 2782; Postfix's use_srv_lookup and its two fallbacks).
func TestRouteSRV(t *testing.T) {
	hosts := func(more resolve.Static) resolve.Static {
		s := resolve.Static{mx("example.org"): mxs(resolve.MX{10, "mx.example.org"}), a("mx.example.org"): ips("192.0.2.9"),
			a("s1.example.org"): ips("192.0.2.1"), a("s2.example.org"): ips("192.0.2.2"), a("example.org"): ips("192.0.2.8")}
		for q, a := range more {
			s[q] = a
		}
		return s
	}
	two := hosts(resolve.Static{srv("example.org"): srvs(resolve.SRV{20, 0, 2587, "s2.example.org"}, resolve.SRV{10, 5, 587, "s1.example.org"})})
	service := func(instead resolve.SRVFailure) *resolve.Routes {
		return &resolve.Routes{Routing: resolve.Routing{Service: "submission", MXInstead: instead}}
	}
	fails := []resolve.Question{srv("example.org")}
	root := hosts(resolve.Static{srv("example.org"): srvs(resolve.SRV{Host: "."})})
	both := resolve.SRVMissing | resolve.SRVFails
	checkRules(t, []rule{
		{name: "by priority, with ports", routes: service(0), dns: two, want: "s1:587 s2:2587"},
		{name: "no Service", routes: &resolve.Routes{}, dns: two, want: "mx:25"},
		{name: "a next hop with a port", hop: "example.org:25", routes: service(0), dns: two, want: "mx:25"},
		{name: "a next hop that names the service", hop: "example.org:submission", routes: service(0), dns: two, want: "s1:587 s2:2587"},
		{name: "a next hop that names another", hop: "example.org:submissions", routes: service(0), dns: two, want: "mx:465"},
		{name: "a next hop that names the service, MX instead", hop: "example.org:submission", routes: service(resolve.SRVMissing), dns: hosts(nil), want: "mx:587"},
		{name: "a next hop in brackets", hop: "[example.org]", routes: service(0), dns: two, want: "example.org:587"},
		{name: "Service in capitals", routes: &resolve.Routes{Routing: resolve.Routing{Service: "Submission"}}, dns: two, want: "s1:587 s2:2587"},
		{name: "Service in capitals, MX instead", routes: &resolve.Routes{Routing: resolve.Routing{Service: "Submission", MXInstead: resolve.SRVMissing}}, dns: hosts(nil), want: "mx:587"},
		{name: "one host at two ports", routes: service(0), want: "s1:587 s1:2587",
			dns: hosts(resolve.Static{srv("example.org"): srvs(resolve.SRV{2, 0, 2587, "s1.example.org"}, resolve.SRV{1, 0, 587, "s1.example.org"}, resolve.SRV{3, 0, 587, "s1.example.org"})})},
		{name: "not offered", routes: service(0), dns: root, err: resolve.ErrNoService},
		{name: "not offered is final", routes: service(both), dns: root, err: resolve.ErrNoService},
		{name: "the root among others", routes: service(0), want: "s1:587",
			dns: hosts(resolve.Static{srv("example.org"): srvs(resolve.SRV{Host: ""}, resolve.SRV{10, 0, 587, "s1.example.org"})})},
		{name: "no valid host", routes: service(0), dns: hosts(resolve.Static{srv("example.org"): srvs(resolve.SRV{1, 1, 587, "a b"}, resolve.SRV{Host: "."})}), err: resolve.ErrNotFound},
		{name: "port zero", routes: service(0), dns: hosts(resolve.Static{srv("example.org"): srvs(resolve.SRV{1, 1, 0, "s1.example.org"})}), err: resolve.ErrNotFound},
		{name: "missing", routes: service(0), dns: hosts(nil), err: resolve.ErrNotFound},
		{name: "missing, and only failures may be passed over", routes: service(resolve.SRVFails), dns: hosts(nil), err: resolve.ErrNotFound},
		{name: "missing, MX instead", routes: service(resolve.SRVMissing), dns: hosts(nil), want: "mx:587"},
		{name: "fails", routes: service(0), dns: two, down: fails, err: errDown, onlyNow: true},
		{name: "fails, and only absence may be passed over", routes: service(resolve.SRVMissing), dns: two, down: fails, err: errDown, onlyNow: true},
		{name: "fails, MX instead", routes: service(resolve.SRVFails), dns: two, down: fails, want: "mx:587", onlyNow: true},
		{name: "hosts without addresses", routes: service(both), err: resolve.ErrNotFound,
			dns: resolve.Static{srv("example.org"): srvs(resolve.SRV{1, 1, 587, "s9.example.org"}), a("example.org"): ips("192.0.2.8")}},
	})
	if _, err := (&resolve.Routes{Routing: resolve.Routing{Service: "a b"}}).Route(t.Context(), example); err == nil || !strings.Contains(err.Error(), "Routing.Service") {
		t.Errorf("a bad Service: %v", err)
	}
}

// The chance to come first goes with the weight, and zero is next to none
// (RFC 2782). The bounds are six standard deviations wide.
func TestRouteSRVWeights(t *testing.T) {
	dns := resolve.Static{srv("example.org"): srvs(resolve.SRV{1, 0, 587, "zero.example.org"}, resolve.SRV{1, 10, 587, "ten.example.org"}, resolve.SRV{1, 30, 587, "thirty.example.org"}, resolve.SRV{2, 60000, 587, "later.example.org"})}
	for _, name := range []string{"zero", "ten", "thirty", "later"} {
		dns[a(name+".example.org")] = ips("192.0.2.1")
	}
	const routes = 4000
	first := map[string]int{}
	for range routes {
		r, err := resolve.Routing{Service: "submission", Prefer: resolve.IPv4}.Route(t.Context(), dns, example)
		if err != nil || len(r.Hosts) != 4 || r.Hosts[3].Name != "later.example.org" {
			t.Fatalf("%v, %v", places(r), err)
		}
		first[r.Hosts[0].Name]++
	}
	for name, share := range map[string]float64{"zero.example.org": 1. / 41, "ten.example.org": 10. / 41, "thirty.example.org": 30. / 41} {
		wide := 6 * math.Sqrt(routes*share*(1-share))
		if got := float64(first[name]); math.Abs(got-routes*share) > wide {
			t.Errorf("%s came first %v times of %d, want %.0f ± %.0f", name, got, routes, routes*share, wide)
		}
	}
}

// A proof by DNSSEC has to cover the SRV records, and their absence.
func TestRouteSRVSecure(t *testing.T) {
	secure := func(a resolve.Answer) resolve.Answer { a.Secure = true; return a }
	for name, tt := range map[string]struct {
		srv, mx resolve.Answer
		down    bool
		want    bool
	}{
		"SRV":                  {srv: secure(srvs(resolve.SRV{1, 1, 587, "s1.example.org"})), want: true},
		"SRV is not":           {srv: srvs(resolve.SRV{1, 1, 587, "s1.example.org"})},
		"no SRV, MX":           {srv: secure(srvs()), mx: secure(mxs(resolve.MX{1, "s1.example.org"})), want: true},
		"no SRV, MX is not":    {srv: secure(srvs()), mx: mxs(resolve.MX{1, "s1.example.org"})},
		"no SRV is not, MX is": {srv: srvs(), mx: secure(mxs(resolve.MX{1, "s1.example.org"}))},
		"SRV fails, MX is":     {mx: secure(mxs(resolve.MX{1, "s1.example.org"})), down: true},
	} {
		dns := down{Static: resolve.Static{srv("example.org"): tt.srv, mx("example.org"): tt.mx, a("s1.example.org"): secure(ips("192.0.2.1")), aaaa("s1.example.org"): secure(ips())}}
		if tt.down {
			dns.questions = []resolve.Question{srv("example.org")}
		}
		r, err := resolve.Routing{Service: "submission", MXInstead: resolve.SRVMissing | resolve.SRVFails}.Route(t.Context(), dns, example)
		if err != nil || r.Secure != tt.want || tt.down && r.Hosts[0].Secure {
			t.Errorf("%s: %+v, %v, want Secure %v", name, r, err, tt.want)
		}
	}
}

// Own names and addresses in the list cut it (RFC 5321, Section 5.1; N15).
func TestRouteLoop(t *testing.T) {
	dns := resolve.Static{
		mx("example.org"):    mxs(resolve.MX{10, "a.example.org"}, resolve.MX{20, "b.example.org"}, resolve.MX{20, "c.example.org"}, resolve.MX{30, "d.example.org"}),
		a("a.example.org"):   ips("192.0.2.1"),
		a("b.example.org"):   ips("192.0.2.2"),
		cname("b.alias.org"): {Canonical: "b.example.org"},
		a("c.example.org"):   ips("192.0.2.3"), aaaa("c.example.org"): ips("2001:db8::3"),
		a("d.example.org"):        ips("192.0.2.4"),
		mx("alias.example.net"):   mxs(resolve.MX{10, "b.alias.org"}),
		a("only.example.net"):     ips("192.0.2.9"),
		mx("empty.example.net"):   mxs(resolve.MX{10, "gone.example.net"}, resolve.MX{20, "a.example.org"}),
		mx("nat.example.net"):     mxs(resolve.MX{10, "nat64.example.net"}),
		aaaa("nat64.example.net"): ips("64:ff9b::192.0.2.9"),
	}
	self := func(list ...string) *resolve.Routes {
		return &resolve.Routes{Routing: resolve.Routing{Self: list, Prefer: resolve.IPv4}}
	}
	with := func(s *resolve.Routes, change func(*resolve.Routes)) *resolve.Routes { change(s); return s }
	checkRules(t, []rule{
		{name: "N15_backup_by_address", routes: self("192.0.2.3"), dns: dns, want: "a:25", self: true},
		{name: "N15_backup_by_IPv6_address", routes: self("[2001:db8::3]"), dns: dns, want: "a:25", self: true},
		{name: "N15_backup_by_name", routes: self("C.example.org."), dns: dns, want: "a:25", self: true},
		{name: "N15_last_by_name", routes: self("d.example.org"), dns: resolve.Static{mx("example.org"): mxs(resolve.MX{10, "a.example.org"}, resolve.MX{30, "d.example.org"}), a("a.example.org"): ips("192.0.2.1"), a("d.example.org"): ips("192.0.2.4")}, want: "a:25", self: true},
		{name: "N15_best_by_address", routes: self("192.0.2.1", "mail.example.net"), dns: dns, err: resolve.ErrLoop},
		{name: "N15_best_by_name", routes: self("a.example.org"), dns: dns, err: resolve.ErrLoop, onlyNow: true},
		{name: "N15_best_by_alias", hop: "alias.example.net", routes: self("b.example.org"), dns: dns, err: resolve.ErrLoop},
		{name: "N15_implicit_MX", hop: "only.example.net", routes: self("192.0.2.9"), dns: dns, err: resolve.ErrLoop},
		{name: "N15_address_of_a_recipient", hop: "[192.0.2.9]", routes: self("192.0.2.9"), dns: dns, err: resolve.ErrLoop},
		{name: "N15_behind_NAT64", hop: "nat.example.net", routes: self("192.0.2.9"), dns: dns, err: resolve.ErrLoop},
		{name: "N15_backup_and_no_better_has_an_address", hop: "empty.example.net", routes: self("192.0.2.1"), dns: dns, err: resolve.ErrNotNow},
		{name: "N15_backup_and_no_better_has_an_address_by_name", hop: "empty.example.net", routes: self("a.example.org"), dns: dns, err: resolve.ErrNotNow},
		{name: "another port", hop: "only.example.net:587", routes: self("192.0.2.9"), dns: dns, want: "only.example.net:587"},
		{name: "port 25 by name", hop: "only.example.net:smtp", routes: self("192.0.2.9"), dns: dns, err: resolve.ErrLoop},
		{name: "configured", hop: "only.example.net", routes: with(self("192.0.2.9"), func(s *resolve.Routes) { s.Configured = true }), dns: dns, want: "only.example.net:25"},
		{name: "not in the list", routes: self("198.51.100.1", "mail.example.net", "nonsense["), dns: resolve.Static{a("example.org"): ips("192.0.2.1")}, want: "example.org:25"},
	})
}

// With Begin the loop is found when the host is looked up, and nothing behind it
// is ever asked for.
func TestMoreFindsLoop(t *testing.T) {
	dns := &recorder{Resolver: tiers()}
	r := begin(t, &resolve.Routes{Resolver: dns, Routing: resolve.Routing{Self: []string{"192.0.2.3"}}})
	dns.take()
	if r.Self || r.More(t.Context()) || !r.Self || len(r.Hosts) != 2 {
		t.Errorf("self %v\n%s", r.Self, summary(r))
	}
	expectAsked(t, dns, "b.example.org A, b.example.org AAAA")
}

func TestRouteFamilies(t *testing.T) {
	dns := resolve.Static{mx("example.org"): mxs(resolve.MX{1, "four.example.org"}, resolve.MX{2, "six.example.org"}, resolve.MX{3, "2001:db8::9"}),
		a("four.example.org"): ips("192.0.2.1"), aaaa("six.example.org"): ips("2001:db8::1"), a("only.example.net"): ips("192.0.2.1")}
	only := func(f resolve.Families) *resolve.Routes {
		return &resolve.Routes{Routing: resolve.Routing{Families: f}}
	}
	checkRules(t, []rule{
		{name: "IPv4", routes: only(resolve.IPv4), dns: dns, want: "four:25 six:25! 2001:db8::9:25!"},
		{name: "IPv6", routes: only(resolve.IPv6), dns: dns, want: "four:25! six:25 2001:db8::9:25"},
		{name: "both", routes: only(resolve.IPv4 | resolve.IPv6), dns: dns, want: "four:25 six:25 2001:db8::9:25"},
		{name: "what fails is not asked", routes: only(resolve.IPv4), dns: dns, down: []resolve.Question{aaaa("four.example.org"), aaaa("six.example.org")}, want: "four:25 six:25! 2001:db8::9:25!"},
		{name: "none left", hop: "only.example.net", routes: only(resolve.IPv6), dns: dns, err: resolve.ErrNotFound},
		{name: "an address of the other family", hop: "[192.0.2.1]", routes: only(resolve.IPv6), dns: dns, err: resolve.ErrNotNow},
	})
}

func TestRouteMXOptions(t *testing.T) {
	noHost := resolve.Static{mx("example.org"): mxs(resolve.MX{1, "gone.example.org"}), a("example.org"): ips("192.0.2.1")}
	ignore := &resolve.Routes{Routing: resolve.Routing{IgnoreMXErrors: true}}
	wait := &resolve.Routes{Routing: resolve.Routing{DeferNoAddress: true}}
	clone := func(s *resolve.Routes) *resolve.Routes { return &resolve.Routes{Routing: s.Routing} }
	checkRules(t, []rule{
		{name: "N3_MX_fails_and_is_ignored", routes: clone(ignore), dns: noHost, down: []resolve.Question{mx("example.org")}, want: "example.org:25", onlyNow: true},
		{name: "N3_MX_fails", routes: &resolve.Routes{}, dns: noHost, down: []resolve.Question{mx("example.org")}, err: errDown, onlyNow: true},
		{name: "N8_is_no_error_to_ignore", routes: clone(ignore), dns: noHost, err: resolve.ErrNotFound},
		{name: "N8_waits", routes: clone(wait), dns: noHost, err: resolve.ErrNotNow},
		{name: "N11_does_not_wait", routes: clone(wait), dns: resolve.Static{}, err: resolve.ErrNotFound},
		{name: "N1_does_not_wait", routes: clone(wait), dns: resolve.Static{mx("example.org"): {NoName: true}}, err: resolve.ErrNoDomain},
		{name: "N14_configured", routes: &resolve.Routes{Configured: true}, dns: resolve.Static{a("example.org"): ips("127.0.0.1")}, want: "example.org:25"},
		{name: "N14_not_configured", routes: &resolve.Routes{}, dns: resolve.Static{a("example.org"): ips("127.0.0.1")}, err: resolve.ErrForbidden},
	})
}

// failing has an error for every question of a type.
type failing struct {
	resolve.Static
	err error
	typ resolve.Type
}

func (f failing) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if q.Type == f.typ {
		return resolve.Answer{}, f.err
	}
	return f.Static.Lookup(ctx, q)
}

// What was found by IgnoreMXErrors is never secure, and a forgery is no error to
// ignore (D1), nor one to take MX records for.
func TestRouteIgnoresNoForgery(t *testing.T) {
	static := resolve.Static{a("example.org"): {Addrs: addrs("192.0.2.1"), Secure: true}, aaaa("example.org"): {Secure: true}}
	routing := resolve.Routing{IgnoreMXErrors: true}
	r, err := routing.Route(t.Context(), down{static, []resolve.Question{mx("example.org")}}, example)
	if err != nil || r.Secure || r.Hosts[0].Secure {
		t.Errorf("%+v, %v, want a host without proof", r, err)
	}
	for kind, want := range map[resolve.ErrorKind]bool{resolve.ServFail: true, resolve.Refused: true, resolve.Timeout: true, resolve.Bogus: false} {
		_, err := routing.Route(t.Context(), failing{static, &resolve.Error{Kind: kind}, resolve.TypeMX}, example)
		if (err == nil) != want {
			t.Errorf("kind %v: %v", kind, err)
		}
		instead := resolve.Routing{Service: "submission", MXInstead: resolve.SRVFails}
		if _, err := instead.Route(t.Context(), failing{static, &resolve.Error{Kind: kind}, resolve.TypeSRV}, example); (err == nil) != want {
			t.Errorf("SRV, kind %v: %v", kind, err)
		}
	}
}

// The counts are those of Postfix: a family that needs at most half of the limit
// gets all, the other the rest.
func TestRouteBalance(t *testing.T) {
	tests := []struct {
		name          string
		limit, n4, n6 int
		want4, want6  int
	}{
		{"fewer than the limit", 5, 2, 3, 2, 3},
		{"few of IPv6", 5, 9, 2, 3, 2},
		{"few of IPv4", 5, 1, 9, 1, 4},
		{"even limit", 4, 9, 9, 2, 2},
		{"odd limit, IPv4 first", 5, 9, 9, 3, 2},
		{"one family", 5, 9, 0, 9, 0},
		{"no limit", 0, 9, 9, 9, 9},
		{"negative", -1, 9, 9, 9, 9},
		{"one", 1, 3, 3, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Every host has one address; those of IPv4 come first, so that
			// IPv6 would never be tried.
			dns := resolve.Static{}
			var records []resolve.MX
			for i := range tt.n4 + tt.n6 {
				name := fmt.Sprintf("mx%02d.example.org", i)
				records = append(records, resolve.MX{uint16(i), name})
				if i < tt.n4 {
					dns[a(name)] = ips(fmt.Sprint("192.0.2.", i+1))
				} else {
					dns[aaaa(name)] = ips(fmt.Sprint("2001:db8::", i+1))
				}
			}
			dns[mx("example.org")] = mxs(records...)
			s := &resolve.Routes{Resolver: dns, Cache: &cache.Memory{}, Addresses: tt.limit}
			for range 2 {
				r, err := s.Route(t.Context(), example)
				if err != nil {
					t.Fatal(err)
				}
				expectFamilies(t, r, tt.want4, tt.want6)
			}
			// All is in the cache now, and so it is one decision for Begin, too.
			expectFamilies(t, begin(t, s), tt.want4, tt.want6)
		})
	}
}

func expectFamilies(t *testing.T, r *resolve.Route, want4, want6 int) {
	t.Helper()
	n4, n6 := 0, 0
	for _, h := range r.Hosts {
		for _, addr := range h.Addrs {
			if addr.Is4() {
				n4++
			} else {
				n6++
			}
		}
		if len(h.Addrs) == 0 {
			t.Errorf("%s has nothing left to try", h.Name)
		}
	}
	if n4 != want4 || n6 != want6 || !slices.IsSortedFunc(r.Hosts, func(a, b resolve.Host) int { return int(a.Preference) - int(b.Preference) }) {
		t.Errorf("%d addresses of IPv4 and %d of IPv6, want %d and %d\n%s", n4, n6, want4, want6, summary(r))
	}
}

// Hosts that are looked up later get what the first have left over.
func TestMoreBalances(t *testing.T) {
	dns := resolve.Static{mx("example.org"): mxs(resolve.MX{1, "six.example.org"}, resolve.MX{2, "four.example.org"}),
		aaaa("six.example.org"):  ips("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"),
		a("four.example.org"):    ips("192.0.2.1", "192.0.2.2", "192.0.2.3"),
		aaaa("four.example.org"): ips("2001:db8::5")}
	r := begin(t, &resolve.Routes{Resolver: dns, Addresses: 5})
	expectFamilies(t, r, 0, 4)
	if !r.More(t.Context()) {
		t.Fatal("no more")
	}
	expectFamilies(t, r, 2, 4) // of 3 and 5 the shares are 2 and 3, but 4 are given already
}

func TestSite(t *testing.T) {
	site := func(s *resolve.Routes, domain string) string {
		t.Helper()
		r, err := s.Route(t.Context(), parseHop(t, domain))
		if err != nil {
			t.Fatal(err)
		}
		return r.Site()
	}
	dns := resolve.Static{
		mx("one.example"):   mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}),
		mx("two.example"):   mxs(resolve.MX{5, "MX2.example.org."}, resolve.MX{5, "mx1.example.org"}),
		mx("other.example"): mxs(resolve.MX{5, "mx1.example.org"}),
		mx("c1.example"):    mxs(resolve.MX{5, "c1.mail.provider.example"}),
		mx("c2.example"):    mxs(resolve.MX{5, "c2.mail.provider.example"}, resolve.MX{6, "c2b.mail.provider.example"}),
		mx("mixed.example"): mxs(resolve.MX{5, "c3.mail.provider.example"}, resolve.MX{6, "mx1.example.org"}),
	}
	var many []resolve.MX
	for i := range 150 {
		name := fmt.Sprintf("mx%03d.many.example", i)
		many = append(many, resolve.MX{5, name})
		dns[a(name)] = ips("192.0.2.7")
	}
	dns[mx("many.example")] = resolve.Answer{MX: many}
	for _, name := range []string{"mx1.example.org", "mx2.example.org", "c1.mail.provider.example", "c2.mail.provider.example", "c2b.mail.provider.example", "c3.mail.provider.example"} {
		dns[a(name)] = ips("192.0.2.1")
	}
	s := &resolve.Routes{Resolver: dns}
	tests := map[string]string{"one.example": "mx1.example.org,mx2.example.org", "two.example": "mx1.example.org,mx2.example.org", "other.example": "mx1.example.org",
		"[mx1.example.org]:587": "mx1.example.org", "[192.0.2.1]": "192.0.2.1", "unix:/run/lmtp": "unix:/run/lmtp", "c1.example": "c1.mail.provider.example"}
	for domain, want := range tests {
		for range 5 {
			if got := site(s, domain); got != want {
				t.Errorf("%s: site %s, want %s", domain, got, want)
			}
		}
	}
	// More hosts than a Route takes: the same ones each time.
	first := site(s, "many.example")
	slices.Reverse(many)
	if again := site(s, "many.example"); again != first || len(first) > 100 || !strings.HasPrefix(first, "mx000.many.example#") {
		t.Errorf("sites %s and %s", first, again)
	}
	byProvider := &resolve.Routes{Resolver: dns, Routing: resolve.Routing{Provider: func(host string) string {
		if strings.HasSuffix(host, ".mail.provider.example") {
			return "provider.example"
		}
		return ""
	}}}
	for domain, want := range map[string]string{"c1.example": "provider.example", "c2.example": "provider.example", "mixed.example": "c3.mail.provider.example,mx1.example.org", "other.example": "mx1.example.org"} {
		if got := site(byProvider, domain); got != want {
			t.Errorf("%s: site %s, want %s", domain, got, want)
		}
	}
	if got := (&resolve.Route{Hosts: []resolve.Host{{Name: "b.example"}, {Name: "a.example"}}}).Site(); got != "a.example,b.example" {
		t.Errorf("a Route made by hand has the site %s", got)
	}
}

// The addresses of this machine have the form of Routing.Self, and none of them is
// one that every machine has.
func TestInterfaces(t *testing.T) {
	list, err := resolve.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range list {
		hop := parseHop(t, "["+own+"]")
		_, err := resolve.Routing{Self: list}.Route(t.Context(), resolve.Static{}, hop)
		if !errors.Is(err, resolve.ErrLoop) {
			t.Errorf("%s: %v, want ErrLoop", own, err)
		}
	}
}
