package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Who looks at one error only gets the one that must not be repeated blindly: the
// first of those that are worst.
func TestErrIsTheWorst(t *testing.T) {
	const delivered, deferred, failed, unknown = smtpclient.Delivered, smtpclient.Deferred, smtpclient.Failed, smtpclient.Unknown
	for _, tt := range []struct {
		statuses []smtpclient.Status
		worst    int // -1: no error
		others   int
	}{
		{[]smtpclient.Status{delivered, delivered}, -1, 0},
		{[]smtpclient.Status{failed, failed}, 0, 1},
		{[]smtpclient.Status{delivered, failed, deferred}, 2, 1},
		{[]smtpclient.Status{deferred, failed, deferred}, 0, 2},
		{[]smtpclient.Status{deferred, unknown, failed}, 1, 2},
		{[]smtpclient.Status{unknown, deferred, unknown}, 0, 2},
	} {
		var r smtpclient.Report
		for i, s := range tt.statuses {
			r.Outcomes = append(r.Outcomes, smtpclient.Outcome{Status: s, Attempt: &smtpclient.Attempt{Host: "mx" + itoa(i)}})
		}
		err, _ := r.Err().(*smtpclient.Error)
		switch {
		case (err == nil) != (tt.worst < 0):
			t.Errorf("%v: %v", tt.statuses, err)
		case err != nil && (err.Host != "mx"+itoa(tt.worst) || err.Status != tt.statuses[tt.worst] || err.Others != tt.others):
			t.Errorf("%v: that of %s, %v, and %d others", tt.statuses, err.Host, err.Status, err.Others)
		}
	}
}

// One verdict in place of several is explained; one that is missing elsewhere has
// other reasons.
func TestOneVerdictIsExplained(t *testing.T) {
	to := []string{"bob@example.net", "carol@example.net", "dave@example.net"}
	for i, lost := range to {
		server := &smtptest.Server{Mode: smtptest.LMTP, Script: func(c smtptest.Command) action {
			if c.Verb == smtptest.EndOfData && strings.Contains(c.Args, lost) {
				return action{Fault: smtptest.Drop}
			}
			return action{}
		}}
		inSession(t, server, smtpclient.Target{Protocol: smtpclient.LMTP}, func(t *testing.T, s *heldSession) {
			report := send(t, s, to...)
			why := report.Outcomes[i].Err().Error()
			if report.Outcomes[i].Status != smtpclient.Unknown || strings.Contains(why, "one reply came for several") != (i == 1) {
				t.Errorf("verdict %d is missing: %s", i, why)
			}
		})
	}
}

// Where nobody's address can be given to a server, it hears of no message.
func TestNothingIsSentForNobody(t *testing.T) {
	server := &smtptest.Server{Extensions: pipelined}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		expect(t, send(t, s, "b\u00f6b@example.net", "c\u00f6rd@example.net"), "b\u00f6b@example.net failed mail 5.6.7", "c\u00f6rd@example.net failed mail 5.6.7")
		if lines := clientLines(server, 0); lines[len(lines)-1] != "EHLO client.example.org" {
			t.Errorf("the server heard %q", lines)
		}
	})
}

// Who was one too many had no part in a transaction whose end is not known.
func TestTooManyAndThenLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		limit := atMost(1, "452 4.5.3 too many")
		w.mx(10, &smtptest.Server{Extensions: pipelined, Script: func(c smtptest.Command) action {
			if c.Verb == smtptest.EndOfData {
				return action{Fault: smtptest.Drop}
			}
			return limit(c)
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		expect(t, report, "bob@example.net unknown data-done 4.4.2", "carol@example.net deferred rcpt 4.5.3")
		if n := len(report.Outcomes[1].Earlier); n != 0 {
			t.Errorf("carol has %d attempts besides", n)
		}
	})
}

// A server that has refused sender and recipients and waits for content all the same
// gets an end of it, after which the session goes on.
func TestLoneDotAfterRefusedSender(t *testing.T) {
	refuse := true
	server := &smtptest.Server{Extensions: pipelined, Script: func(c smtptest.Command) action {
		switch {
		case !refuse:
		case c.Verb == "MAIL":
			return action{Reply: "550 5.7.1 no"}
		case c.Verb == "RCPT":
			return action{Raw: []byte("503 5.5.1 no sender\r\n")}
		case c.Verb == "DATA":
			return action{Raw: []byte("354 go\r\n")}
		case c.Verb == ".":
			return action{Raw: []byte("503 5.5.1 no recipients\r\n")}
		}
		return action{}
	}}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		expect(t, send(t, s, "bob@example.net"), "bob@example.net failed mail 5.7.1")
		refuse = false
		expect(t, send(t, s, "carol@example.net"), "carol@example.net delivered data-done 2.0.0")
		if server.Sessions() != 1 {
			t.Errorf("%d sessions", server.Sessions())
		}
	})
}

// A pool that is closed says for which server there was no place.
func TestNoPlaceNamesTheServer(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		if err := w.client.Pool.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred pool 4.3.2")
		if o := report.Outcomes[0]; o.Host != "mx10.example.net" || o.Addr != "192.0.2.10:25" {
			t.Errorf("host %q, address %q", o.Host, o.Addr)
		}
	})
}

// Hosts that did not answer lately come last, in their order, and each is tried.
func TestRestingHostsAreTriedLast(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.absentMX(10)
		w.absentMX(20)
		w.mx(30, &smtptest.Server{Script: on("MAIL", action{Reply: "451 4.3.0 later"})})
		w.client.Limits = smtpclient.Limits{Addresses: -1, Sessions: -1}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred mail 4.3.0")
		if got := hostsTried(report.Outcomes[0]); got != "mx10 mx20 mx30" {
			t.Errorf("tried %s", got)
		}
		w.net["192.0.2.20:25"] = &smtptest.Server{}
		report = w.deliver(t.Context(), fromAnn("carol@example.net"), hello)
		expect(t, report, "carol@example.net delivered data-done 2.0.0")
		if got := hostsTried(report.Outcomes[0]); got != "mx30 mx10 mx20" {
			t.Errorf("then tried %s", got)
		}
	})
}

// Of a host with several addresses only those rest that did not answer.
func TestRestingAddressOfAHost(t *testing.T) {
	for _, hops := range [][]string{nil, {"[mx10.example.net]"}} {
		restingAddress(t, hops)
	}
}

func restingAddress(t *testing.T, hops []string) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.NextHops = hops
		w.mx(10, &smtptest.Server{})
		w.dns[resolve.Question{Name: "mx10.example.net", Type: resolve.TypeA}] = resolve.Answer{Addrs: addrs("192.0.2.9", "192.0.2.10")}
		for range 20 { // addresses are shuffled
			w.deliver(t.Context(), fromAnn("bob"+itoa(len(w.net["192.0.2.10:25"].Messages()))+"@example.net"), hello)
		}
		report := w.deliver(t.Context(), fromAnn("carol@example.net"), hello)
		expect(t, report, "carol@example.net delivered data-done 2.0.0")
		if got := hostsTried(report.Outcomes[0]); got != "mx10" {
			t.Errorf("tried %s", got)
		}
	})
}

// hostsTried are the hosts of all attempts, in their order.
func hostsTried(o smtpclient.Outcome) string {
	var list []string
	for _, a := range append(o.Earlier, *o.Attempt) {
		list = append(list, strings.TrimSuffix(a.Host, ".example.net"))
	}
	return strings.Join(list, " ")
}

// The fallback relay would send back what has this machine among its exchangers, also
// where the others are found later.
func TestNoFallbackWhereWeAreAnExchanger(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.absentMX(10)
		w.mx(20, nil)
		w.client.Routing.Self = []string{"mx20.example.net"}
		w.client.Fallback = []string{"[198.51.100.1]"}
		w.client.Limits = smtpclient.Limits{Addresses: 1}
		relay := &smtptest.Server{}
		w.net["198.51.100.1:25"] = relay
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred connect 4.4.1")
		if relay.Sessions() != 0 {
			t.Error("the relay was asked")
		}
	})
}

// Whether a session will be kept is known before the content ends: QUIT goes with the
// final dot where it will not.
func TestQUITGoesWithTheDot(t *testing.T) {
	for name, tt := range map[string]struct {
		pool    *smtpclient.Pool
		letters int
		with    bool // the last one's dot
	}{
		"nobody follows":  {&smtpclient.Pool{}, 1, true},
		"keep all":        {&smtpclient.Pool{KeepAll: true}, 1, false},
		"others follow":   {&smtpclient.Pool{}, 2, false},
		"one use":         {&smtpclient.Pool{KeepAll: true, MaxUses: 1}, 1, true},
		"not the last":    {&smtpclient.Pool{KeepAll: true, MaxUses: 3}, 2, false},
		"the last use":    {&smtpclient.Pool{KeepAll: true, MaxUses: 3}, 3, true},
		"the usual bound": {&smtpclient.Pool{KeepAll: true}, 100, true},
		"no bound":        {&smtpclient.Pool{KeepAll: true, MaxUses: -1}, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			inPool(t, tt.pool, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{Extensions: pipelined})
				with := false
				w.client.Dialer.DialContext = w.tapped(func(p []byte) {
					if bytes.Contains(p, []byte("\r\n.\r\n")) {
						with = bytes.HasSuffix(p, []byte("\r\n.\r\nQUIT\r\n"))
					}
				})
				w.reuse(tt.letters)
				if with != tt.with {
					t.Errorf("QUIT goes with the dot: %v", with)
				}
			})
		})
	}
}

// Deliveries that find an open session count among those that follow each other: where
// the server has closed it, the next one is kept, too.
func TestPoolCountsWhoFindsASession(t *testing.T) {
	inPool(t, &smtpclient.Pool{}, func(t *testing.T, w *world) {
		letters := 0
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == smtptest.EndOfData {
				if letters++; letters == 5 {
					return action{Reply: "250 2.0.0 ok", Fault: smtptest.DropAfter}
				}
			}
			return action{}
		}})
		var got []string
		for range 7 {
			got = append(got, w.reuse(1))
			time.Sleep(3 * time.Second)
		}
		if want := "0 0 1 2 3 0 1"; strings.Join(got, " ") != want {
			t.Errorf("reused %v, want %s", got, want)
		}
	})
}

// A chunk that was taken leaves nothing behind that only RSET would clear.
func TestNoRSETAfterAChunk(t *testing.T) {
	server := &smtptest.Server{Extensions: []string{"PIPELINING", "CHUNKING"}}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
		expect(t, send(t, s, "carol@example.net"), "carol@example.net delivered data-done 2.0.0")
		if lines := strings.Join(clientLines(server, 0), "|"); strings.Contains(lines, "RSET") || strings.Count(lines, "BDAT") != 2 {
			t.Errorf("the client said %s", lines)
		}
	}, smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter})
}

// Who asks about recipients only, and had none accepted, ends a content that the server
// waits for all the same, and the session goes on.
func TestVerifyOfNobody(t *testing.T) {
	server := &smtptest.Server{Extensions: pipelined, Script: func(c smtptest.Command) action {
		switch {
		case c.Verb == "RCPT":
			return action{Reply: "550 5.1.1 nobody"}
		case c.Verb == "DATA":
			return action{Reply: "354 go"}
		case c.Verb == smtptest.EndOfData:
			return action{Reply: "554 5.5.1 no recipients"}
		}
		return action{}
	}}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		env := fromAnn("bob@example.net")
		env.Verify = smtpclient.VerifyData
		report, err := s.Send(t.Context(), env, nil)
		checkError(t, report, err)
		expect(t, report, "bob@example.net failed rcpt 5.1.1")
		if _, err := s.Noop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What a server says of too many messages counts at MAIL: at RCPT it is about a
// recipient.
func TestTooManyMessagesIsSaidAtMAIL(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == "RCPT" && strings.Contains(c.Args, "<eve@") {
				return action{Reply: "452 4.2.1 too many messages in this session for her"}
			}
			return action{}
		}})
		w.reuse(2)
		expect(t, w.deliver(t.Context(), fromAnn("eve@example.net"), hello), "eve@example.net deferred rcpt 4.2.1")
		if got := w.reuse(3); got != "3 4 5" && got != "2 3 4" {
			t.Errorf("reused %s", got)
		}
	})
}

// The times of a connection that failed are among those of the one that followed.
func TestTimesOfBothConnections(t *testing.T) {
	for name, server := range map[string]*smtptest.Server{
		"TLS failed":   {Extensions: []string{"STARTTLS"}, Script: on("STARTTLS", action{Fault: smtptest.BreakTLS})},
		"EHLO dropped": {Script: on("EHLO", action{Fault: smtptest.Drop})},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, server)
				dial := w.client.Dialer.DialContext
				w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					time.Sleep(time.Second)
					return dial(ctx, network, addr)
				}
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				if got := report.Outcomes[0].Times[smtpclient.StageConnect]; got != 2*time.Second {
					t.Errorf("connecting took %v", got)
				}
			})
		})
	}
}

// slowDNS takes a second for each question.
type slowDNS struct{ resolve.Resolver }

func (d slowDNS) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	time.Sleep(time.Second)
	return d.Resolver.Lookup(ctx, q)
}

// The time for hosts that are looked up later counts, too.
func TestTimesOfLaterHosts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := 1; i < 12; i++ {
			w.absentMX(10 * i)
		}
		w.mx(200, &smtptest.Server{})
		w.client.Resolver = slowDNS{w.dns}
		w.client.Limits = smtpclient.Limits{Addresses: -1, Sessions: -1}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		o := report.Outcomes[0]
		if first, last := o.Earlier[0].Times[smtpclient.StageResolve], o.Times[smtpclient.StageResolve]; last <= first {
			t.Errorf("looking up the hosts took %v, and then %v", first, last)
		}
	})
}

// slowly makes each connection take a second.
func (w *world) slowly() {
	d := *w.client.Dialer
	dial := d.DialContext
	d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(time.Second)
		return dial(ctx, network, addr)
	}
	w.client.Dialer = &d
}

// Who began early in vain waits for each word on the next connection, also where the
// Cache does not forget what was offered before; the times of both are told.
func TestEarlyInVainWithTLS(t *testing.T) {
	server := &smtptest.Server{Extensions: append([]string{"STARTTLS"}, earlyOffers...), Script: func(c smtptest.Command) action {
		if c.Verb == "EHLO" && c.Session > 0 && !c.TLS {
			return action{Reply: "250-mx.example.net\n250-STARTTLS\n250 PIPELINING"}
		}
		return action{}
	}}
	earlyWorld(t, server, func(t *testing.T, w *world, mx *smtptest.Server) {
		w.unruly, w.client.Cache = true, stubborn{w.client.Cache}
		w.slowly()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if n, took := mx.Sessions(), report.Outcomes[0].Times[smtpclient.StageConnect]; n != 3 || took != 2*time.Second {
			t.Errorf("%d sessions, connecting took %v", n, took)
		}
	})
}

// keepsFirst is a store that never forgets the first session.
type keepsFirst struct{ oneSlot }

func (s *keepsFirst) Put(key string, cs *tls.ClientSessionState) {
	if _, ok := s.Get(key); !ok && cs != nil {
		s.oneSlot.Put(key, cs)
	}
}

// A resumed session that is not good any more is followed by a full handshake, also
// where the store gives it again; the times of both are told.
func TestStaleTicketThatComesAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		ca, next := newAuthority(t), newAuthority(t)
		ca.expire(2 * time.Hour)
		roots := ca.roots()
		roots.AddCert(next.cert)
		var shown atomic.Pointer[tls.Certificate]
		shown.Store(ca.leaf("mx10.example.net", 100*time.Hour))
		mx := w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return shown.Load(), nil
		}}})
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: roots}
		w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: &keepsFirst{}}
		w.resumed(t)
		if !w.resumed(t) {
			t.Fatal("not resumed")
		}
		time.Sleep(3 * time.Hour)
		shown.Store(next.leaf("mx10.example.net", time.Hour))
		w.slowly()
		o := w.another(t, "delivered data-done 2.0.0")
		if n, took := mx.Sessions(), o.Times[smtpclient.StageConnect]; n != 4 || took != 2*time.Second {
			t.Errorf("%d sessions, connecting took %v", n, took)
		}
	})
}

// A host to which the message cannot go as it is gets no transaction, and does not count
// as one that was asked.
func TestHostsWithoutATransactionDoNotCount(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := 1; i < 5; i++ {
			w.mx(10*i, &smtptest.Server{Extensions: pipelined})
		}
		w.mx(50, &smtptest.Server{Extensions: append([]string{"SMTPUTF8"}, pipelined...)})
		w.client.Limits = smtpclient.Limits{Sessions: 2}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), "From: ann@example.org\r\nSubject: gr\u00fcn\r\n\r\nHello.\r\n")
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
	})
}

// A hook that ends its goroutine leaves a session in which nobody knows what was
// written: it is not used again, and its place is free.
func TestSessionOfOneWhoRanAway(t *testing.T) {
	for _, stage := range []smtpclient.Stage{smtpclient.StageMail, smtpclient.StageRcpt, smtpclient.StageDataInit, smtpclient.StageDataBlock, smtpclient.StageDataDone} {
		t.Run(stage.String(), func(t *testing.T) {
			inPool(t, &smtpclient.Pool{KeepAll: true, Total: 1}, func(t *testing.T, w *world) {
				server := &smtptest.Server{}
				w.mx(10, server)
				w.unruly = true
				ran := false
				ctx := smtpclient.WithTrace(t.Context(), &smtpclient.Trace{Start: func(_ context.Context, e smtpclient.Event) {
					if e.Stage == stage {
						ran = true
						runtime.Goexit()
					}
				}})
				var wg sync.WaitGroup
				wg.Go(func() { w.deliver(ctx, fromAnn("carol@example.net"), hello) })
				wg.Wait()
				if s := w.client.Pool.Stats(); !ran || s.InUse != 0 || s.Idle != 0 {
					t.Errorf("the hook ran: %v; %+v", ran, s)
				}
				expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
				w.settle()
				if got := server.Sessions(); got != 2 {
					t.Errorf("%d sessions, want 2", got)
				}
			})
		})
	}
}

// Addresses dialled beside each other: the call ends when the first one has failed,
// and the connection to the second is not needed any more.
func TestStaggerClosesWhatIsLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.staggered(time.Second, after{}, after{})
		dial := w.client.Dialer.DialContext
		w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "192.0.2.1:25" {
				return nil, syscall.ECONNREFUSED
			}
			return dial(ctx, network, addr)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.unruly = true
		w.client.Cache = &toldSet{set: func(key string) {
			if strings.HasPrefix(key, "rest1:") { // that the first one has failed
				cancel()
			}
		}}
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred connect 4.4.1")
		if ctx.Err() == nil || len(d.log) != 1 || d.open != 0 {
			t.Errorf("cancelled: %v; dialled %q; %d connections are open", ctx.Err(), d.log, d.open)
		}
	})
}

// toldSet tells what is set.
type toldSet struct {
	cache.Memory
	set func(key string)
}

func (c *toldSet) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	c.set(key)
	return c.Memory.Set(ctx, key, value, ttl)
}
