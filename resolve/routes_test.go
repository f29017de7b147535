package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

// recorder keeps the questions that reach a Resolver.
type recorder struct {
	resolve.Resolver
	mu        sync.Mutex
	questions []string
}

func (a *recorder) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	a.mu.Lock()
	a.questions = append(a.questions, q.Name+" "+q.Type.String())
	a.mu.Unlock()
	return a.Resolver.Lookup(ctx, q)
}

// take gives the questions since the last call, sorted.
func (a *recorder) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(a.questions)
	list := strings.Join(a.questions, ", ")
	a.questions = nil
	return list
}

// tiers are three hosts at two preferences, and their backup.
func tiers() resolve.Static {
	return resolve.Static{
		mx("example.org"):   mxs(resolve.MX{30, "c.example.org"}, resolve.MX{10, "a1.example.org"}, resolve.MX{20, "b.example.org"}, resolve.MX{10, "a2.example.org"}),
		a("a1.example.org"): ips("192.0.2.1"), a("a2.example.org"): ips("192.0.2.2"),
		a("b.example.org"): ips("192.0.2.3"), a("c.example.org"): ips("192.0.2.4"),
	}
}

var example = resolve.NextHop{Name: "example.org"}

func begin(t *testing.T, s *resolve.Routes) *resolve.Route {
	t.Helper()
	r, err := s.Begin(t.Context(), example)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expectAsked(t *testing.T, dns *recorder, want string) {
	t.Helper()
	if got := dns.take(); got != want {
		t.Errorf("asked %s\nwant %s", got, want)
	}
}

// A host is looked up together with all of its own preference, and not before
// somebody needs it.
func TestBeginAndMore(t *testing.T) {
	dns := &recorder{Resolver: tiers()}
	r := begin(t, &resolve.Routes{Resolver: dns})
	expectAsked(t, dns, "a1.example.org A, a1.example.org AAAA, a2.example.org A, a2.example.org AAAA, example.org MX")
	if len(r.Hosts) != 2 || r.Hosts[0].Preference != 10 || r.Hosts[1].Preference != 10 {
		t.Fatalf("at first there are\n%s", summary(r))
	}
	first := &r.Hosts[0]
	site := r.Site()
	for _, want := range []string{"b.example.org", "c.example.org"} {
		if !r.More(t.Context()) {
			t.Fatalf("no more before %s", want)
		}
		expectAsked(t, dns, want+" A, "+want+" AAAA")
		if last := r.Hosts[len(r.Hosts)-1]; last.Name != want || len(last.Addrs) != 1 || last.Port != 25 {
			t.Errorf("next comes %+v, want %s", last, want)
		}
	}
	if r.More(t.Context()) || &r.Hosts[0] != first || r.Site() != site {
		t.Errorf("there are still more, or a host was moved, or the site changed from %s to %s", site, r.Site())
	}
	expectAsked(t, dns, "")
}

// Where none of the best hosts has an address, the next ones are needed at once.
func TestBeginGoesOn(t *testing.T) {
	dns := tiers()
	delete(dns, a("a1.example.org"))
	dns[a("a2.example.org")] = ips("127.0.0.1")
	delete(dns, a("b.example.org"))
	r := begin(t, &resolve.Routes{Resolver: down{dns, []resolve.Question{a("b.example.org")}}})
	if len(r.Hosts) != 4 || r.Hosts[3].Err != nil || !errors.Is(r.Hosts[2].Err, errDown) {
		t.Errorf("got\n%s", summary(r))
	}
	for _, h := range r.Hosts[:2] {
		if !errors.Is(h.Err, resolve.ErrNotFound) && !errors.Is(h.Err, resolve.ErrForbidden) {
			t.Errorf("%s: %v", h.Name, h.Err)
		}
	}
}

func TestMoreN33Cancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, err := (&resolve.Routes{Resolver: tiers()}).Begin(ctx, example)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if r.More(ctx) || len(r.Hosts) != 2 {
		t.Errorf("after the cancel there are\n%s", summary(r))
	}
}

// What the DNS said is kept, however much of it was asked for, and one entry has
// it all.
func TestRoutesKeep(t *testing.T) {
	dns := &recorder{Resolver: tiers()}
	routes := &resolve.Routes{Resolver: dns, Cache: &cache.Memory{}}
	begin(t, routes)
	dns.take()
	r := begin(t, routes)
	expectAsked(t, dns, "")
	for r.More(t.Context()) {
	}
	expectAsked(t, dns, "b.example.org A, b.example.org AAAA, c.example.org A, c.example.org AAAA")
	for _, again := range []*resolve.Routes{routes, {Resolver: dns, Cache: routes.Cache}} {
		if r := begin(t, again); len(r.Hosts) != 4 || r.More(t.Context()) {
			t.Errorf("got\n%s\nwant all hosts, as they are known", summary(r))
		}
	}
	expectAsked(t, dns, "")
}

// Settings that change what is asked have entries of their own; the others are
// applied to what is kept.
func TestRoutesKeepBySettings(t *testing.T) {
	dns := &recorder{Resolver: resolve.Static{a("example.org"): ips("127.0.0.1", "192.0.2.1"), aaaa("example.org"): ips("2001:db8::1")}}
	memory := &cache.Memory{}
	tests := []struct {
		routing resolve.Routing
		want    string
		asks    bool
	}{
		{resolve.Routing{Prefer: resolve.IPv6}, "0 example.org 2001:db8::1 192.0.2.1", true},
		{resolve.Routing{Prefer: resolve.IPv4}, "0 example.org 192.0.2.1 2001:db8::1", false},
		{resolve.Routing{Prefer: resolve.IPv4, Local: true}, "0 example.org 127.0.0.1 192.0.2.1 2001:db8::1", false},
		{resolve.Routing{Families: resolve.IPv4}, "0 example.org 192.0.2.1", true},
		{resolve.Routing{Families: resolve.IPv6}, "0 example.org 2001:db8::1", true},
		{resolve.Routing{Families: resolve.IPv4 | resolve.IPv6, Prefer: resolve.IPv4}, "0 example.org 192.0.2.1 2001:db8::1", false},
		{resolve.Routing{Prefer: resolve.IPv4, Port: 2525}, "0 example.org 192.0.2.1 2001:db8::1", false},
	}
	for _, tt := range tests {
		r := begin(t, &resolve.Routes{Routing: tt.routing, Resolver: dns, Cache: memory})
		if got := summary(r); got != tt.want || (dns.take() != "") != tt.asks {
			t.Errorf("%+v: %s, want %s", tt.routing, got, tt.want)
		}
	}
}

// The order is made anew for every Route, also from the cache, and what one
// caller does to his Route no other sees.
func TestRoutesShuffleWhatIsKept(t *testing.T) {
	dns := &recorder{Resolver: tiers()}
	routes := &resolve.Routes{Resolver: dns, Cache: &cache.Memory{}}
	seen := map[string]bool{}
	for range 100 {
		r, err := routes.Route(t.Context(), example)
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Hosts[0].Name] = true
		if r.Hosts[2].Name != "b.example.org" || r.Hosts[0].Addrs[0] == (netip.Addr{}) {
			t.Fatalf("got\n%s", summary(r))
		}
		for i := range r.Hosts {
			r.Hosts[i].Name = "spoilt"
			r.Hosts[i].Addrs[0] = netip.Addr{}
		}
	}
	if len(seen) != 2 || len(strings.Split(dns.take(), ", ")) != 9 {
		t.Errorf("first came %v, want two names, and all that from one lookup", seen)
	}
}

// An entry lives as long as its shortest record, within bounds (N30). synctest
// has the clock.
func TestRoutesLife(t *testing.T) {
	ttl := func(a resolve.Answer, d time.Duration) resolve.Answer { a.TTL = d; return a }
	one := mxs(resolve.MX{10, "mx.example.org"})
	tests := []struct {
		name string
		dns  resolve.Static
		down []resolve.Question
		want time.Duration // zero: not kept
	}{
		{name: "shortest is the MX record", want: 5 * time.Minute,
			dns: resolve.Static{mx("example.org"): ttl(one, 5*time.Minute), a("mx.example.org"): ttl(ips("192.0.2.1"), time.Hour), aaaa("mx.example.org"): ttl(ips(), time.Hour)}},
		{name: "shortest is an address", want: 2 * time.Minute,
			dns: resolve.Static{mx("example.org"): ttl(one, time.Hour), a("mx.example.org"): ttl(ips("192.0.2.1"), 2*time.Minute), aaaa("mx.example.org"): ttl(ips(), time.Hour)}},
		{name: "TTL not known", want: 30 * time.Second,
			dns: resolve.Static{mx("example.org"): one, a("mx.example.org"): ips("192.0.2.1")}},
		{name: "N30_TTL_of_years", want: 24 * time.Hour,
			dns: resolve.Static{mx("example.org"): ttl(one, 1<<62), a("mx.example.org"): ttl(ips("192.0.2.1"), 1<<62), aaaa("mx.example.org"): ttl(ips(), 1<<62)}},
		{name: "N30_negative_TTL", want: 30 * time.Second,
			dns: resolve.Static{mx("example.org"): ttl(one, -1<<62), a("mx.example.org"): ttl(ips("192.0.2.1"), time.Hour)}},
		{name: "no such domain", want: 15 * time.Minute, dns: resolve.Static{mx("example.org"): {NoName: true, TTL: time.Hour}}},
		{name: "null MX", want: 10 * time.Minute, dns: resolve.Static{mx("example.org"): ttl(mxs(resolve.MX{}), 10*time.Minute)}},
		{name: "no address", want: 15 * time.Minute,
			dns: resolve.Static{mx("example.org"): ttl(one, time.Hour), a("mx.example.org"): {TTL: time.Hour}, aaaa("mx.example.org"): {TTL: time.Hour}}},
		{name: "N12_one_family_fails", want: 30 * time.Second, down: []resolve.Question{aaaa("mx.example.org")},
			dns: resolve.Static{mx("example.org"): ttl(one, time.Hour), a("mx.example.org"): ttl(ips("192.0.2.1"), time.Hour)}},
		{name: "N3_MX_fails", down: []resolve.Question{mx("example.org")}},
		{name: "N9_the_host_fails", down: []resolve.Question{a("mx.example.org"), aaaa("mx.example.org")},
			dns: resolve.Static{mx("example.org"): ttl(one, time.Hour)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dns := &recorder{Resolver: down{tt.dns, tt.down}}
				routes := &resolve.Routes{Resolver: dns, Cache: &cache.Memory{}}
				_, first := routes.Route(t.Context(), example)
				dns.take()
				if tt.want > 0 {
					time.Sleep(tt.want - time.Millisecond)
					_, again := routes.Route(t.Context(), example)
					expectAsked(t, dns, "")
					if fmt.Sprint(again) != fmt.Sprint(first) {
						t.Errorf("from the cache the error is %v, want %v", again, first)
					}
					time.Sleep(time.Millisecond)
				}
				routes.Route(t.Context(), example)
				if dns.take() == "" {
					t.Error("nothing was asked again")
				}
			})
		})
	}
}

// A host that cannot be looked up is asked for again each time, the others are not.
func TestRoutesKeepNoFailure(t *testing.T) {
	dns := tiers()
	delete(dns, a("a1.example.org"))
	asks := &recorder{Resolver: down{dns, []resolve.Question{a("a1.example.org"), aaaa("a1.example.org")}}}
	routes := &resolve.Routes{Resolver: asks, Cache: &cache.Memory{}}
	begin(t, routes)
	asks.take()
	begin(t, routes)
	expectAsked(t, asks, "a1.example.org A, a1.example.org AAAA")
	asks.Resolver = tiers()
	begin(t, routes)
	asks.take()
	begin(t, routes)
	expectAsked(t, asks, "")
}

// fixed is a cache that has the same for every key.
type fixed struct {
	value []byte
	err   error
}

func (f fixed) Get(context.Context, string) ([]byte, bool, error) {
	return slices.Clone(f.value), f.err == nil, f.err
}
func (f fixed) Set(context.Context, string, []byte, time.Duration) error { return f.err }
func (f fixed) Delete(context.Context, string) error                     { return f.err }

// An entry of another key or version, or one that is broken anywhere, is as good
// as none (N34).
func TestRoutesN34ForeignEntry(t *testing.T) {
	_, c := warm(t)
	good := c.value
	entries := map[string][]byte{"empty": {}, "text": []byte("192.0.2.9"), "longer": append(slices.Clone(good), 'x')}
	// Both layouts begin with their version: that of the Loader, and behind its head
	// of 19 bytes and the key that of the Route.
	for name, at := range map[string]int{"of another Loader": 0, "of another version": 19 + len(c.key)} {
		if good[at] != 1 {
			t.Fatalf("byte %d is %d, not a version", at, good[at])
		}
		entries[name] = slices.Clone(good)
		entries[name][at]++
	}
	unsorted := slices.Clone(good)
	unsorted[19+len(c.key)+14+1] = 20 // the preference of the first host
	entries["not in order"] = unsorted
	mapped := slices.Clone(good)
	copy(mapped[19+len(c.key)+14+2*11+4:], netip.MustParseAddr("::ffff:127.0.0.1").AsSlice()) // in place of the first of IPv6
	entries["an IPv4-mapped address"] = mapped
	unprintable := slices.Clone(good)
	unprintable[len(good)-1] = '\n'
	entries["not printable"] = unprintable
	for n := range good {
		entries[fmt.Sprint("cut after ", n)] = good[:n]
	}
	dns := &recorder{Resolver: tiers()}
	for name, entry := range entries {
		begin(t, &resolve.Routes{Resolver: dns, Cache: fixed{value: entry}})
		if !strings.Contains(dns.take(), "example.org MX") {
			t.Errorf("the entry that is %s was believed", name)
		}
	}
	begin(t, &resolve.Routes{Resolver: dns, Cache: fixed{value: good}})
	expectAsked(t, dns, "") // so that the above can fail
	if r, err := (&resolve.Routes{Resolver: dns, Cache: fixed{value: good}}).Begin(t.Context(), resolve.NextHop{Name: "example.net"}); err == nil {
		t.Errorf("the entry of example.org was taken for example.net: %s", summary(r))
	}
	begin(t, &resolve.Routes{Resolver: dns, Cache: fixed{err: errDown}})
	if dns.take() == "" {
		t.Error("a failing cache was believed")
	}
}

// Sockets and addresses are neither asked for nor kept.
func TestRoutesWithoutDNS(t *testing.T) {
	dns := &recorder{Resolver: resolve.Static{}}
	memory := &onlyEntry{Memory: &cache.Memory{}}
	for _, hop := range []string{"[192.0.2.1]:25", "[2001:db8::1]", "unix:/run/lmtp"} {
		r, err := (&resolve.Routes{Resolver: dns, Cache: memory}).Begin(t.Context(), parseHop(t, hop))
		if err != nil || len(r.Hosts) != 1 || !r.Secure || r.More(t.Context()) {
			t.Errorf("%s: %+v, %v", hop, r, err)
		}
	}
	expectAsked(t, dns, "")
	if memory.key != "" || memory.gets != 0 {
		t.Errorf("the cache was used for %q", memory.key)
	}
}

// Many callers, one Routes.
func TestRoutesConcurrently(t *testing.T) {
	routes := &resolve.Routes{Resolver: tiers(), Cache: &cache.Memory{}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				r, err := routes.Begin(t.Context(), example)
				if err != nil {
					t.Error(err)
					return
				}
				for r.More(t.Context()) {
				}
				if len(r.Hosts) != 4 {
					t.Errorf("got\n%s", summary(r))
				}
			}
		})
	}
	wg.Wait()
}
