package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// ledger is a Limiter that grants all but what refuse names, and writes down what
// happens, as "+connection mx10.example.net", "-", and the feedback between them.
type ledger struct {
	refuse func(u smtpclient.Use) error // nil: nothing

	mu   sync.Mutex
	log  []string
	uses []smtpclient.Use
	open int
}

func (l *ledger) Acquire(ctx context.Context, u smtpclient.Use) (smtpclient.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := "transaction"
	if u.Connection {
		kind = "connection"
	}
	kind += " " + u.Host
	l.uses = append(l.uses, u)
	if l.refuse != nil {
		if err := l.refuse(u); err != nil {
			l.log = append(l.log, "no "+kind)
			return nil, err
		}
	}
	l.log = append(l.log, "+"+kind)
	l.open++
	return &entry{ledger: l, kind: kind}, nil
}

type entry struct {
	ledger   *ledger
	kind     string
	released bool
}

func (e *entry) Report(f smtpclient.Feedback) {
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	if name := map[smtpclient.Feedback]string{smtpclient.Worked: "worked ", smtpclient.Broken: "broken "}[f]; name != "" {
		e.ledger.log = append(e.ledger.log, name+e.kind)
	}
}

func (e *entry) Release() {
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	if !e.released {
		e.released = true
		e.ledger.open--
		e.ledger.log = append(e.ledger.log, "-"+e.kind)
	}
}

// said is what happened since it was asked last, without the domain.
func (l *ledger) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := strings.ReplaceAll(strings.Join(l.log, ", "), ".example.net", "")
	l.log = nil
	return said
}

// comeBack refuses for some minutes.
func comeBack(minutes int) error {
	return &smtpclient.RefusedError{Key: "example.net", NotBefore: time.Now().Add(time.Duration(minutes) * time.Minute)}
}

// expectLater wants recipients to be told when to come back, and nothing to have
// been tried for them.
func expectLater(t *testing.T, report smtpclient.Report, minutes int) {
	t.Helper()
	for _, o := range report.Outcomes {
		var refused *smtpclient.RefusedError
		if !errors.As(o.Cause, &refused) || !o.NotBefore.Equal(time.Now().Add(time.Duration(minutes)*time.Minute)) || len(o.Earlier) != 0 {
			t.Errorf("%s is to come back at %v because of %v, after %d attempts", o.Address, o.NotBefore, o.Cause, len(o.Earlier))
		}
	}
}

// The Limiter is asked for the transaction, then for its connection, and gets both
// back when they are over. What is asked says who, where, and from where.
func TestLimiterIsAsked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := &ledger{}
		w.client.Limiter = l
		w.mx(10, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0")
		want := "+transaction mx10, +connection mx10, worked connection mx10, " +
			"-connection mx10, worked transaction mx10, worked connection mx10, -transaction mx10"
		if got := l.said(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		use := smtpclient.Use{
			Site: "mx10.example.net", NextHop: "example.net", Host: "mx10.example.net", From: "ann@example.org",
			Addr: netip.MustParseAddrPort("192.0.2.10:25"), LocalName: "client.example.org", Recipients: 2,
		}
		if l.uses[0] != use {
			t.Errorf("the transaction: %+v, want %+v", l.uses[0], use)
		}
		use.Connection, use.Recipients = true, 0
		if l.uses[1] != use {
			t.Errorf("the connection: %+v, want %+v", l.uses[1], use)
		}
		for _, o := range report.Outcomes {
			if !o.NotBefore.IsZero() {
				t.Errorf("%s is delivered and to come back at %v", o.Address, o.NotBefore)
			}
		}
	})
}

// A Use has the local address of the family that is dialled.
func TestUseHasLocalAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := &ledger{refuse: func(u smtpclient.Use) error { return comeBack(1) }}
		w.client.Limiter = l
		w.client.Dialer = &smtpclient.Dialer{LocalAddr4: netip.MustParseAddr("192.0.2.4"), LocalAddr6: netip.MustParseAddr("2001:db8::6")}
		w.mx(10, &smtptest.Server{})
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		w.dns[resolve.Question{Name: "mx10.example.net", Type: resolve.TypeA}] = resolve.Answer{}
		w.dns[resolve.Question{Name: "mx10.example.net", Type: resolve.TypeAAAA}] = resolve.Answer{Addrs: addrs("2001:db8::1")}
		w.client.Cache = nil
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		if a, b := l.uses[0].Local.String(), l.uses[1].Local.String(); a != "192.0.2.4" || b != "2001:db8::6" {
			t.Errorf("local addresses %s and %s", a, b)
		}
	})
}

// What is refused was not attempted: no connection, no other host, next hop or
// fallback, and the recipients know when to come back.
func TestRefusalIsNoAttempt(t *testing.T) {
	for _, connection := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			l := &ledger{refuse: func(u smtpclient.Use) error {
				if u.Connection == connection {
					return comeBack(7)
				}
				return nil
			}}
			w.client.Limiter = l
			w.client.NextHops = []string{"example.net", "[192.0.2.30]"}
			w.client.Fallback = []string{"[192.0.2.30]"}
			w.client.FallbackFor = smtpclient.FallbackDeferred
			w.client.Classify = func(a smtpclient.Attempt, s smtpclient.Status) smtpclient.Status { return smtpclient.Failed }
			w.mx(10, &smtptest.Server{})
			w.mx(20, &smtptest.Server{})
			w.net["192.0.2.30:25"] = &smtptest.Server{}
			report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
			expect(t, report, "bob@example.net deferred limit 4.4.5", "carol@example.net deferred limit 4.4.5")
			expectLater(t, report, 7)
			want := "no transaction mx10"
			if connection {
				want = "+transaction mx10, no connection mx10, -transaction mx10"
			}
			if got := l.said(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			for addr, s := range w.net {
				if n := s.Sessions(); n != 0 {
					t.Errorf("%d sessions with %s", n, addr)
				}
			}
		})
	}
}

// A host that was tried before the refusal stays in the report.
func TestRefusalAfterAnAttempt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := &ledger{refuse: func(u smtpclient.Use) error {
			if u.Host == "mx20.example.net" {
				return comeBack(7)
			}
			return nil
		}}
		w.client.Limiter = l
		w.absentMX(10)
		w.mx(20, &smtptest.Server{})
		w.mx(30, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred limit 4.4.5")
		if earlier := report.Outcomes[0].Earlier; len(earlier) != 1 || earlier[0].Stage != smtpclient.StageConnect {
			t.Errorf("earlier: %+v", earlier)
		}
	})
}

// A refusal of one domain is none of another.
func TestRefusalOfOneDomain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Limiter = &ledger{refuse: func(u smtpclient.Use) error {
			if u.NextHop == "example.com" {
				return comeBack(7)
			}
			return nil
		}}
		w.mx(10, &smtptest.Server{})
		w.dns[resolve.Question{Name: "example.com", Type: resolve.TypeMX}] = w.dns[mxOfNet]
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.com", "carol@example.com"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.com deferred limit 4.4.5", "carol@example.com deferred limit 4.4.5")
		for _, o := range report.Outcomes[1:] {
			if o.NotBefore.IsZero() {
				t.Errorf("%s is not told when to come back", o.Address)
			}
		}
	})
}

// Each transaction is asked for, also the second on a session; where that is
// refused, the first stands and the session ends in order.
func TestSecondTransactionRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		asked := 0
		l := &ledger{refuse: func(u smtpclient.Use) error {
			if u.Connection {
				return nil
			}
			if asked++; asked == 2 {
				return comeBack(7)
			}
			return nil
		}}
		w.client.Limiter = l
		w.client.Limits.Recipients = 1
		mx := w.mx(10, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net", "dave@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net deferred limit 4.4.5", "dave@example.net deferred limit 4.4.5")
		if n := l.uses[2].Recipients; n != 1 {
			t.Errorf("the second transaction was asked for with %d recipients", n)
		}
		w.settle()
		if n := mx.Sessions(); n != 1 || l.open != 0 {
			t.Errorf("%d sessions, %d leases are held", n, l.open)
		}
	})
}

// feedback is what the Limiter hears in the end of what may happen.
var feedback = []struct {
	name  string
	setUp func(w *world)
	want  string
}{
	{"one of two hosts is down", func(w *world) { w.absentMX(10); w.mx(20, &smtptest.Server{}) },
		"worked connection mx20, worked transaction mx20, worked connection mx20"},
	{"all are down", func(w *world) { w.absentMX(10); w.absentMX(20) }, "broken connection mx20"},
	{"4yz for a greeting", func(w *world) { w.mx(10, &smtptest.Server{Script: on(smtptest.Connect, action{Reply: "450 busy"})}) }, "broken connection mx10"},
	{"dropped at EHLO", func(w *world) {
		w.client.TLS = tlspolicy.None
		w.mx(10, &smtptest.Server{Script: on("EHLO", action{Fault: smtptest.Drop})})
		w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return smtpclient.Quirks{} }
	}, "worked connection mx10, worked transaction mx10, worked connection mx10"}, // with HELO
	{"MAIL is refused", func(w *world) { w.mx(10, &smtptest.Server{Script: on("MAIL", action{Reply: "550 no"})}) },
		"worked connection mx10, worked transaction mx10, worked connection mx10"},
	{"dropped at MAIL", func(w *world) { w.mx(10, &smtptest.Server{Script: on("MAIL", action{Fault: smtptest.Drop})}) },
		"worked connection mx10, broken transaction mx10, broken connection mx10"},
	{"421 to RCPT", func(w *world) { w.mx(10, &smtptest.Server{Script: on("RCPT", action{Reply: "421 busy"})}) },
		"worked connection mx10, broken transaction mx10, broken connection mx10"},
	{"silent at the end", func(w *world) {
		w.mx(10, &smtptest.Server{Script: on(smtptest.EndOfData, action{Fault: smtptest.Stall})})
	}, "worked connection mx10, broken transaction mx10, broken connection mx10"},
	{"we have no descriptors", func(w *world) {
		w.mx(10, &smtptest.Server{})
		w.client.Dialer.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EMFILE }
	}, ""},
	{"a hook of ours panics", func(w *world) {
		w.mx(10, &smtptest.Server{})
		w.client.Dialer.DialContext = func(context.Context, string, string) (net.Conn, error) { panic("oops") }
	}, ""},
	{"it does not fit", func(w *world) { w.mx(10, &smtptest.Server{Extensions: []string{"SIZE 10"}}) }, "worked connection mx10"},
}

// The Limiter hears of what the destination did, and not of what happened here. A
// host that is down is no fault of a site where another one is up.
func TestLimiterFeedback(t *testing.T) {
	for _, tt := range feedback {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				l := &ledger{}
				w.client.Limiter = l
				tt.setUp(w)
				w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				var heard []string
				for word := range strings.SplitSeq(l.said(), ", ") {
					if strings.HasPrefix(word, "worked") || strings.HasPrefix(word, "broken") {
						heard = append(heard, word)
					}
				}
				if got := strings.Join(heard, ", "); got != tt.want {
					t.Errorf("heard %q, want %q", got, tt.want)
				}
				if l.open != 0 {
					t.Errorf("%d leases are held", l.open)
				}
			})
		})
	}
}

// However a call ends, every lease is given back: after any fault of a server, a
// cancel at any stage, and a panic in any hook.
func TestLeasesComeBack(t *testing.T) {
	verbs := []string{smtptest.Connect, "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", smtptest.EndOfData, "QUIT"}
	for _, verb := range verbs {
		for _, act := range []action{{}, {Fault: smtptest.Drop}, {Reply: "450 wait"}, {Reply: "550 no"}, {Reply: "421 bye"}, {Reply: "354 go"}, {Fault: smtptest.Garbage}, {Fault: smtptest.Stall}} {
			for _, stagger := range []time.Duration{0, time.Second} {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = true
					l := &ledger{}
					w.client.Limiter = l
					w.client.Limits.Stagger = stagger
					w.client.Limits.Recipients = 1
					w.mx(10, &smtptest.Server{Script: on(verb, act)})
					w.mx(20, &smtptest.Server{Script: on(verb, act)})
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					w.deliver(ctx, fromAnn("bob@example.net", "carol@example.net"), hello)
					if l.open != 0 {
						t.Errorf("%s %+v: %d leases are held: %s", verb, act, l.open, l.said())
					}
				})
			}
		}
	}
	for _, s := range silences {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			l := &ledger{}
			w.client.Limiter = l
			s.setUp(w)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			w.deliver(ctx, fromAnn("bob@example.net"), hello)
			if l.open != 0 {
				t.Errorf("cancelled at %s: %d leases are held: %s", s.name, l.open, l.said())
			}
		})
	}
	for _, stage := range []smtpclient.Stage{smtpclient.StageLimit, smtpclient.StageConnect, smtpclient.StageGreeting, smtpclient.StageHello, smtpclient.StageMail, smtpclient.StageDataDone} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			l := &ledger{}
			w.client.Limiter = l
			w.mx(10, &smtptest.Server{})
			ctx := smtpclient.WithTrace(t.Context(), &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
				if e.Stage == stage {
					panic("in a hook")
				}
			}})
			w.deliver(ctx, fromAnn("bob@example.net"), hello)
			if l.open != 0 {
				t.Errorf("a panic at %v: %d leases are held: %s", stage, l.open, l.said())
			}
		})
	}
}

// rogue is a Limiter that breaks its contract.
type rogue struct {
	acquire         func(ctx context.Context) (smtpclient.Lease, error)
	report, release func()
}

func (r rogue) Acquire(ctx context.Context, _ smtpclient.Use) (smtpclient.Lease, error) {
	if r.acquire == nil {
		return r, nil
	}
	return r.acquire(ctx)
}

func (r rogue) Report(smtpclient.Feedback) {
	if r.report != nil {
		r.report()
	}
}

func (r rogue) Release() {
	if r.release != nil {
		r.release()
	}
}

// A Limiter that is at fault holds mail up; it never bounces it, and a delivered
// message stays delivered.
func TestLimiterAtFault(t *testing.T) {
	oops := func() { panic("oops") }
	away := errors.New("no connection to the store")
	for _, tt := range []struct {
		name    string
		limiter rogue
		want    string
	}{
		{"an error", rogue{acquire: func(context.Context) (smtpclient.Lease, error) { return nil, away }}, "deferred limit 4.3.0"},
		{"a panic", rogue{acquire: func(context.Context) (smtpclient.Lease, error) { panic("oops") }}, "deferred limit 4.3.0"},
		{"nothing", rogue{acquire: func(context.Context) (smtpclient.Lease, error) { return nil, nil }}, "deferred limit 4.3.0"},
		{"both", rogue{acquire: func(context.Context) (smtpclient.Lease, error) { return rogue{}, away }}, "deferred limit 4.3.0"},
		{"silence", rogue{acquire: func(ctx context.Context) (smtpclient.Lease, error) { <-ctx.Done(); return nil, ctx.Err() }}, "deferred limit 4.4.5"},
		{"a panic in Report", rogue{report: oops}, "delivered data-done 2.0.0"},
		{"a panic in Release", rogue{release: oops}, "delivered data-done 2.0.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.client.Limiter = tt.limiter
				w.mx(10, &smtptest.Server{})
				w.mx(20, &smtptest.Server{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
				if !report.Outcomes[0].NotBefore.IsZero() {
					t.Error("it says when to come back, which nobody knows")
				}
			})
		})
	}
}

// With Limits.Stagger each connection has its own lease, and one that is refused
// was not dialled.
func TestLimiterWithStagger(t *testing.T) {
	for _, most := range []int{1, 2, 3} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true // those that are overtaken are closed without a word
			l := &smtpclient.LocalLimiter{Rules: func(u smtpclient.Use) []smtpclient.Limit {
				if u.Connection {
					return []smtpclient.Limit{{Key: "k", Max: most}}
				}
				return nil
			}}
			w.client.Limiter = l
			d := w.staggered(time.Second, after{connected: 10 * time.Second}, after{connected: 20 * time.Second}, after{connected: 30 * time.Second})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if got := len(d.log); got != most {
				t.Errorf("%d were dialled at the same time of %d: %v", got, most, d.log)
			}
			h := &holding{t: t, limiter: l}
			if got := h.fill(); got != most {
				t.Errorf("%d can be had afterwards, want %d", got, most)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		l := &ledger{refuse: func(u smtpclient.Use) error {
			if u.Connection {
				return comeBack(7)
			}
			return nil
		}}
		w.client.Limiter = l
		d := w.staggered(time.Second, after{connected: time.Second}, after{connected: time.Second})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred limit 4.4.5")
		expectLater(t, report, 7)
		if len(d.log) != 0 {
			t.Errorf("dialled: %v", d.log)
		}
	})
	// The first has failed: its lease is there for the second.
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Limiter = &smtpclient.LocalLimiter{Rules: func(u smtpclient.Use) []smtpclient.Limit {
			if u.Connection {
				return []smtpclient.Limit{{Key: "k", Max: 1}}
			}
			return nil
		}}
		w.staggered(time.Hour, after{fails: time.Second}, after{connected: time.Second})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
	})
}

// busiest counts the sessions of a server that are open at the same time.
type busiest struct {
	mu        sync.Mutex
	now, most int
}

func (b *busiest) dial(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		b.add(1)
		conn, err := dial(ctx, network, addr)
		if err != nil {
			b.add(-1)
			return nil, err
		}
		return &leaving{Conn: conn, left: func() { b.add(-1) }}, nil
	}
}

func (b *busiest) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now += n
	b.most = max(b.most, b.now)
}

type leaving struct {
	net.Conn
	once sync.Once
	left func()
}

func (c *leaving) Close() error {
	c.once.Do(c.left)
	return c.Conn.Close()
}

// Many deliveries to one site never have more connections than it stands: one
// until it has proved itself, then up to its limit.
func TestDestinationConcurrency(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := &busiest{}
		w.client.Dialer.DialContext = b.dial(w.net.DialContext)
		w.client.Limiter = &smtpclient.LocalLimiter{Wait: time.Hour, Rules: func(u smtpclient.Use) []smtpclient.Limit {
			if !u.Connection {
				return nil
			}
			return []smtpclient.Limit{{Key: u.Site, Max: 7, Start: 3}}
		}}
		first := make(chan int, 1)
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == smtptest.Connect {
				b.mu.Lock()
				defer b.mu.Unlock()
				select {
				case first <- b.now:
				default:
				}
				return action{Delay: time.Second}
			}
			return action{}
		}})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				to := fmt.Sprintf("user%d@example.net", i)
				report, err := w.client.Deliver(t.Context(), fromAnn(to), smtpclient.Bytes([]byte(hello)))
				if err != nil {
					t.Errorf("%s: %v", to, report.Err())
				}
			})
		}
		wg.Wait()
		if n := <-first; n != 1 {
			t.Errorf("%d connections before the destination had proved itself", n)
		}
		if b.most != 7 {
			t.Errorf("%d connections at the same time, want 7", b.most)
		}
	})
}

// The zero LocalLimiter has Postfix's limits: 5 at first, 20 at most.
func TestUsualLimits(t *testing.T) {
	h := &holding{t: t, limiter: &smtpclient.LocalLimiter{}}
	for _, want := range []int{1, 5, 6} {
		if got := h.fill(); got != want {
			t.Errorf("%d at the same time, want %d", got, want)
		}
		h.report(smtpclient.Worked)
	}
	for range 30 {
		h.fill()
		h.report(smtpclient.Worked)
	}
	if got := h.fill(); got != 20 {
		t.Errorf("%d at the same time, want 20", got)
	}
	if limits := smtpclient.UsualLimits(smtpclient.Use{Site: "example.net"}); limits != nil {
		t.Errorf("a transaction has the limits %v", limits)
	}
}

// A rate for a destination and one for a source hold for all calls together, and
// mail goes when it was told to come back.
func TestRateDelay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Limiter = &smtpclient.LocalLimiter{Rules: func(u smtpclient.Use) []smtpclient.Limit {
			if u.Connection {
				return nil
			}
			return []smtpclient.Limit{
				{Key: u.Site, Max: 1, Per: time.Minute},
				{Key: "from " + u.LocalName, Max: 100, Per: time.Hour},
			}
		}}
		w.mx(10, &smtptest.Server{})
		start := time.Now()
		for i := range 5 {
			to := fmt.Sprintf("user%d@example.net", i)
			report := w.deliver(t.Context(), fromAnn(to), hello)
			if i > 0 {
				expect(t, report, to+" deferred limit 4.4.5")
				time.Sleep(time.Until(report.Outcomes[0].NotBefore))
				report = w.deliver(t.Context(), fromAnn(to), hello)
			}
			expect(t, report, to+" delivered data-done 2.0.0")
		}
		if took := time.Since(start); took != 4*time.Minute {
			t.Errorf("5 messages at one a minute took %v", took)
		}
	})
}
