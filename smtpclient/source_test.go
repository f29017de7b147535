package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// wayOut is a Dialer with a name, that writes down what it dials.
func (w *world) wayOut(name string, log *[]string) *smtpclient.Dialer {
	var mu sync.Mutex
	return &smtpclient.Dialer{LocalName: name, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		*log = append(*log, name+" to "+addr)
		mu.Unlock()
		return w.net.DialContext(ctx, network, addr)
	}}
}

// The way out is picked for each next hop, by who sends and who receives: its
// connections, its EHLO name, and what the Limiter is asked with are of that way.
func TestSourcePerNextHop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var log []string
		one, two := w.wayOut("one.example.org", &log), w.wayOut("two.example.org", &log)
		var mu sync.Mutex
		asked := map[string]smtpclient.SourceQuery{}
		w.client.Source = func(_ context.Context, q smtpclient.SourceQuery) (*smtpclient.Dialer, error) {
			mu.Lock()
			defer mu.Unlock()
			asked[q.NextHop.String()] = q
			if q.NextHop.Name == "example.com" {
				return two, nil
			}
			return one, nil
		}
		l := &ledger{}
		w.client.Limiter, w.client.Limits.Destinations = l, 1
		mx := w.mx(10, &smtptest.Server{})
		w.dns[resolve.Question{Name: "example.com", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx.example.com"}}}
		w.dns[resolve.Question{Name: "mx.example.com", Type: resolve.TypeA}] = resolve.Answer{Addrs: addrs("192.0.2.99")}
		w.net["192.0.2.99:25"] = &smtptest.Server{}
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.com"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.com delivered data-done 2.0.0")
		if got, want := fmt.Sprint(log), "[one.example.org to 192.0.2.10:25 two.example.org to 192.0.2.99:25]"; got != want {
			t.Errorf("dialled %s, want %s", got, want)
		}
		want := smtpclient.SourceQuery{From: "ann@example.org", NextHop: resolve.NextHop{Name: "example.net"}, Site: "mx10.example.net"}
		if asked["example.net"] != want {
			t.Errorf("asked %+v, want %+v", asked["example.net"], want)
		}
		for _, u := range l.uses {
			if name := map[string]string{"example.net": "one.example.org", "example.com": "two.example.org"}[u.NextHop]; u.LocalName != name {
				t.Errorf("a use for %s has the name %s", u.NextHop, u.LocalName)
			}
		}
		if text := transcriptOf(mx, 0); !strings.Contains(text, "EHLO one.example.org\r\n") {
			t.Errorf("the server was told %q", text)
		}
	})
}

// transcriptOf is what a client has said in a session.
func transcriptOf(s *smtptest.Server, session int) string {
	var b strings.Builder
	for _, c := range s.Transcript(session) {
		if c.FromClient {
			b.Write(c.Data)
		}
	}
	return b.String()
}

// A way without a name has that of the Client; without a way it is Client.Dialer;
// and where none can be had the mail waits, without a word to anybody.
func TestSourceAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		source func(w *world) (*smtpclient.Dialer, error)
		want   string
	}{
		{"a way without a name", func(w *world) (*smtpclient.Dialer, error) {
			return &smtpclient.Dialer{DialContext: w.net.DialContext}, nil
		}, "delivered data-done 2.0.0"},
		{"none", func(*world) (*smtpclient.Dialer, error) { return nil, nil }, "delivered data-done 2.0.0"},
		{"an error", func(*world) (*smtpclient.Dialer, error) { return nil, errors.New("no pool for this tenant") }, "deferred limit 4.3.0"},
		{"a panic", func(*world) (*smtpclient.Dialer, error) { panic("oops") }, "deferred limit 4.3.0"},
		{"later", func(*world) (*smtpclient.Dialer, error) { return nil, comeBack(7) }, "deferred limit 4.4.5"},
		{"a way at fault", func(*world) (*smtpclient.Dialer, error) {
			return &smtpclient.Dialer{LocalName: "no name"}, nil
		}, "deferred input 4.3.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.client.Source = func(context.Context, smtpclient.SourceQuery) (*smtpclient.Dialer, error) { return tt.source(w) }
				w.client.NextHops = []string{"[192.0.2.10]", "[192.0.2.20]"}
				mx := w.mx(10, &smtptest.Server{})
				other := w.mx(20, &smtptest.Server{})
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
				if tt.name == "later" {
					expectLater(t, report, 7)
				}
				if strings.HasPrefix(tt.want, "delivered") {
					if text := transcriptOf(mx, 0); !strings.Contains(text, "EHLO client.example.org\r\n") {
						t.Errorf("the server was told %q", text)
					}
				} else if n := mx.Sessions() + other.Sessions(); n != 0 {
					t.Errorf("%d sessions", n)
				}
				if err := report.Err(); tt.name == "a way at fault" && !strings.Contains(err.Error(), "Client.Source: Dialer.LocalName") {
					t.Errorf("the error does not name the field: %v", err)
				}
			})
		})
	}
}

// picks are the ways that n queries get, by their names.
func picks(t *testing.T, ways *smtpclient.Ways, n int, query func(i int) smtpclient.SourceQuery) []string {
	t.Helper()
	var names []string
	for i := range n {
		d, err := ways.Pick(t.Context(), query(i))
		if err != nil || d == nil {
			t.Fatalf("no way: %v", err)
		}
		names = append(names, d.LocalName)
	}
	return names
}

func named(name string) *smtpclient.Dialer { return &smtpclient.Dialer{LocalName: name} }

func sameQuery(int) smtpclient.SourceQuery { return smtpclient.SourceQuery{} }

// Ways go in turn by their weight, the heavy ones spread between the others.
func TestWaysInTurn(t *testing.T) {
	ways := &smtpclient.Ways{List: []smtpclient.Way{{named("a"), 5}, {named("b"), 1}, {named("off"), -1}, {named("c"), 0}}}
	if got, want := strings.Join(picks(t, ways, 14, sameQuery), ""), "aabacaaaabacaa"; got != want {
		t.Errorf("the turns are %s, want %s", got, want)
	}
	none := &smtpclient.Ways{List: []smtpclient.Way{{named("off"), -1}}}
	if d, err := none.Pick(t.Context(), smtpclient.SourceQuery{}); d != nil || err != nil {
		t.Errorf("picked %v, %v of nothing", d, err)
	}
	if d, err := (&smtpclient.Ways{}).Pick(t.Context(), smtpclient.SourceQuery{}); d != nil || err != nil {
		t.Errorf("picked %v, %v of nothing", d, err)
	}
}

// Turns are kept to when many pick at the same time.
func TestWaysForMany(t *testing.T) {
	ways := &smtpclient.Ways{List: []smtpclient.Way{{named("a"), 3}, {named("b"), 1}}}
	var mu sync.Mutex
	count := map[string]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				d, _ := ways.Pick(t.Context(), smtpclient.SourceQuery{})
				mu.Lock()
				count[d.LocalName]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if count["a"] != 600 || count["b"] != 200 {
		t.Errorf("picked %v of 800 by 3 to 1", count)
	}
}

// With a Key a message keeps its way, by weight over all keys; where a way is
// added, only keys that it wins move.
func TestWaysByKey(t *testing.T) {
	const n = 8000
	query := func(i int) smtpclient.SourceQuery {
		return smtpclient.SourceQuery{From: fmt.Sprintf("user%d@example.org", i)}
	}
	key := func(q smtpclient.SourceQuery) string { return q.From }
	list := []smtpclient.Way{{named("a"), 1}, {named("b"), 2}, {named("off"), -1}, {named("c"), 1}}
	before := picks(t, &smtpclient.Ways{List: list, Key: key}, n, query)
	count := map[string]int{}
	for _, name := range before {
		count[name]++
	}
	for name, share := range map[string]int{"a": n / 4, "b": n / 2, "c": n / 4} {
		if d := count[name] - share; d < -share/10 || d > share/10 {
			t.Errorf("%s has %d of %d keys, want about %d", name, count[name], n, share)
		}
	}
	longer := &smtpclient.Ways{List: append(list, smtpclient.Way{Dialer: named("d")}), Key: key}
	again, moved := picks(t, longer, n, query), 0
	for i, name := range again {
		if name == before[i] {
			continue
		}
		moved++
		if name != "d" {
			t.Fatalf("key %d went from %s to %s because d was added", i, before[i], name)
		}
	}
	if moved < n/5-n/50 || moved > n/5+n/50 {
		t.Errorf("%d of %d keys moved, want about a fifth", moved, n)
	}
	for i, name := range picks(t, longer, 100, query) {
		if name != again[i] {
			t.Errorf("key %d had %s, and has %s now", i, again[i], name)
		}
	}
}

// A message that comes again keeps its way, which greylisting wants to see.
func TestWaysByKeyInDelivery(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var log []string
		ways := &smtpclient.Ways{Key: func(q smtpclient.SourceQuery) string { return q.From + " " + q.NextHop.String() }}
		for i := range 10 {
			ways.List = append(ways.List, smtpclient.Way{Dialer: w.wayOut(fmt.Sprintf("out%d.example.org", i), &log)})
		}
		w.client.Source = ways.Pick
		seen := map[string]time.Time{}
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb != "RCPT" {
				return action{}
			}
			if first, ok := seen[log[len(log)-1]]; ok && time.Since(first) >= 5*time.Minute {
				return action{}
			}
			seen[log[len(log)-1]] = time.Now()
			return action{Reply: "450 4.7.1 come again in five minutes"}
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred rcpt 4.7.1")
		time.Sleep(5 * time.Minute)
		report = w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
	})
}
