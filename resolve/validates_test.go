package resolve_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// rootZones are the root and a signed domain, and one that is not.
func rootZones(signed bool) []dnstest.Zone {
	return []dnstest.Zone{
		{Text: "$ORIGIN .\n@ NS ns.example.org.\n", Secure: signed},
		{Text: "$ORIGIN example.org.\n@ MX 10 mx\n", Secure: signed},
		{Text: "$ORIGIN example.net.\n@ MX 10 mx\n"},
	}
}

// turncoat is a name server that validates until it is turned off.
type turncoat struct {
	before, after *dnstest.Server

	mu  sync.Mutex
	off bool // guarded by mu
}

// newTurncoat makes one with a fault for the questions about the root.
func newTurncoat(t *testing.T, fault dnstest.Fault) *turncoat {
	atRoot := func(name string, _ uint16) dnstest.Fault {
		if name == "" {
			return fault
		}
		return dnstest.None
	}
	c := &turncoat{before: &dnstest.Server{Zones: rootZones(true), Script: atRoot}, after: &dnstest.Server{Zones: rootZones(false), Script: atRoot}}
	t.Cleanup(c.before.Close)
	t.Cleanup(c.after.Close)
	return c
}

func (c *turncoat) turnOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
}

func (c *turncoat) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return c.after.DialContext(ctx, network, addr)
	}
	return c.before.DialContext(ctx, network, addr)
}

// probes counts the questions about the root.
func (c *turncoat) probes() int {
	n := 0
	for _, q := range append(c.before.Questions(), c.after.Questions()...) {
		if q.Name == "" && q.Type == dns.TypeNS {
			n++
		}
	}
	return n
}

// D16: a resolver that stops validating is found out within a minute, at the cost of
// one question in a minute, and none while there are answers that were validated.
func TestValidatesD16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTurncoat(t, dnstest.None)
		r := &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: c.DialContext}
		check := func(when string, probes int, want error) {
			t.Helper()
			for range 3 {
				if err := r.Validates(t.Context()); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", when, err, want)
				}
			}
			if n := c.probes(); n != probes {
				t.Errorf("%s: %d probes, want %d", when, n, probes)
			}
		}
		lookup := func(name string) {
			t.Helper()
			if _, err := r.Lookup(t.Context(), resolve.Question{Name: name, Type: resolve.TypeMX}); err != nil {
				t.Error(err)
			}
		}
		check("at first", 1, nil)
		time.Sleep(59 * time.Second)
		check("within a minute", 1, nil)
		time.Sleep(time.Second)
		check("after a minute", 2, nil)
		time.Sleep(time.Minute)
		lookup("example.org")
		check("after a validated answer", 2, nil)
		time.Sleep(time.Minute)
		lookup("example.net")
		check("after another answer", 3, nil)
		time.Sleep(time.Minute)
		c.turnOff()
		lookup("example.org")
		check("turned off", 4, resolve.ErrNotValidated)
		time.Sleep(time.Minute)
		check("still", 5, resolve.ErrNotValidated)
	})
}

// A validated answer ends the alarm at once.
func TestValidatesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTurncoat(t, dnstest.None)
		c.turnOff()
		r := &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: c.DialContext}
		if err := r.Validates(t.Context()); !errors.Is(err, resolve.ErrNotValidated) {
			t.Fatal(err)
		}
		c.off = false
		if _, err := r.Lookup(t.Context(), resolve.Question{Name: "example.org", Type: resolve.TypeMX}); err != nil {
			t.Fatal(err)
		}
		if err := r.Validates(t.Context()); err != nil || c.probes() != 1 {
			t.Errorf("%v after %d probes", err, c.probes())
		}
	})
}

// The error says what is wrong, and what to do.
func TestValidatesSaysWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		name   string
		dns    *resolve.DNS
		off    bool
		fault  dnstest.Fault
		within time.Duration
		want   string
		sure   bool
	}{
		{name: "no validation", off: true, want: "the name server 127.0.0.1:53 did not validate \".\" NS; turn on DNSSEC validation there", sure: true},
		{name: "another probe", dns: &resolve.DNS{Probe: resolve.Question{Name: "Example.NET.", Type: resolve.TypeMX}}, want: `did not validate "example.net." MX`, sure: true},
		{name: "a probe that is signed", dns: &resolve.DNS{Probe: resolve.Question{Name: "example.org", Type: resolve.TypeMX}}},
		{name: "not trusted", dns: &resolve.DNS{Servers: []string{"192.0.2.53"}}, want: "192.0.2.53:53 says that it does, but is not among those that are believed; add it to DNS.TrustAD", sure: true},
		{name: "search list", dns: &resolve.DNS{Search: resolve.SearchSingle, SearchList: []string{"example.org"}}, want: "DNS.Search", sure: true},
		{name: "refused", fault: dnstest.Refused, want: "refused; check that it does recursion"},
		{name: "bogus", fault: dnstest.Bogus, want: "signatures of the domain to be wrong"},
		{name: "silence", fault: dnstest.Silence, within: 5 * time.Second, want: "did not answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTurncoat(t, tt.fault)
				c.off = tt.off
				r := tt.dns
				if r == nil {
					r = &resolve.DNS{}
				}
				r.DialContext = c.DialContext
				if r.Servers == nil {
					r.Servers = []string{"127.0.0.1"}
				}
				for range 2 { // the second time it is remembered
					start := time.Now()
					err := r.Validates(t.Context())
					switch {
					case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
						t.Errorf("got %v, want %q", err, tt.want)
					case errors.Is(err, resolve.ErrNotValidated) != tt.sure:
						t.Errorf("%v: it is said to be certain: %v", err, !tt.sure)
					case time.Since(start) != tt.within:
						t.Errorf("it took %v, want %v", time.Since(start), tt.within)
					}
					tt.within = 0
				}
			})
		})
	}
}

// Who ask at once ask together; who has no time left does not spoil it for others.
func TestValidatesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTurncoat(t, dnstest.None)
		open := make(chan struct{})
		r := &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			select {
			case <-open:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return c.DialContext(ctx, network, addr)
		}}
		hasty, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.Validates(hasty); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		for range 5 {
			wg.Go(func() {
				if err := r.Validates(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(open)
		wg.Wait()
		if c.probes() != 1 {
			t.Errorf("%d probes", c.probes())
		}
	})
}

// A wrapper is as good as what it wraps; of others nothing is known.
func TestValidatesWrapped(t *testing.T) {
	c := newTurncoat(t, dnstest.None)
	c.turnOff()
	r := &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: c.DialContext}
	for name, wrapped := range map[string]resolve.Resolver{
		"Cached": &resolve.Cached{Resolver: r}, "Filter": resolve.Filter{Resolver: r}, "Override": resolve.Override{Resolver: r},
		"First": resolve.First{resolve.System{}, r}, "all": resolve.First{&resolve.Cached{Resolver: resolve.Filter{Resolver: resolve.Override{Resolver: r}}}},
	} {
		if err := resolve.Validates(t.Context(), wrapped); !errors.Is(err, resolve.ErrNotValidated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, other := range []resolve.Resolver{resolve.System{}, resolve.Static{}, resolve.First{}, resolve.Func(r.Lookup)} {
		if err := resolve.Validates(t.Context(), other); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, resolve.ErrNotValidated) {
			t.Errorf("%T: %v", other, err)
		}
	}
}
