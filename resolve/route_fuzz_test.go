package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

// dice is a Resolver that makes answers of random bytes, the same ones for the
// same question. Bytes that have run out are zero.
type dice struct {
	bytes []byte
	seen  map[resolve.Question]resolve.Answer
	next  int
}

func (d *dice) roll() byte {
	if d.next >= len(d.bytes) {
		return 0
	}
	d.next++
	return d.bytes[d.next-1]
}

var diceHosts = []string{"", ".", "mx1.example.org", "MX1.example.org.", "mx2.example.org", "mx3.example.org", "127.0.0.1", "192.0.2.9", "2001:db8::9", "a b", "x\r\nRSET", "::ffff:127.0.0.1", "fe80::1%eth0"}

var diceAddrs = addrs("192.0.2.1", "192.0.2.2", "127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "2001:db8::1", "2001:db8::2", "::1", "fe80::1", "::ffff:127.0.0.1", "::ffff:192.0.2.7", "64:ff9b::7f00:1", "2002:7f00:1::")

func (d *dice) Lookup(_ context.Context, q resolve.Question) (resolve.Answer, error) {
	switch kind := d.roll(); {
	case kind >= 250:
		panic("dice")
	case kind >= 230:
		return resolve.Answer{MX: []resolve.MX{{1, "mx9.example.org"}}, Addrs: diceAddrs[:1]}, &resolve.Error{Question: q, Kind: resolve.ErrorKind(kind % 6)}
	case kind >= 225:
		return resolve.Answer{}, fmt.Errorf("mine: %w", resolve.ErrNotFound)
	case kind >= 215:
		return resolve.Answer{NoName: true, TTL: time.Minute}, nil
	}
	a := resolve.Answer{Secure: d.roll()%2 == 0, TTL: time.Duration(d.roll()) * time.Minute, Canonical: diceHosts[int(d.roll())%len(diceHosts)]}
	for range int(d.roll()) % 8 {
		a.MX = append(a.MX, resolve.MX{Preference: uint16(d.roll() % 4), Host: diceHosts[int(d.roll())%len(diceHosts)]})
		a.SRV = append(a.SRV, resolve.SRV{Priority: uint16(d.roll() % 4), Weight: uint16(d.roll()), Port: uint16(d.roll()), Host: diceHosts[int(d.roll())%len(diceHosts)]})
		a.Addrs = append(a.Addrs, diceAddrs[int(d.roll())%len(diceAddrs)])
	}
	if d.roll() == 7 { // more than anybody should have
		for i := range 300 {
			a.MX = append(a.MX, resolve.MX{Preference: uint16(i % 7), Host: fmt.Sprintf("mx%d.example.org", i)})
			a.Addrs = append(a.Addrs, netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}))
		}
	}
	return a, nil
}

// once asks the dice one question at a time and gives each the same answer again.
type once struct {
	lock chan struct{}
	dice *dice
}

func (o once) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	o.lock <- struct{}{}
	defer func() { <-o.lock }()
	if a, ok := o.dice.seen[q]; ok {
		return a, nil
	}
	a, err := o.dice.Lookup(ctx, q)
	if err == nil {
		o.dice.seen[q] = a
	}
	return a, err
}

// FuzzRoute holds the promises of Route against random answers and settings.
func FuzzRoute(f *testing.F) {
	f.Add([]byte{0, 0, 5, 0, 3, 1, 2, 0, 0, 0, 0, 0, 1, 4}, uint16(0), 5)
	f.Add([]byte{0, 0, 5, 0, 0, 7}, uint16(0x1ff), 2)
	f.Add([]byte{240, 0, 0, 0, 3, 0, 1}, uint16(0x40), 0)
	f.Fuzz(func(t *testing.T, bytes []byte, settings uint16, limit int) {
		set := func(bit int) bool { return settings>>bit&1 != 0 }
		s := &resolve.Routes{Resolver: once{make(chan struct{}, 1), &dice{bytes: bytes, seen: map[resolve.Question]resolve.Answer{}}}, Addresses: limit, Configured: set(0), Routing: resolve.Routing{
			Families: resolve.Families(settings >> 1 & 3), Prefer: resolve.Families(settings >> 3 & 3), IgnoreMXErrors: set(5), DeferNoAddress: set(6), Local: set(7)}}
		if set(8) {
			s.Routing.Service, s.Routing.MXInstead = "submission", resolve.SRVFailure(settings>>9&3)
		}
		if set(11) {
			s.Routing.Self = []string{"192.0.2.2", "mx2.example.org"}
		}
		if set(12) {
			s.Cache = &cache.Memory{}
		}
		for range 2 { // the second time from the cache, if there is one
			r, err := s.Begin(t.Context(), resolve.NextHop{Name: "example.org"})
			if err != nil {
				if r != nil {
					t.Errorf("a Route came with %v", err)
				}
				continue
			}
			checkPromises(t, s, r)
			for n := len(r.Hosts); r.More(t.Context()); n = len(r.Hosts) {
				if len(r.Hosts) <= n {
					t.Fatal("More gives no more")
				}
				checkPromises(t, s, r)
			}
		}
	})
}

func checkPromises(t *testing.T, s *resolve.Routes, r *resolve.Route) {
	t.Helper()
	if len(r.Hosts) == 0 || len(r.Hosts) > 100 || r.Site() == "" {
		t.Fatalf("%d hosts, site %q", len(r.Hosts), r.Site())
	}
	if !slices.ContainsFunc(r.Hosts, func(h resolve.Host) bool { return h.Err == nil }) {
		t.Errorf("no host can be used: %s", summary(r))
	}
	families := s.Routing.Families & 3
	if families == 0 {
		families = 3
	}
	seen := map[string]bool{}
	for i, h := range r.Hosts {
		if i > 0 && h.Preference < r.Hosts[i-1].Preference {
			t.Errorf("wrong order: %s", summary(r))
		}
		if (len(h.Addrs) == 0) != (h.Err != nil) || len(h.Addrs) > 30 || h.Port == 0 {
			t.Errorf("%+v has both addresses and an error, or neither, or too many, or no port", h)
		}
		if key := fmt.Sprint(h.Name, h.Port); seen[key] || h.Name == "" || slices.ContainsFunc([]byte(h.Name), func(c byte) bool { return c <= ' ' || c >= 0x7f }) {
			t.Errorf("the name %q is there twice or is none", h.Name)
		} else {
			seen[key] = true
		}
		if errors.Is(h.Err, resolve.ErrNullMX) || errors.Is(h.Err, resolve.ErrLoop) {
			t.Errorf("%s: %v is no reason for a host", h.Name, h.Err)
		}
		for j, a := range h.Addrs {
			switch {
			case a.Is4In6() || a.Zone() != "" || slices.Contains(h.Addrs[:j], a):
				t.Errorf("%s has %v", h.Name, h.Addrs)
			case a.Is4() && families&resolve.IPv4 == 0 || a.Is6() && families&resolve.IPv6 == 0:
				t.Errorf("%s is of a family that is not asked for", a)
			case !s.Routing.Local && !s.Configured && isForbidden(a):
				t.Errorf("%s is an address that no other machine can have", a)
			case len(s.Routing.Self) > 0 && !s.Configured && h.Port == 25 && (a.String() == s.Routing.Self[0] || h.Name == s.Routing.Self[1]):
				t.Errorf("%s %s is ourselves", h.Name, a)
			}
		}
	}
}

// isForbidden has its own list of what is in diceAddrs and diceHosts.
func isForbidden(a netip.Addr) bool {
	return slices.Contains(addrs("127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "::1", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::"), a)
}

// FuzzCachedRoute gives a Routes whatever a cache may hold. The entry has the frame
// of a Loader, so that the bytes get as far as they can.
func FuzzCachedRoute(f *testing.F) {
	routes, c := warm(f)
	const key = "route1:3m:example.org"
	if c.key != key {
		f.Fatalf("the key is %q", c.key)
	}
	frame := 19 + len(key)
	f.Add(c.value[frame:])
	routes.Route(context.Background(), resolve.NextHop{Name: "example.org"})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		value := append(slices.Clone(c.value[:frame]), bytes...)
		memory := &cache.Memory{}
		memory.Set(t.Context(), key, value, time.Hour)
		s := &resolve.Routes{Resolver: tiers(), Cache: fixed{value: value}}
		r, err := s.Begin(t.Context(), example)
		// A Memory is read in another way than other caches.
		m, errm := (&resolve.Routes{Resolver: tiers(), Cache: memory}).Begin(t.Context(), example)
		if (err == nil) != (errm == nil) || err == nil && !m.SameHosts(r) {
			t.Fatalf("from a Memory %v, from another cache %v", errm, err)
		}
		if err != nil {
			return // an entry may say so
		}
		for _, h := range r.Hosts {
			if len(h.Addrs) > 30 || h.Name == "" || slices.ContainsFunc([]byte(h.Name+h.Canonical), func(c byte) bool { return c <= ' ' || c >= 0x7f }) || slices.ContainsFunc(h.Addrs, isForbidden) {
				t.Errorf("the host %+v was believed", h)
			}
		}
		if len(r.Hosts) > 100 || !slices.IsSortedFunc(r.Hosts, func(a, b resolve.Host) int { return int(a.Preference) - int(b.Preference) }) {
			t.Errorf("the order was believed: %s", summary(r))
		}
	})
}
