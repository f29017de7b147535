package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// counted counts the questions that get through to a Resolver.
type counted struct {
	resolve.Resolver
	mu    sync.Mutex
	asked int
}

func (c *counted) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	return c.Resolver.Lookup(ctx, q)
}

func (c *counted) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// An answer is asked for again when its TTL is over, also where there is nothing;
// until then it says how long it still holds.
func TestCachedKeepsByTTL(t *testing.T) {
	for name, tt := range map[string]struct {
		q      resolve.Question
		answer resolve.Answer
		max    time.Duration
		holds  time.Duration
	}{
		"records":         {a("mx.example.org"), resolve.Answer{Addrs: addrs("192.0.2.1"), Secure: true, TTL: 10 * time.Minute}, 0, 10 * time.Minute},
		"no record":       {a("mx.example.org"), resolve.Answer{Canonical: "mx.example.org", Secure: true, TTL: time.Minute}, 0, time.Minute},
		"no name":         {mx("example.org"), resolve.Answer{NoName: true, TTL: time.Minute}, 0, time.Minute},
		"a day":           {mx("example.org"), resolve.Answer{MX: []resolve.MX{{}}, TTL: 24 * time.Hour}, 0, time.Hour},
		"a bound of ours": {mx("example.org"), resolve.Answer{MX: []resolve.MX{{}}, TTL: 24 * time.Hour}, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &counted{Resolver: resolve.Func(func(context.Context, resolve.Question) (resolve.Answer, error) { return tt.answer, nil })}
				r := &resolve.Cached{Resolver: source, MaxTTL: tt.max}
				want := tt.answer
				for _, want.TTL = range []time.Duration{tt.holds, tt.holds, tt.holds / 2} {
					time.Sleep(tt.holds - want.TTL)
					if got, err := r.Lookup(t.Context(), tt.q); err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("got %+v, %v, want %+v", got, err, want)
					}
				}
				if n := source.count(); n != 1 {
					t.Errorf("asked %d times while the answer held, want once", n)
				}
				time.Sleep(tt.holds / 2)
				if _, err := r.Lookup(t.Context(), tt.q); err != nil || source.count() != 2 {
					t.Errorf("asked %d times, %v, want again when the TTL is over", source.count(), err)
				}
			})
		})
	}
}

func TestCachedDoesNotKeep(t *testing.T) {
	for name, answer := range map[string]func() (resolve.Answer, error){
		"errors":             func() (resolve.Answer, error) { return resolve.Answer{}, errors.New("no answer") },
		"errors with a TTL":  func() (resolve.Answer, error) { return resolve.Answer{TTL: time.Hour}, errors.New("no answer") },
		"an unknown TTL":     func() (resolve.Answer, error) { return resolve.Answer{Addrs: addrs("192.0.2.1")}, nil },
		"a negative TTL":     func() (resolve.Answer, error) { return resolve.Answer{TTL: -1}, nil },
		"what nobody can be": func() (resolve.Answer, error) { panic("a fault of the Resolver") },
	} {
		t.Run(name, func(t *testing.T) {
			source := &counted{Resolver: resolve.Func(func(context.Context, resolve.Question) (resolve.Answer, error) { return answer() })}
			r := &resolve.Cached{Resolver: source}
			for range 3 {
				got, err := r.Lookup(t.Context(), a("mx.example.org"))
				if err != nil && !reflect.DeepEqual(got, resolve.Answer{}) {
					t.Errorf("got %+v with %v", got, err)
				}
			}
			if source.count() != 3 {
				t.Errorf("asked %d times, want 3", source.count())
			}
		})
	}
}

// From the cache comes what had come from the server, of every type.
func TestCachedAnswersAsBefore(t *testing.T) {
	srv := serve(t, dnstest.None)
	plain, cached := dnsAt(srv), &resolve.Cached{Resolver: dnsAt(srv), MaxTTL: 24 * time.Hour}
	for _, q := range []resolve.Question{a("mx1.example.org"), aaaa("mx1.example.org"), mx("example.org"), mx("null.example.org"),
		{Name: "_submission._tcp.example.org", Type: resolve.TypeSRV}, {Name: "_25._tcp.mx1.example.org", Type: resolve.TypeTLSA},
		{Name: "quoted.example.org", Type: resolve.TypeTXT}, {Name: "example.org", Type: resolve.TypeTXT}, cname("alias.example.org"),
		a("away.example.org"), a("none.example.org"), mx("mx1.example.org"), a("MX1.Example.org.")} {
		want, err := plain.Lookup(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := cached.Lookup(t.Context(), q)
			if got.TTL > want.TTL || got.TTL < want.TTL-time.Minute {
				t.Errorf("%v: TTL %v, want hardly less than %v", q, got.TTL, want.TTL)
			}
			got.TTL = want.TTL
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%v: got %+v, %v, want %+v", q, got, err, want)
			}
		}
	}
}

// Many who ask the same at once make one question; one who gives up does not take
// it from the others.
func TestCachedOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counted{Resolver: resolve.Func(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
			select {
			case <-time.After(time.Second):
				return resolve.Answer{Addrs: addrs("192.0.2.1"), TTL: time.Minute}, nil
			case <-ctx.Done():
				return resolve.Answer{}, ctx.Err()
			}
		})}
		r := &resolve.Cached{Resolver: source}
		impatient, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.Lookup(impatient, a("mx.example.org")); !errors.Is(err, context.Canceled) {
				t.Errorf("who gave up got %v", err)
			}
		})
		for range 20 {
			wg.Go(func() {
				if got, err := r.Lookup(t.Context(), a("mx.example.org")); err != nil || len(got.Addrs) != 1 {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
		wg.Wait()
		if source.count() != 1 {
			t.Errorf("%d questions, want one", source.count())
		}
	})
}

// What is not ours is asked for again: N34.
func TestCachedN34ForeignEntries(t *testing.T) {
	store := &cache.Memory{}
	source := &counted{Resolver: resolve.Static{
		a("mx.example.org"):   {Addrs: addrs("192.0.2.1"), TTL: time.Hour},
		a("evil.example.org"): {Addrs: addrs("203.0.113.1"), TTL: time.Hour, Secure: true},
	}}
	open := func(prefix string) *resolve.Cached {
		return &resolve.Cached{Resolver: source, Cache: store, Prefix: prefix}
	}
	if _, err := open("").Lookup(t.Context(), a("evil.example.org")); err != nil {
		t.Fatal(err)
	}
	evil, ok, err := store.Get(t.Context(), "dns:1:1/evil.example.org")
	if err != nil || !ok {
		t.Fatalf("the cache has nothing under the key: %v", err)
	}
	for name, value := range map[string][]byte{"another key's": evil, "no entry": []byte("{}"), "empty": nil, "cut off": evil[:len(evil)-1]} {
		for range 2 { // the first time as it is, then whatever the first put there
			if err := store.Set(t.Context(), "dns:1:1/mx.example.org", value, time.Hour); err != nil {
				t.Fatal(err)
			}
			got, err := open("").Lookup(t.Context(), a("mx.example.org"))
			if err != nil || got.Secure || !reflect.DeepEqual(got.Addrs, addrs("192.0.2.1")) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
	}
	before := source.count()
	if _, err := open("mine:").Lookup(t.Context(), a("mx.example.org")); err != nil || source.count() != before+1 {
		t.Errorf("another Prefix: %d more questions, %v, want one", source.count()-before, err)
	}
}

func ExampleCached() {
	dns := resolve.Func(func(_ context.Context, q resolve.Question) (resolve.Answer, error) {
		fmt.Println("asked for", q.Name)
		return resolve.Answer{MX: []resolve.MX{{Preference: 10, Host: "mx.example.org"}}, TTL: time.Hour}, nil
	})
	resolver := &resolve.Cached{Resolver: dns}
	for range 3 {
		answer, err := resolver.Lookup(context.Background(), resolve.Question{Name: "example.org", Type: resolve.TypeMX})
		fmt.Println(answer.MX[0].Host, err)
	}
	// Output:
	// asked for example.org
	// mx.example.org <nil>
	// mx.example.org <nil>
	// mx.example.org <nil>
}

// Who asks afresh gets what is true now, and so do all after that.
func TestCachedAfresh(t *testing.T) {
	now := resolve.Answer{Addrs: addrs("192.0.2.1"), TTL: time.Hour}
	var fails error
	source := &counted{Resolver: resolve.Func(func(context.Context, resolve.Question) (resolve.Answer, error) { return now, fails })}
	r := &resolve.Cached{Resolver: source}
	lookup := func(ctx context.Context, want string, asked int) {
		t.Helper()
		got, err := r.Lookup(ctx, a("mx.example.org"))
		if err != nil || len(got.Addrs) != 1 || got.Addrs[0].String() != want || source.count() != asked {
			t.Errorf("got %v, %v after %d questions; want %s after %d", got.Addrs, err, source.count(), want, asked)
		}
	}
	afresh := resolve.Afresh(t.Context())
	lookup(t.Context(), "192.0.2.1", 1)
	now.Addrs = addrs("192.0.2.2")
	lookup(t.Context(), "192.0.2.1", 1)
	lookup(afresh, "192.0.2.2", 2)
	lookup(t.Context(), "192.0.2.2", 2)
	lookup(afresh, "192.0.2.2", 3)

	fails = errors.New("SERVFAIL")
	if _, err := r.Lookup(afresh, a("mx.example.org")); !errors.Is(err, fails) {
		t.Errorf("a failure: %v", err)
	}
	fails = nil
	lookup(t.Context(), "192.0.2.2", 4)

	now = resolve.Answer{Addrs: addrs("192.0.2.3")} // not to be kept, nor the old one
	lookup(afresh, "192.0.2.3", 5)
	lookup(t.Context(), "192.0.2.3", 6)
}
