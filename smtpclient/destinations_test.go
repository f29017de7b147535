package smtpclient_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// domains adds n domains d0.example, d1.example, ..., each with an exchanger of its
// own, and gives a recipient in each.
func (w *world) domains(n int, s func(i int) *smtptest.Server) (to []string) {
	for i := range n {
		domain, addr := fmt.Sprintf("d%d.example", i), fmt.Sprintf("192.0.%d.%d", 3+i/200, 1+i%200)
		w.dns[resolve.Question{Name: domain, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx." + domain}}}
		w.dns[resolve.Question{Name: "mx." + domain, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
		w.net[addr+":25"] = s(i)
		to = append(to, "bob@"+domain)
	}
	return to
}

// most keeps the number of connections that are open at the same time, now and at
// most.
func (w *world) most() (now, most *int) {
	var mu sync.Mutex
	now, most = new(int), new(int)
	dial := w.client.Dialer.DialContext
	w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		*now++
		*most = max(*most, *now)
		return &toldClose{Conn: conn, once: sync.OnceFunc(func() {
			mu.Lock()
			defer mu.Unlock()
			*now--
		})}, nil
	}
	return now, most
}

// toldClose is a connection that tells once that it is closed.
type toldClose struct {
	net.Conn
	once func()
}

func (c *toldClose) Close() error {
	c.once()
	return c.Conn.Close()
}

// Several domains are delivered to at the same time, ten unless there is another
// limit.
func TestDestinationsAtOnce(t *testing.T) {
	for limit, tt := range map[int]struct {
		most int
		took time.Duration
	}{
		0: {10, 5 * time.Minute}, 1: {1, 50 * time.Minute}, 3: {3, 17 * time.Minute}, -1: {50, time.Minute}, 80: {50, time.Minute},
	} {
		t.Run(itoa(limit), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				to := w.domains(50, func(int) *smtptest.Server {
					return &smtptest.Server{Script: on(smtptest.EndOfData, action{Delay: time.Minute})}
				})
				now, most := w.most()
				w.client.Limits.Destinations = limit
				w.client.TLS = tlspolicy.None
				start := time.Now()
				report := w.deliver(t.Context(), fromAnn(to...), hello)
				if report.Err() != nil {
					t.Error(report.Err())
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if *most != tt.most || *now != 0 {
					t.Errorf("%d connections at the same time and %d left, want %d and 0", *most, *now, tt.most)
				}
			})
		})
	}
}

// A thousand domains, each with its own fate, which is that of nobody else.
func TestManyDomains(t *testing.T) {
	fates := []struct {
		s    *smtptest.Server
		want string
	}{
		{&smtptest.Server{}, "delivered data-done 2.0.0"},
		{&smtptest.Server{Script: on("RCPT", action{Reply: "550 5.1.1 nobody"})}, "failed rcpt 5.1.1"},
		{&smtptest.Server{Script: on(smtptest.Connect, action{Reply: "421 4.3.2 busy"})}, "deferred greeting 4.3.2"},
		{nil, "deferred connect 4.4.1"},
		{&smtptest.Server{Script: on(smtptest.EndOfData, action{Fault: smtptest.Drop})}, "unknown data-done 4.4.2"},
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.client.TLS = tlspolicy.None
		to := w.domains(1000, func(i int) *smtptest.Server {
			if s := fates[i%len(fates)].s; s != nil {
				return &smtptest.Server{Script: s.Script}
			}
			return nil
		})
		now, most := w.most()
		report := w.deliver(t.Context(), fromAnn(to...), hello)
		for i, o := range report.Outcomes {
			if got, want := fmt.Sprintf("%v %v %s", o.Status, o.Stage, o.Enhanced), fates[i%len(fates)].want; got != want {
				t.Fatalf("%s: %s, want %s", o.Address, got, want)
			}
		}
		if *most > 10 || *now != 0 {
			t.Errorf("%d connections at the same time and %d left", *most, *now)
		}
	})
}

// A cancel ends a call at once wherever its destinations are: one is held at each
// phase, and others have not begun.
func TestCancelSeveralDestinations(t *testing.T) {
	held := []struct {
		verb, want string
	}{
		{"DNS", "deferred resolve 4.4.3"}, {"TCP", "deferred connect 4.4.1"}, {smtptest.Connect, "deferred greeting 4.4.2"},
		{"EHLO", "deferred hello 4.4.2"}, {"STARTTLS", "deferred starttls 4.4.2"}, {"MAIL", "deferred mail 4.4.2"},
		{"RCPT", "deferred rcpt 4.4.2"}, {"DATA", "deferred data-init 4.4.2"}, {smtptest.EndOfData, "unknown data-done 4.4.2"},
	}
	for most, last := range map[int]string{9: "deferred resolve 4.4.3", 10: "delivered data-done 2.0.0"} {
		t.Run(itoa(most), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				to := w.domains(len(held)+3, func(i int) *smtptest.Server {
					switch {
					case i >= len(held):
						return &smtptest.Server{}
					case held[i].verb == "TCP":
						return nil
					}
					return &smtptest.Server{Script: silentAt(held[i].verb)}
				})
				w.client.Resolver = silentFor{w.dns, "d0.example"}
				w.client.Limits.Destinations = most
				now, _ := w.most()
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Second, cancel)
				start := time.Now()
				report := w.deliver(ctx, fromAnn(to...), hello)
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("returned %v after the cancel", took-10*time.Second)
				}
				var want []string
				for i, addr := range to {
					fate := last
					if i < len(held) {
						fate = held[i].want
					}
					want = append(want, addr+" "+fate)
				}
				expect(t, report, want...)
				if *now != 0 {
					t.Errorf("%d connections are open", *now)
				}
			})
		})
	}
}

// silentFor answers nothing about one domain until ctx ends.
type silentFor struct {
	resolve.Static
	domain string
}

func (s silentFor) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if q.Name == s.domain {
		return silentResolver{}.Lookup(ctx, q)
	}
	return s.Static.Lookup(ctx, q)
}

// A panic in a hook is the fault of one destination.
func TestPanicInOneDestination(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		to := w.domains(30, func(int) *smtptest.Server { return &smtptest.Server{} })
		w.client.Dialer.Quirks = func(target smtpclient.Target) smtpclient.Quirks {
			if target.Host == "mx.d7.example" {
				panic("quirks gone mad")
			}
			return smtpclient.Quirks{}
		}
		now, _ := w.most()
		report := w.deliver(t.Context(), fromAnn(to...), hello)
		for i, o := range report.Outcomes {
			if want := map[bool]smtpclient.Status{false: smtpclient.Delivered, true: smtpclient.Deferred}[i == 7]; o.Status != want {
				t.Errorf("%s is %v", o.Address, o.Err())
			}
		}
		if *now != 0 {
			t.Errorf("%d connections are open", *now)
		}
	})
}

// An address that did not answer lately comes behind the others, also behind those
// of worse hosts, until it has rested; it is always tried at the end. What a host
// says is an answer.
func TestHostThatDidNotAnswer(t *testing.T) {
	refused := func(w *world) { w.absentMX(10) }
	for name, tt := range map[string]struct {
		setUp func(w *world)
		rests bool
	}{
		"refused":           {refused, true},
		"silent":            {func(w *world) { w.mx(10, nil) }, true},
		"silent greeting":   {func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt(smtptest.Connect)}) }, true},
		"busy":              {func(w *world) { w.mx(10, &smtptest.Server{Script: on(smtptest.Connect, action{Reply: "421 busy"})}) }, false},
		"lost after RCPT":   {func(w *world) { w.mx(10, &smtptest.Server{Script: on("RCPT", action{Fault: smtptest.Drop})}) }, false},
		"silent after RCPT": {func(w *world) { w.mx(10, &smtptest.Server{Script: silentAt("RCPT")}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				tt.setUp(w)
				w.mx(20, &smtptest.Server{Script: onRcpt("carol", "450 4.2.1 wait")})
				n := 0
				expectHosts := func(when, name string, want ...string) {
					t.Helper()
					n++
					var got []string
					for _, a := range story(w.deliver(t.Context(), fromAnn(name+itoa(n)+"@example.net"), hello).Outcomes[0]) {
						got = append(got, a[:len("192.0.2.10")])
					}
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s for %s: tried %v, want %v", when, name, got, want)
					}
				}
				expectHosts("first", "bob", "192.0.2.10", "192.0.2.20")
				if !tt.rests {
					expectHosts("then", "bob", "192.0.2.10", "192.0.2.20")
					return
				}
				expectHosts("then", "bob", "192.0.2.20")
				expectHosts("to the end", "carol", "192.0.2.20", "192.0.2.10")
				time.Sleep(time.Hour)
				expectHosts("after an hour", "bob", "192.0.2.10", "192.0.2.20")
			})
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // a cancel says nothing about a host
		w.unruly = true
		w.mx(10, nil)
		w.mx(20, &smtptest.Server{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.deliver(ctx, fromAnn("bob@example.net"), hello)
		if got := story(w.deliver(t.Context(), fromAnn("bob@example.net"), hello).Outcomes[0]); len(got) != 2 {
			t.Errorf("tried %q, want the first host again", got)
		}
	})
}
