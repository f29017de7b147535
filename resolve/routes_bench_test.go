package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

// The benchmarks stand for a client whose destinations are in the cache: two MX
// hosts with an address of each family.

// destination has the records of a domain with two hosts.
func destination(domain string) resolve.Static {
	return resolve.Static{
		mx(domain):            {MX: []resolve.MX{{10, "mx1." + domain}, {10, "mx2." + domain}}, TTL: time.Hour},
		a("mx1." + domain):    {Addrs: addrs("192.0.2.1"), TTL: time.Hour},
		aaaa("mx1." + domain): {Addrs: addrs("2001:db8::1"), TTL: time.Hour},
		a("mx2." + domain):    {Addrs: addrs("192.0.2.2"), TTL: time.Hour},
		aaaa("mx2." + domain): {Addrs: addrs("2001:db8::2"), TTL: time.Hour},
	}
}

// onlyEntry is the entry that a Route has left in a cache.
type onlyEntry struct {
	*cache.Memory
	key   string
	value []byte
	gets  int
}

func (c *onlyEntry) Get(ctx context.Context, key string) ([]byte, bool, error) {
	c.gets++
	return c.Memory.Get(ctx, key)
}

func (c *onlyEntry) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	c.key, c.value = key, append([]byte(nil), value...)
	return c.Memory.Set(ctx, key, value, ttl)
}

// warm gives Routes whose cache has example.org.
func warm(tb testing.TB) (*resolve.Routes, *onlyEntry) {
	c := &onlyEntry{Memory: &cache.Memory{}}
	routes := &resolve.Routes{Resolver: destination("example.org"), Cache: c}
	if _, err := routes.Route(context.Background(), resolve.NextHop{Name: "example.org"}); err != nil {
		tb.Fatal(err)
	}
	return routes, c
}

// A Route from a warm cache asks nobody, and is at most eight allocations, also for
// Routes that are made for one call. From a Memory it is the Route alone: a copy of
// the entry would be one more.
func TestWarmRouteIsCheap(t *testing.T) {
	_, c := warm(t)
	nobody := resolve.Func(func(context.Context, resolve.Question) (resolve.Answer, error) {
		return resolve.Answer{}, errors.New("this question is one too many")
	})
	kept, memory := &resolve.Routes{Resolver: nobody, Cache: c}, &resolve.Routes{Resolver: nobody, Cache: c.Memory}
	hop := resolve.NextHop{Name: "example.org"}
	for name, test := range map[string]struct {
		routes func() *resolve.Routes
		most   float64
	}{
		"kept":   {func() *resolve.Routes { return kept }, 8},
		"new":    {func() *resolve.Routes { return &resolve.Routes{Resolver: nobody, Cache: c} }, 8},
		"memory": {func() *resolve.Routes { return memory }, 1},
	} {
		begin := testing.AllocsPerRun(100, func() {
			r, err := test.routes().Begin(context.Background(), hop)
			if err != nil || len(r.Hosts) != 2 || len(r.Hosts[1].Addrs) != 2 {
				t.Fatal(r, err)
			}
		})
		if begin > test.most {
			t.Errorf("%s: %v allocations, want at most %v", name, begin, test.most)
		}
	}
}

// A Route from a warm cache is one Get.
func TestWarmRouteIsOneGet(t *testing.T) {
	routes, c := warm(t)
	for name, find := range map[string]func(context.Context, resolve.NextHop) (*resolve.Route, error){"Route": routes.Route, "Begin": routes.Begin} {
		c.gets = 0
		if r, err := find(t.Context(), resolve.NextHop{Name: "example.org"}); err != nil || r.More(t.Context()) || c.gets != 1 {
			t.Errorf("%s: %d Gets, %v", name, c.gets, err)
		}
	}
}

// However many domains there are, a Memory takes no more room than it may, and what
// it drops is found again.
func TestRoutesOfManyDomains(t *testing.T) {
	const bound = 1 << 20
	before := heapBytes()
	routes := &resolve.Routes{Resolver: anyDomain{}, Cache: &cache.Memory{MaxBytes: bound}}
	for i := range 8_000 { // 2.6 MiB
		if _, err := routes.Route(t.Context(), resolve.NextHop{Name: fmt.Sprintf("domain-%06d.example", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if heap := int64(heapBytes()) - int64(before); heap > bound {
		t.Errorf("%d bytes of heap, want at most %d", heap, bound)
	}
	if r, err := routes.Route(t.Context(), resolve.NextHop{Name: "domain-000000.example"}); err != nil || len(r.Hosts) != 2 {
		t.Errorf("the first domain: %+v, %v", r, err)
	}
	runtime.KeepAlive(routes)
}

// busy gives Routes whose cache has 100,000 domains, more than any cache of the
// processor holds.
func busy(b *testing.B) (*resolve.Routes, *onlyEntry, []resolve.NextHop) {
	c := &onlyEntry{Memory: &cache.Memory{MaxBytes: 64 << 20}}
	routes := &resolve.Routes{Resolver: anyDomain{}, Cache: c}
	hops := make([]resolve.NextHop, 100_000)
	for i := range hops {
		hops[i].Name = fmt.Sprintf("domain-%06d.example", i)
		if _, err := routes.Route(context.Background(), hops[i]); err != nil {
			b.Fatal(err)
		}
	}
	return routes, c, hops
}

// stride is prime, so that neighbours in time are none in memory.
const stride = 7919

func BenchmarkRouteWarm(b *testing.B) {
	_, c, hops := busy(b)
	routes := &resolve.Routes{Cache: c.Memory}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := routes.Begin(context.Background(), hops[i%len(hops)]); err != nil {
			b.Fatal(err)
		}
		i += stride
	}
}

// BenchmarkRouteGet is the measure for BenchmarkRouteWarm: the same bytes.
func BenchmarkRouteGet(b *testing.B) {
	_, c, hops := busy(b)
	keys := make([]string, len(hops))
	for i, hop := range hops {
		keys[i] = strings.Replace(c.key, hops[len(hops)-1].Name, hop.Name, 1)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok, _ := c.Memory.Get(context.Background(), keys[i%len(keys)]); !ok {
			b.Fatal("no entry")
		}
		i += stride
	}
}

// BenchmarkRouteRatio tells how many times the time of a Get a Route from a warm
// cache takes, for 100,000 domains and for one. The two take turns in short runs,
// so that whatever else the machine does slows both.
func BenchmarkRouteRatio(b *testing.B) {
	for _, domains := range []int{100_000, 1} {
		b.Run(fmt.Sprint(domains), func(b *testing.B) {
			_, c, hops := busy(b)
			hops = hops[len(hops)-domains:]
			routes := &resolve.Routes{Cache: c.Memory}
			keys := make([]string, domains)
			for i, hop := range hops {
				keys[i] = strings.Replace(c.key, hops[domains-1].Name, hop.Name, 1)
			}
			const run = 500
			i := 0
			timed := func(f func(i int)) float64 {
				start := time.Now()
				for range run {
					f(i % domains)
					i += stride
				}
				return float64(time.Since(start))
			}
			get := func(i int) { c.Memory.Get(context.Background(), keys[i]) }
			route := func(i int) { routes.Begin(context.Background(), hops[i]) }
			var ratios []float64
			for b.Loop() {
				ratios = append(ratios, timed(route)/timed(get))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "Gets/Route")
		})
	}
}

// BenchmarkRouteWarmOne and BenchmarkRouteGetOne ask for one domain over and over,
// so that everything is in the processor's caches.
func BenchmarkRouteWarmOne(b *testing.B) {
	_, c := warm(b)
	routes := &resolve.Routes{Cache: c.Memory}
	hop := resolve.NextHop{Name: "example.org"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := routes.Begin(context.Background(), hop); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRouteGetOne(b *testing.B) {
	_, c := warm(b)
	b.ReportAllocs()
	for b.Loop() {
		c.Memory.Get(context.Background(), c.key)
	}
}

// BenchmarkRouteUncached is what the DNS client's part leaves: all that is done
// with answers, from records in memory.
func BenchmarkRouteUncached(b *testing.B) {
	dns := destination("example.org")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (resolve.Routing{}).Route(context.Background(), dns, resolve.NextHop{Name: "example.org"}); err != nil {
			b.Fatal(err)
		}
	}
}

// any answers for every domain as for one with two hosts.
type anyDomain struct{}

func (anyDomain) Lookup(_ context.Context, q resolve.Question) (resolve.Answer, error) {
	switch q.Type {
	case resolve.TypeMX:
		return resolve.Answer{MX: []resolve.MX{{10, "mx1." + q.Name}, {20, "mx2." + q.Name}}, TTL: time.Hour}, nil
	case resolve.TypeA:
		return resolve.Answer{Addrs: addrs("192.0.2.1"), TTL: time.Hour, Canonical: q.Name}, nil
	}
	return resolve.Answer{Addrs: addrs("2001:db8::1"), TTL: time.Hour, Canonical: q.Name}, nil
}

// BenchmarkRouteDomains puts 100,000 domains into a cache that is large enough,
// and into the default one, and tells what it costs.
func BenchmarkRouteDomains(b *testing.B) {
	const domains = 100_000
	for name, limit := range map[string]int{"64MiB": 64 << 20, "16MiB": 16 << 20} {
		b.Run(name, func(b *testing.B) {
			hops := make([]resolve.NextHop, domains)
			for i := range hops {
				hops[i].Name = fmt.Sprintf("domain-%06d.example", i)
			}
			before := heapBytes()
			routes := &resolve.Routes{Resolver: anyDomain{}, Cache: &cache.Memory{MaxBytes: limit}}
			for _, hop := range hops {
				if _, err := routes.Route(context.Background(), hop); err != nil {
					b.Fatal(err)
				}
			}
			heap := heapBytes() - before
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := routes.Begin(context.Background(), hops[i*7919%domains]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(heap)/domains, "heapB/domain")
			b.ReportMetric(float64(heap)/(1<<20), "heapMiB")
			runtime.KeepAlive(routes)
		})
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
