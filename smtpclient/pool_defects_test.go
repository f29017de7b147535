package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// domain adds a domain with one mail exchanger at some addresses, all of one server.
func (w *world) domain(name string, s *smtptest.Server, addrs ...string) {
	w.dns[resolve.Question{Name: name, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx." + name}}}
	var a resolve.Answer
	for _, addr := range addrs {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(addr))
		w.net[addr+":25"] = s
	}
	w.dns[resolve.Question{Name: "mx." + name, Type: resolve.TypeA}] = a
}

// later sends a message in the background; the status comes in the end.
func (w *world) later(wg *sync.WaitGroup, to string, done func(smtpclient.Report)) {
	wg.Go(func() {
		report, err := w.client.Deliver(w.t.Context(), fromAnn(to), smtpclient.Bytes([]byte(hello)))
		checkError(w.t, report, err)
		done(report)
	})
	synctest.Wait()
}

func nothing(smtpclient.Report) {}

// O3: of several sessions that were lost without a word, a delivery meets one: then
// it dials.
func TestPoolMeetsOneDeadSession(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true, IdleTime: time.Hour, MaxAge: 2 * time.Hour}, func(t *testing.T, w *world) {
		var dead atomic.Bool
		w.unruly = true
		w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond}, Script: func(c smtptest.Command) smtptest.Action {
			if dead.Load() && c.Session < 5 && c.Verb == "MAIL" {
				return smtptest.Action{Fault: smtptest.Stall}
			}
			return smtptest.Action{}
		}})
		w.client.Dialer.Timeouts.Mail = time.Minute
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { w.client.Deliver(t.Context(), fromAnn(addressOf(i)), smtpclient.Bytes([]byte(hello))) })
		}
		wg.Wait()
		if n := w.client.Pool.Stats().Idle; n != 5 {
			t.Fatalf("%d idle sessions, want 5", n)
		}
		dead.Store(true)
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if took := time.Since(start); took > 61*time.Second {
			t.Errorf("it took %v, want one timeout", took)
		}
		if n := len(report.Outcomes[0].Earlier); n != 0 {
			t.Errorf("%d earlier attempts are told", n)
		}
	})
}

// The host to which a session is open is asked once in a call: what it defers goes
// to the next host, within the limit on sessions.
func TestPoolAsksAHostOnce(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		asked := 0
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "RCPT" && strings.Contains(c.Args, "carol") {
				asked++
				return smtptest.Action{Reply: "450 4.2.0 grey"}
			}
			return smtptest.Action{}
		}})
		w.mx(20, &smtptest.Server{})
		w.reuse(1)
		o := w.deliver(t.Context(), fromAnn("carol@example.net"), hello).Outcomes[0]
		if asked != 1 || o.Status != smtpclient.Delivered || o.Host != "mx20.example.net" {
			t.Errorf("asked %d times, then %v at %s: %v", asked, o.Status, o.Host, o.Err())
		}
	})
}

// Recipients that were turned away before the session proved dead have one attempt
// in the report.
func TestPoolReplacesAfterTurningAway(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING", "8BITMIME"}, Script: func(c smtptest.Command) smtptest.Action {
			if c.Session == 0 && c.Verb == "MAIL" && c.Args != "FROM:<ann@example.org>" {
				return smtptest.Action{Fault: smtptest.Drop}
			}
			return smtptest.Action{}
		}})
		w.reuse(1)
		env := fromAnn("bob@example.net", "b\u00f6b@example.net")
		env.From = "other@example.org"
		report := w.deliver(t.Context(), env, hello)
		if o := report.Outcomes[0]; o.Status != smtpclient.Delivered {
			t.Errorf("%v", o.Err())
		}
		if o := report.Outcomes[1]; o.Status != smtpclient.Failed || len(o.Earlier) != 0 {
			t.Errorf("%v with %d earlier attempts: %v", o.Status, len(o.Earlier), o.Err())
		}
	})
}

// Addresses that are dialled beside each other have a place each: no bound is
// passed, and an open session comes first.
func TestPoolStagger(t *testing.T) {
	for _, total := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(total), func(t *testing.T) {
			inPool(t, &smtpclient.Pool{Total: total, KeepAll: true}, func(t *testing.T, w *world) {
				server := &smtptest.Server{Wire: smtptest.Wire{Delay: 100 * time.Millisecond}}
				w.domain("example.net", server, "192.0.2.1", "192.0.2.2", "192.0.2.3")
				w.client.Limits.Stagger = time.Millisecond
				var now, most atomic.Int32
				dial := w.net.DialContext
				w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (c net.Conn, err error) {
					most.Store(max(most.Load(), now.Add(1)))
					if c, err = dial(ctx, network, addr); err != nil {
						now.Add(-1)
						return nil, err
					}
					return &gauged{Conn: c, done: sync.OnceFunc(func() { now.Add(-1) })}, nil
				}
				var wg sync.WaitGroup
				for i := range 12 {
					wg.Go(func() {
						if _, err := w.client.Deliver(t.Context(), fromAnn(addressOf(i)), smtpclient.Bytes([]byte(hello))); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if most.Load() > int32(total) {
					t.Errorf("%d connections at once, want %d at most", most.Load(), total)
				}
				before := server.Sessions()
				for range 3 {
					if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello))); err != nil {
						t.Error(err)
					}
				}
				if n := server.Sessions() - before; n != 0 {
					t.Errorf("%d connections beside an open session", n)
				}
			})
		})
	}
}

// A destination with a stream of messages does not keep another one waiting, nor
// deliveries of one kind those of another.
func TestPoolTakesTurns(t *testing.T) {
	for name, change := range map[string]func(*smtpclient.Client) string{
		"another destination": func(*smtpclient.Client) string { return "bob@example.com" },
		"another kind": func(c *smtpclient.Client) string {
			c.TLS = tlspolicy.None
			return "bob@example.net"
		},
	} {
		for _, overlap := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " overlap ", overlap), func(t *testing.T) {
				inPool(t, &smtpclient.Pool{Total: 1, MaxUses: -1}, func(t *testing.T, w *world) {
					w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks {
						return smtpclient.Quirks{NoOverlap: !overlap}
					}
					wire := smtptest.Wire{Delay: 10 * time.Millisecond}
					w.domain("example.net", &smtptest.Server{Wire: wire}, "192.0.2.1")
					w.domain("example.com", &smtptest.Server{Wire: wire}, "192.0.2.2")
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var wg sync.WaitGroup
					var sent atomic.Int32
					for range 5 { // there is always somebody who waits
						wg.Go(func() {
							for ctx.Err() == nil && sent.Load() < 500 {
								w.client.Deliver(t.Context(), fromAnn("ann@example.net"), smtpclient.Bytes([]byte(hello)))
								sent.Add(1)
							}
						})
					}
					time.Sleep(time.Second)
					other := w.client
					to := change(&other.Client)
					before := sent.Load()
					if _, err := other.Deliver(t.Context(), fromAnn(to), smtpclient.Bytes([]byte(hello))); err != nil {
						t.Error(err)
					}
					if n := sent.Load() - before; n > 25 {
						t.Errorf("%d others went first", n)
					}
					cancel()
					wg.Wait()
				})
			})
		}
	}
}

// Who is invited to a session whose owner waits for long goes where a place is free
// before.
func TestPoolInvitedGoesElsewhere(t *testing.T) {
	for name, total := range map[string]int{"a place": 2, "a session": 2} {
		t.Run(name, func(t *testing.T) {
			inPool(t, &smtpclient.Pool{Total: total}, func(t *testing.T, w *world) {
				w.domain("example.net", &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
					if c.Verb == smtptest.EndOfData && strings.HasPrefix(c.Message.To[0], "slow") {
						return smtptest.Action{Delay: time.Minute}
					}
					if c.Verb == smtptest.EndOfData {
						return smtptest.Action{Delay: time.Second}
					}
					return smtptest.Action{}
				}}, "192.0.2.1")
				w.domain("example.com", &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
					if c.Verb == smtptest.EndOfData {
						return smtptest.Action{Delay: time.Second}
					}
					return smtptest.Action{}
				}}, "192.0.2.2")
				other := "a@example.com"
				if name == "a session" {
					other = "a@example.net"
				}
				var wg sync.WaitGroup
				w.later(&wg, "slow@example.net", nothing)
				w.later(&wg, other, nothing)
				start := time.Now()
				w.later(&wg, "b@example.net", func(r smtpclient.Report) {
					if took := time.Since(start); took > 3*time.Second || r.Outcomes[0].Status != smtpclient.Delivered {
						t.Errorf("after %v: %v", took, r.Outcomes[0].Status)
					}
				})
				wg.Wait()
			})
		})
	}
}

// What a policy keeps from being reused is not kept, also where no content was sent.
func TestPoolNoReuse(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		server := w.mx(10, &smtptest.Server{Script: on("RCPT", action{Reply: "550 5.1.1 no"})})
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.May, NoReuse: true}
		for range 2 {
			w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		}
		if n := server.Sessions(); n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
}

// A session that a server let begin only with HELO, after it had dropped EHLO, is
// not what the next delivery would get.
func TestPoolDoesNotKeepHELO(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.unruly = true
		server := w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Session == 0 && c.Verb == "EHLO" {
				return smtptest.Action{Fault: smtptest.Drop}
			}
			return smtptest.Action{}
		}})
		w.reuse(1)
		report := w.deliver(t.Context(), fromAnn("b\u00f6b@example.net"), hello) // for SMTPUTF8
		if o := report.Outcomes[0]; o.Status != smtpclient.Delivered || o.Reused != 0 {
			t.Errorf("reused %d: %v", o.Reused, o.Err())
		}
		if said := dialogueOf(server, 1); !strings.HasPrefix(said, "HELO ") {
			t.Errorf("the second session began with %.20q", said)
		}
	})
}

// When Close returns, the connections are closed, too, that others are just closing.
func TestPoolCloseWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Pool = &smtpclient.Pool{}
		w.mx(10, &smtptest.Server{})
		open := &gauge{}
		slow := open.around(w.client.Dialer.DialContext)
		now := func() int {
			open.mu.Lock()
			defer open.mu.Unlock()
			return open.now
		}
		w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := slow(ctx, network, addr)
			return &tap{c, func(c net.Conn, p []byte) (int, error) {
				if bytes.Equal(p, []byte("QUIT\r\n")) {
					time.Sleep(50 * time.Millisecond)
				}
				return c.Write(p)
			}}, err
		}
		w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks {
			return smtpclient.Quirks{Discard: []string{"PIPELINING"}}
		}
		w.client.Pool.KeepAll = true
		w.client.TLS = tlspolicy.None
		w.reuse(1)
		time.Sleep(5*time.Second + time.Millisecond) // the timer is closing the session
		if now() != 1 {
			t.Fatalf("%d connections, want the one that is being closed", now())
		}
		if err := w.client.Pool.Close(t.Context()); err != nil || now() != 0 {
			t.Errorf("Close: %v; %d connections are open", err, now())
		}
		w.settle()
	})
}

// Close keeps to its ctx also where idle sessions take nothing any more.
func TestPoolCloseKeepsToContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Pool = &smtpclient.Pool{KeepAll: true}
		w.unruly = true
		w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond}})
		var stuck atomic.Bool
		dial := w.client.Dialer.DialContext
		w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			return &tap{c, func(c net.Conn, p []byte) (int, error) {
				if stuck.Load() { // what blocks is the write, until its deadline
					var one [1]byte
					for {
						if _, err := c.Read(one[:]); err != nil {
							return 0, err
						}
					}
				}
				return c.Write(p)
			}}, err
		}
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { w.client.Deliver(t.Context(), fromAnn(addressOf(i)), smtpclient.Bytes([]byte(hello))) })
		}
		wg.Wait()
		stuck.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		w.client.Pool.Close(ctx)
		if took := time.Since(start); took > 400*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
	})
}

// A message with TLS-Required: no gets no session of others, and leaves none for
// them (RFC 8689, Section 4.2.2), also where the level is May for all.
func TestPoolKeepsTLSRequiredApart(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		server := w.mx(10, &smtptest.Server{})
		var got []int
		for _, need := range []tlspolicy.Requirement{tlspolicy.NotRequired, 0, 0, tlspolicy.NotRequired} {
			env := fromAnn("bob@example.net")
			env.TLS = need
			report, _ := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
			got = append(got, report.Outcomes[0].Reused)
		}
		if fmt.Sprint(got) != "[0 0 1 1]" || server.Sessions() != 2 {
			t.Errorf("reused %v, %d sessions; want two sessions with two messages each", got, server.Sessions())
		}
	})
}

// wild is content whose nth opening, its reading or its closing goes wrong.
type wild struct {
	smtpclient.Content
	opened       int
	nth          int  // opening that is wild; 0 is the scan
	always       bool // all that follow are, too
	open, finish func()
	read         func()
	fail         error // of Open
	readFails    error
}

func (w *wild) Open() (io.ReadCloser, error) {
	n := w.opened
	w.opened++
	r, err := w.Content.Open()
	if n < w.nth || n > w.nth && !w.always {
		return r, err
	}
	call(w.open)
	if w.fail != nil {
		return nil, w.fail
	}
	return &wildReader{r, w}, err
}

func call(f func()) {
	if f != nil {
		f()
	}
}

type wildReader struct {
	io.ReadCloser
	w *wild
}

func (r *wildReader) Read(p []byte) (int, error) {
	call(r.w.read)
	if r.w.readFails != nil {
		return 0, r.w.readFails
	}
	return r.ReadCloser.Read(p)
}

func (r *wildReader) Close() error {
	r.ReadCloser.Close()
	call(r.w.finish)
	return nil
}

// H1 in a convoy: hooks that panic, or that end their goroutine, in the delivery
// that has the session or in one that is getting ready. The others have their
// verdicts, and no place is lost.
func TestPoolOutlivesHooks(t *testing.T) {
	gone := map[string]func(){"panics": func() { panic("gone mad") }, "exits": runtime.Goexit}
	for how, act := range gone {
		for _, where := range []string{"open", "read", "close"} {
			for who := range 4 {
				for nth := 1; nth <= 2; nth++ {
					t.Run(fmt.Sprintf("%s in %s of %d, time %d", how, where, who, nth), func(t *testing.T) {
						inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond}}, func(t *testing.T, c *convoy) {
							c.w.unruly = true
							for n := range 4 {
								var content smtpclient.Content
								if n == who {
									w := &wild{Content: smtpclient.Bytes([]byte(textOf(n))), nth: nth}
									*map[string]*func(){"open": &w.open, "read": &w.read, "close": &w.finish}[where] = act
									content = w
								}
								c.send(t.Context(), n, content)
							}
							c.wg.Wait()
							for n := range 4 {
								if report := c.reports[n]; n != who && report.Outcomes[0].Status != smtpclient.Delivered {
									t.Errorf("message %d: %v", n, report.Outcomes[0].Err())
								}
							}
							if s := c.pool.Stats(); s.InUse != 0 || s.Waiting != 0 {
								t.Errorf("%+v", s)
							}
						})
					})
				}
			}
		}
	}
}

// badCache panics where a delivery remembers what it has learned.
type badCache struct {
	cache.Memory
	on string
}

func (c *badCache) Set(ctx context.Context, key string, v []byte, ttl time.Duration) error {
	if c.on == "set" && strings.HasPrefix(key, "rest1:") {
		panic("the cache is mad")
	}
	return c.Memory.Set(ctx, key, v, ttl)
}

func (c *badCache) Delete(ctx context.Context, key string) error {
	if c.on == "delete" {
		panic("the cache is mad")
	}
	return c.Memory.Delete(ctx, key)
}

// A hook that panics while a place waits for its session gives the place back.
func TestPoolOutlivesHooksOfDialling(t *testing.T) {
	for name, set := range map[string]func(w *world){
		"dial": func(w *world) {
			w.client.Dialer.DialContext = func(context.Context, string, string) (net.Conn, error) { panic("mad") }
		},
		"exit": func(w *world) {
			w.client.Dialer.DialContext = func(context.Context, string, string) (net.Conn, error) { runtime.Goexit(); return nil, nil }
		},
		"quirks": func(w *world) { w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { panic("mad") } },
		"cache": func(w *world) {
			w.client.Cache = &badCache{on: "set"}
			w.absentMX(10)
		},
		"cache after": func(w *world) {
			c := &badCache{on: "delete"}
			w.client.Cache = c
			c.Memory.Set(w.t.Context(), "rest1:192.0.2.10:25", append([]byte{1}, make([]byte, 8)...), time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, &smtpclient.Pool{Total: 1}, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{})
				usual := *w.client.Dialer
				open := w.counting()
				set(w)
				var wg sync.WaitGroup
				wg.Go(func() { w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello))) })
				wg.Wait()
				if s := w.client.Pool.Stats(); s.InUse != 0 || *open != 0 {
					t.Errorf("%+v, %d connections", s, *open)
				}
				*w.client.Dialer = usual
				w.client.Cache = cache.None
				w.mx(20, &smtptest.Server{})
				w.reuse(1)
			})
		})
	}
}

// A panic in a hook of a delivery with a session that was used before is told at
// once: it is no session that was lost, and nobody tries again.
func TestPoolTellsPanics(t *testing.T) {
	for line := 1; line < 20; line++ {
		inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
			w.unruly = true
			server := w.mx(10, &smtptest.Server{})
			w.reuse(1)
			n := 0
			ctx := smtpclient.WithTrace(t.Context(), &smtpclient.Trace{Line: func(context.Context, string) {
				if n++; n == line {
					panic("trace gone mad")
				}
			}})
			o := w.deliver(ctx, fromAnn("bob@example.net"), hello).Outcomes[0]
			if n := server.Sessions(); n != 1 || len(o.Earlier) != 0 {
				t.Errorf("line %d: %d sessions, %v", line, n, o.Err())
			}
			if o.Status != smtpclient.Delivered && !strings.Contains(fmt.Sprint(o.Cause), "gone mad") {
				t.Errorf("line %d: %v", line, o.Err())
			}
		})
	}
}

var errDisk = errors.New("the disk is gone")

// Content that fails is no lost session, also where it would have gone with its
// envelope.
func TestPoolContentFailsInGroup(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.unruly = true
		server := w.mx(10, &smtptest.Server{})
		w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped})
		w.reuse(1)
		content := &gated{Content: smtpclient.Bytes([]byte(hello)), fail: errDisk}
		report, _ := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
		if o := report.Outcomes[0]; o.Status != smtpclient.Deferred || !errors.Is(o.Cause, errDisk) || o.Reused != 1 {
			t.Errorf("reused %d: %v", o.Reused, o.Err())
		}
		if n := server.Sessions(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
	})
}
