package resolve

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
)

var sinkS string
var sinkR *Route
var sinkSmall *small

func tmpRoutes() (*Routes, []byte) {
	st := Static{
		{"example.org", TypeMX}: {MX: []MX{{10, "mx1.example.org"}, {10, "mx2.example.org"}}, TTL: time.Hour},
	}
	for _, n := range []string{"mx1.example.org", "mx2.example.org"} {
		st[Question{n, TypeA}] = Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, TTL: time.Hour}
		st[Question{n, TypeAAAA}] = Answer{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}, TTL: time.Hour}
	}
	s := &Routes{Resolver: st, Cache: &cache.Memory{}}
	r, err := s.Route(context.Background(), NextHop{Name: "example.org"})
	if err != nil {
		panic(err)
	}
	b, _ := r.pack()
	return s, b
}

func BenchmarkPartKey(b *testing.B) {
	s, _ := tmpRoutes()
	for b.Loop() {
		sinkS, _ = s.key(NextHop{Name: "example.org"})
	}
}
func BenchmarkPartUnpack(b *testing.B) {
	_, p := tmpRoutes()
	for b.Loop() {
		sinkR = unpack(p)
	}
}
func BenchmarkPartNew(b *testing.B) {
	for b.Loop() {
		sinkSmall = new(small)
	}
}
func BenchmarkPartLoader(b *testing.B) {
	s, _ := tmpRoutes()
	for b.Loop() {
		sinkR, _ = s.loader.Get(context.Background(), "route1:3m:example.org")
	}
}
func BenchmarkPartOpen(b *testing.B) {
	s, _ := tmpRoutes()
	for b.Loop() {
		sinkR, _ = s.open(context.Background(), NextHop{Name: "example.org"})
	}
}
func BenchmarkPartSettle(b *testing.B) {
	s, _ := tmpRoutes()
	r, _ := s.open(context.Background(), NextHop{Name: "example.org"})
	for b.Loop() {
		r.Hosts = nil
		r.extend(context.Background(), 2)
	}
}
func BenchmarkPartBegin(b *testing.B) {
	s, _ := tmpRoutes()
	for b.Loop() {
		sinkR, _ = s.Begin(context.Background(), NextHop{Name: "example.org"})
	}
}
