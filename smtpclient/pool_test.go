package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// inPool is inWorld with a pool, which is closed before both ends are compared.
func inPool(t *testing.T, pool *smtpclient.Pool, test func(t *testing.T, w *world)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Pool = pool
		test(t, w)
		if err := pool.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if s := pool.Stats(); s.Idle != 0 || s.InUse != 0 || s.Waiting != 0 {
			t.Errorf("after Close: %+v", s)
		}
		w.settle()
	})
}

// reuse is how often each delivery's session had been used before.
func (w *world) reuse(n int) string {
	var b strings.Builder
	for range n {
		w.sent++
		report := w.deliver(w.t.Context(), fromAnn(fmt.Sprintf("bob%d@example.net", w.sent)), hello)
		if o := report.Outcomes[0]; o.Status != smtpclient.Delivered {
			w.t.Errorf("%v", o.Err())
		} else {
			fmt.Fprint(&b, o.Reused, " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// Without a neighbour a session is not kept; from the second delivery on it is,
// and KeepAll keeps the first one, too.
func TestPoolOnDemand(t *testing.T) {
	for name, c := range map[string]struct {
		pool  *smtpclient.Pool
		pause time.Duration
		want  string
	}{
		"in a row":       {&smtpclient.Pool{}, 0, "0 0 1 2 3"},
		"keep all":       {&smtpclient.Pool{KeepAll: true}, 0, "0 1 2 3 4"},
		"far apart":      {&smtpclient.Pool{}, time.Minute, "0 0 0 0 0"},
		"uses":           {&smtpclient.Pool{KeepAll: true, MaxUses: 2}, 0, "0 1 0 1 0"},
		"idle too long":  {&smtpclient.Pool{KeepAll: true, IdleTime: 2 * time.Second}, 3 * time.Second, "0 0 0 0 0"},
		"idle a little":  {&smtpclient.Pool{KeepAll: true, IdleTime: 4 * time.Second}, 3 * time.Second, "0 1 2 3 4"},
		"age":            {&smtpclient.Pool{KeepAll: true, MaxAge: 7 * time.Second}, 3 * time.Second, "0 1 2 0 1"},
		"without bounds": {&smtpclient.Pool{KeepAll: true, MaxUses: -1}, 0, "0 1 2 3 4"},
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, c.pool, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{})
				var got []string
				for range 5 {
					got = append(got, w.reuse(1))
					time.Sleep(c.pause)
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("reused %v, want %s", got, c.want)
				}
			})
		})
	}
}

// A session that nobody uses is closed with QUIT when its time is over.
func TestPoolClosesIdle(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		server := w.mx(10, &smtptest.Server{})
		w.reuse(3)
		if s := w.client.Pool.Stats(); s.Idle != 1 || s.Dialed != 1 || s.Reused != 2 {
			t.Errorf("%+v", s)
		}
		time.Sleep(6 * time.Second)
		if s := w.client.Pool.Stats(); s.Idle != 0 || s.Dropped != 1 {
			t.Errorf("after its time: %+v", s)
		}
		if said := dialogueOf(server, 0); !strings.HasSuffix(said, "QUIT\r\n") {
			t.Errorf("the session ended with %q", said)
		}
	})
}

// dialogueOf is what the client said in a session.
func dialogueOf(s *smtptest.Server, session int) string {
	var b strings.Builder
	for _, c := range s.Transcript(session) {
		if c.FromClient {
			b.Write(c.Data)
		}
	}
	return b.String()
}

// O1, O2, O4, O6: a session that the server has given up meanwhile is replaced,
// and nothing of that shows in the report.
func TestPoolReplacesSilently(t *testing.T) {
	second := func(verb string, a smtptest.Action) func(smtptest.Command) smtptest.Action {
		seen := 0
		return func(c smtptest.Command) smtptest.Action {
			if c.Session == 0 && c.Verb == verb {
				if seen++; seen == 2 {
					return a
				}
			}
			return smtptest.Action{}
		}
	}
	for name, script := range map[string]func(smtptest.Command) smtptest.Action{
		"MAIL gets 421":   second("MAIL", smtptest.Action{Reply: "421 4.3.2 going down"}),
		"MAIL gets EOF":   second("MAIL", smtptest.Action{Fault: smtptest.Drop}),
		"MAIL is garbage": second("MAIL", smtptest.Action{Fault: smtptest.Garbage}),
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
				server := w.mx(10, &smtptest.Server{Script: script})
				if got := w.reuse(3); got != "0 0 1" {
					t.Errorf("reused %s, want 0 0 1", got)
				}
				if n := len(server.Messages()); n != 3 {
					t.Errorf("%d messages, want 3", n)
				}
			})
		})
	}
	for name, last := range map[string]string{"421 while idle": "421 4.4.2 idle for too long\r\n", "closed while idle": ""} {
		for _, chunking := range []smtpclient.Chunking{smtpclient.ChunkingAuto, smtpclient.ChunkingAfter, smtpclient.ChunkingGrouped} {
			t.Run(fmt.Sprint(name, " ", chunking), func(t *testing.T) {
				inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
					w.mx(10, &smtptest.Server{})
					ends := endings{dial: w.net.DialContext}
					w.client.Dialer = &smtpclient.Dialer{DialContext: ends.dialContext, Quirks: withQuirks(smtpclient.Quirks{Chunking: chunking})}
					w.reuse(1)
					ends.end(last)
					if got := w.reuse(2); got != "0 1" {
						t.Errorf("reused %s, want 0 1", got)
					}
				})
			})
		}
	}
}

// After the commit point a lost session is lost also if it was used again:
// Unknown, and nothing is sent twice.
func TestPoolNeverRepeatsContent(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		seen := 0
		server := w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == smtptest.EndOfData {
				if seen++; seen == 2 {
					return smtptest.Action{Fault: smtptest.Drop}
				}
			}
			return smtptest.Action{}
		}})
		w.reuse(1)
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net unknown data-done 4.4.2")
		if n := len(server.Messages()); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	})
}

// Where a bound is reached, deliveries wait in turn and share what there is.
func TestPoolBounds(t *testing.T) {
	for name, pool := range map[string]*smtpclient.Pool{
		"destination": {PerDestination: 3}, "endpoint": {PerEndpoint: 3}, "all": {Total: 3},
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, pool, func(t *testing.T, w *world) {
				gauge := &gauge{}
				w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Delay: 10 * time.Millisecond}})
				w.client.Dialer = &smtpclient.Dialer{DialContext: gauge.around(w.net.DialContext)}
				var wg sync.WaitGroup
				for range 40 {
					wg.Go(func() {
						if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello))); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if gauge.most != 3 || gauge.dialled != 3 {
					t.Errorf("%d sessions at once, %d dialled; want 3 and 3", gauge.most, gauge.dialled)
				}
			})
		})
	}
}

// A delivery that waits ends with its ctx, and is Deferred at stage pool; the
// place goes to the next one.
func TestPoolWaitEndsWithContext(t *testing.T) {
	inPool(t, &smtpclient.Pool{Total: 1}, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == smtptest.EndOfData {
				return smtptest.Action{Delay: time.Minute}
			}
			return smtptest.Action{}
		}})
		var wg sync.WaitGroup
		wg.Go(func() { w.deliver(t.Context(), fromAnn("bob@example.net"), hello) })
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("no time"))
		defer cancel()
		start := time.Now()
		report, err := w.client.Deliver(ctx, fromAnn("carol@example.net"), smtpclient.Bytes([]byte(hello)))
		if took := time.Since(start); took != time.Second || !strings.Contains(err.Error(), "no time") {
			t.Errorf("after %v: %v", took, err)
		}
		expect(t, report, "carol@example.net deferred pool 4.4.5")
		wg.Wait()
		w.reuse(1)
	})
}

// Close lets those in use end, and turns away who waits or comes later; when its
// ctx ends it cuts off.
func TestPoolClose(t *testing.T) {
	slow := func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData {
			return smtptest.Action{Delay: time.Minute}
		}
		return smtptest.Action{}
	}
	for name, c := range map[string]struct {
		patience time.Duration
		first    string
	}{
		"patient":   {time.Hour, "a@example.net delivered data-done 2.0.0"},
		"impatient": {time.Second, "a@example.net unknown data-done 4.4.2"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				pool := &smtpclient.Pool{Total: 1}
				w.client.Pool = pool
				w.mx(10, &smtptest.Server{Script: slow})
				var wg sync.WaitGroup
				wg.Go(func() { expect(t, w.deliver(t.Context(), fromAnn("a@example.net"), hello), c.first) })
				synctest.Wait()
				wg.Go(func() {
					expect(t, w.deliver(t.Context(), fromAnn("b@example.net"), hello), "b@example.net deferred pool 4.3.2")
				})
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), c.patience)
				defer cancel()
				if err := pool.Close(ctx); (err == nil) != (c.patience > time.Minute) {
					t.Errorf("Close: %v", err)
				}
				wg.Wait()
				expect(t, w.deliver(t.Context(), fromAnn("c@example.net"), hello), "c@example.net deferred pool 4.3.2")
				if err := pool.Close(t.Context()); err != nil {
					t.Errorf("Close again: %v", err)
				}
				w.settle()
			})
		})
	}
}

// Nothing that makes a session another one is mixed up: each change gets a new
// session, and changing back finds the old one.
func TestPoolKeepsApart(t *testing.T) {
	other := &smtpclient.Dialer{}
	for name, change := range map[string]func(*smtpclient.Client, *smtpclient.Envelope){
		"dialer":    func(c *smtpclient.Client, _ *smtpclient.Envelope) { c.Dialer = other },
		"EHLO name": func(c *smtpclient.Client, _ *smtpclient.Envelope) { c.LocalName = "other.example.org" },
		"level":     func(c *smtpclient.Client, _ *smtpclient.Envelope) { c.TLS = tlspolicy.None },
		"TLS name": func(c *smtpclient.Client, _ *smtpclient.Envelope) {
			c.TLS = tlspolicy.Policy{Level: tlspolicy.Encrypt, ServerName: "x.example.net"}
		},
		"TLS version": func(c *smtpclient.Client, _ *smtpclient.Envelope) {
			c.TLS = tlspolicy.Policy{Level: tlspolicy.Encrypt, MinVersion: 0x304}
		},
		"next hop's own": func(c *smtpclient.Client, e *smtpclient.Envelope) { c.NextHops = []string{"[192.0.2.10]"} },
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{})
				other.DialContext = w.net.DialContext
				w.client.TLS = tlspolicy.Encrypt
				w.client.Limits.Addresses = 1
				w.reuse(1)
				usual := w.client
				env := fromAnn("changed@example.net")
				change(&w.client.Client, &env)
				if o := w.deliver(t.Context(), env, hello).Outcomes[0]; o.Reused != 0 || o.Status != smtpclient.Delivered {
					t.Errorf("reused %d: %v", o.Reused, o.Err())
				}
				w.client = usual
				if got := w.reuse(1); got != "1" {
					t.Errorf("the usual session: reused %s, want 1", got)
				}
			})
		})
	}
}

// While the best host is dead, what is open to the next one is used at once.
func TestPoolPassesOverTheDead(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true, IdleTime: time.Hour, MaxAge: time.Hour}, func(t *testing.T, w *world) {
		w.client.Cache = cache.None // no memory of dead hosts
		w.mx(10, nil)               // never answers
		w.mx(20, &smtptest.Server{})
		w.reuse(1)
		start := time.Now()
		if got := w.reuse(2); got != "1 2" || time.Since(start) != 0 {
			t.Errorf("reused %s after %v, want 1 2 at once", got, time.Since(start))
		}
	})
}

// Two domains with the same hosts share sessions, and the bound on them.
func TestPoolSharesSites(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true, PerDestination: 1}, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		w.dns[resolve.Question{Name: "example.com", Type: resolve.TypeMX}] = w.dns[resolve.Question{Name: "example.net", Type: resolve.TypeMX}]
		w.reuse(1)
		if o := w.deliver(t.Context(), fromAnn("carol@example.com"), hello).Outcomes[0]; o.Reused != 1 {
			t.Errorf("reused %d: %v", o.Reused, o.Err())
		}
	})
}

// Deliveries of a thousand goroutines to two hundred destinations keep every bound,
// wait no longer than is fair, and all end; nothing is left.
func TestPoolManyDeliveries(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pool := &smtpclient.Pool{PerDestination: 5, Total: 120}
		w.client.Pool = pool
		gauge := &gauge{perAddr: map[string]int{}}
		w.client.Dialer = &smtpclient.Dialer{DialContext: gauge.around(w.net.DialContext)}
		for i := range 200 {
			domain, addr := fmt.Sprintf("d%d.example", i), fmt.Sprintf("198.51.100.%d", i)
			w.dns[resolve.Question{Name: domain, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx." + domain}}}
			w.dns[resolve.Question{Name: "mx." + domain, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
			w.net[addr+":25"] = &smtptest.Server{Wire: smtptest.Wire{Delay: time.Duration(i%7) * time.Millisecond}, Profile: smtptest.Profile{Limits: smtptest.Limits{Connections: 5}}}
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var longest time.Duration // that one waited
		start := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				for j := range 4 {
					to := fmt.Sprintf("bob@d%d.example", (i*7+j*13)%200)
					report, err := w.client.Deliver(t.Context(), fromAnn(to), smtpclient.Bytes([]byte(hello)))
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					longest = max(longest, report.Outcomes[0].Times[smtpclient.StagePool])
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if gauge.most > 120 || gauge.mostAt > 5 {
			t.Errorf("%d sessions at once, %d to one address; want at most 120 and 5", gauge.most, gauge.mostAt)
		}
		// 1,000 deliveries at a time wait for 120 sessions: each is passed by few who came
		// after it.
		if all := time.Since(start); longest > 450*time.Millisecond || all > 800*time.Millisecond {
			t.Errorf("one delivery waited %v, and all took %v", longest, all)
		}
		total := 0
		for _, s := range w.net {
			total += len(s.Messages())
		}
		if total != 4000 {
			t.Errorf("%d messages at the servers, want 4000", total)
		}
		if err := pool.Close(t.Context()); err != nil {
			t.Error(err)
		}
		w.settle()
		if gauge.now != 0 {
			t.Errorf("%d connections are left", gauge.now)
		}
	})
}
