package smtpclient_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// earlyOffers are those of a server with early pipelining. It has no STARTTLS.
var earlyOffers = []string{"PIPELINING", "SIZE 1000000", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "CHUNKING", "PIPECONNECT"}

// room is what a connection takes up: who greets and who begins early write at the
// same time, which no connection without room can take.
const room = 32 << 10

// earlyWorld has a server with early pipelining whose offers are known, and a client
// that makes use of it.
func earlyWorld(t *testing.T, server *smtptest.Server, test func(t *testing.T, w *world, mx *smtptest.Server)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.early(smtpclient.Quirks{PipeConnect: true})
		server.Wire.Window = room
		w.mx(10, server)
		w.deliver(t.Context(), fromAnn("first@example.net"), hello)
		test(t, w, server)
	})
}

func (w *world) early(q smtpclient.Quirks) {
	w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return q }
}

// firstFlight is what the client says in a session before the server has said
// anything.
func firstFlight(s *smtptest.Server, session int) string {
	var b strings.Builder
	for _, c := range s.Transcript(session) {
		if !c.FromClient {
			break
		}
		b.Write(c.Data)
	}
	return b.String()
}

// The second connection does not wait: the envelope goes with EHLO. The first one
// does, since nothing is known.
func TestPipeConnect(t *testing.T) {
	earlyWorld(t, &smtptest.Server{Extensions: earlyOffers}, func(t *testing.T, w *world, mx *smtptest.Server) {
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0")
		if got := firstFlight(mx, 0); got != "" {
			t.Errorf("before it was greeted for the first time the client said %q", got)
		}
		w.settle()
		want := "EHLO client.example.org\r\nMAIL FROM:<ann@example.org> SIZE=" + itoa(len(hello)) + "\r\n" +
			"RCPT TO:<bob@example.net>\r\nRCPT TO:<carol@example.net>\r\nDATA\r\n"
		if got := transcriptOf(mx, 1); !strings.HasPrefix(got, want) || strings.Count(got, "EHLO") != 1 {
			t.Errorf("the client said %q, want it to begin with %q", got, want)
		}
		times := report.Outcomes[0].Times
		if mx.Sessions() != 2 || times[smtpclient.StageHello] < 0 {
			t.Errorf("%d sessions", mx.Sessions())
		}
	})
}

// Round trips of a delivery to a server that was met before, each 100 ms: the first
// is that of the connection.
func TestPipeConnectRoundTrips(t *testing.T) {
	const trip = 100 * time.Millisecond
	withTLS := append([]string{"STARTTLS"}, earlyOffers...)
	for _, tt := range []struct {
		name    string
		offers  []string
		quirks  smtpclient.Quirks
		trips   float64
		session int
	}{
		// In memory the greeting is on its way when the connection is there, so that it
		// takes half a round trip.
		{"plain, waiting", earlyOffers, smtpclient.Quirks{}, 4.5, 2},
		{"plain", earlyOffers, smtpclient.Quirks{PipeConnect: true}, 3, 2},
		{"plain, BDAT with the envelope", earlyOffers, smtpclient.Quirks{PipeConnect: true, Chunking: smtpclient.ChunkingGrouped}, 2, 2},
		{"STARTTLS, waiting", withTLS, smtpclient.Quirks{}, 7.5, 2},
		{"STARTTLS", withTLS, smtpclient.Quirks{PipeConnect: true}, 5, 2},
		{"STARTTLS, BDAT with the envelope", withTLS, smtpclient.Quirks{PipeConnect: true, Chunking: smtpclient.ChunkingGrouped}, 4, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.early(tt.quirks)
				mx := w.mx(10, &smtptest.Server{Extensions: tt.offers, Wire: smtptest.Wire{Delay: trip / 2, Window: room}})
				w.deliver(t.Context(), fromAnn("first@example.net"), hello)
				w.settle()
				start := time.Now()
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				trips := float64(time.Since(start)) / float64(trip)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				if trips != tt.trips || mx.Sessions() != tt.session {
					t.Errorf("%.2f round trips in %d sessions, want %.2f in %d", trips, mx.Sessions(), tt.trips, tt.session)
				}
				if tls := report.Outcomes[0].TLS; (tls.Reached == tlspolicy.Encrypt) != strings.HasPrefix(tt.name, "STARTTLS") {
					t.Errorf("TLS: %+v", tls)
				}
			})
		})
	}
}

// Nobody is talked to before the greeting who did not offer it, in each phase of
// the session, and nothing is talked about that the first flight could not undo.
func TestPipeConnectWaits(t *testing.T) {
	withTLS := append([]string{"STARTTLS"}, earlyOffers...)
	without := func(keyword string) []string {
		var rest []string
		for _, line := range earlyOffers {
			if line != keyword {
				rest = append(rest, line)
			}
		}
		return rest
	}
	usual := func(w *world) { w.early(smtpclient.Quirks{PipeConnect: true}) }
	for _, tt := range []struct {
		name   string
		server *smtptest.Server
		setUp  func(w *world)
	}{
		{"by itself", &smtptest.Server{Extensions: earlyOffers}, func(*world) {}},
		{"not offered", &smtptest.Server{Extensions: without("PIPECONNECT")}, usual},
		{"no PIPELINING", &smtptest.Server{Extensions: without("PIPELINING")}, usual},
		{"overlooked", &smtptest.Server{Extensions: earlyOffers}, func(w *world) {
			w.early(smtpclient.Quirks{PipeConnect: true, Discard: []string{"pipeconnect"}})
		}},
		{"no cache", &smtptest.Server{Extensions: earlyOffers}, func(w *world) { usual(w); w.client.Cache = cache.None }},
		{"HELO", &smtptest.Server{Extensions: earlyOffers}, func(w *world) { w.early(smtpclient.Quirks{PipeConnect: true, HELO: true}) }},
		{"TLS is wanted and not offered", &smtptest.Server{Extensions: earlyOffers}, func(w *world) { usual(w); w.client.TLS = tlspolicy.Encrypt }},
		{"only in plaintext", &smtptest.Server{Extensions: withTLS, Script: func(c smtptest.Command) action {
			if c.Verb == "EHLO" && c.TLS {
				return action{Reply: "250-mx.example.net\n250 PIPELINING"}
			}
			return action{}
		}}, usual},
		{"only in TLS", &smtptest.Server{Extensions: withTLS, Script: func(c smtptest.Command) action {
			if c.Verb == "EHLO" && !c.TLS {
				return action{Reply: "250-mx.example.net\n250-PIPELINING\n250 STARTTLS"}
			}
			return action{}
		}}, usual},
		{"AUTH", &smtptest.Server{Extensions: withTLS, Passwords: map[string]string{"ann": "secret-password"}}, func(w *world) {
			usual(w)
			w.client.NextHops = []string{"[192.0.2.10]"}
			w.client.TLS = tlspolicy.Encrypt
			w.client.Auth = &smtpclient.Credential{User: "ann", Password: "secret-password", Channel: tlspolicy.Encrypt}
		}},
		{"implicit TLS", &smtptest.Server{Extensions: earlyOffers, ImplicitTLS: true}, func(w *world) {
			usual(w)
			w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Encrypt, Implicit: true}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				tt.setUp(w)
				tt.server.Wire.Window = room
				mx := w.mx(10, tt.server)
				for i := range 3 {
					w.deliver(t.Context(), fromAnn(addressOf(i)), hello)
				}
				for i := range mx.Sessions() {
					// The transcript of a session with TLS is the plaintext, and the one with
					// early pipelining would have its envelope with EHLO in one write.
					for _, c := range mx.Transcript(i) {
						if c.FromClient && strings.HasPrefix(string(c.Data), "EHLO") && strings.Count(string(c.Data), "\n") > 1 {
							t.Errorf("session %d: the client said %q at once", i, c.Data)
						}
					}
					if got := firstFlight(mx, i); got != "" && tt.name != "only in plaintext" {
						t.Errorf("session %d: before it was greeted the client said %q", i, got)
					}
				}
			})
		})
	}
}

// changes are what a server may come up with when it was something else that was
// expected, in its second session.
var changes = []struct {
	name  string
	to    func(c smtptest.Command) action
	later bool // the next session is early again
}{
	{"another SIZE", on("EHLO", action{Reply: "250-mx.example.net\n250-PIPELINING\n250-SIZE 50\n250-PIPECONNECT\n250 CHUNKING"}), true},
	{"no PIPECONNECT", on("EHLO", action{Reply: "250-mx.example.net\n250-PIPELINING\n250 SIZE 1000000"}), false},
	{"nothing", on("EHLO", action{Reply: "250 mx.example.net"}), false},
	{"EHLO is refused", on("EHLO", action{Reply: "502 what"}), false},
	{"EHLO is deferred", on("EHLO", action{Reply: "451 busy"}), false},
	{"a greeting that refuses", on(smtptest.Connect, action{Reply: "554 you talk too early"}), false},
	{"a greeting that defers", on(smtptest.Connect, action{Reply: "450 busy"}), false},
	{"421", on(smtptest.Connect, action{Reply: "421 too many"}), false},
	{"dropped", on(smtptest.Connect, action{Fault: smtptest.Drop}), false},
	{"dropped at EHLO", on("EHLO", action{Fault: smtptest.Drop}), false},
	{"garbage", on("EHLO", action{Fault: smtptest.Garbage}), false},
	{"a greeting out of place", on(smtptest.Connect, action{Reply: "354 go"}), false},
}

// Where anything has changed, what was written decides nothing: it all begins anew,
// once, in order, and the report shows no trace of it.
func TestPipeConnectRetreats(t *testing.T) {
	withTLS := append([]string{"STARTTLS"}, earlyOffers...)
	for _, offers := range [][]string{earlyOffers, withTLS} {
		for _, tt := range changes {
			t.Run(fmt.Sprintf("%s/%v", tt.name, offers[0] == "STARTTLS"), func(t *testing.T) {
				server := &smtptest.Server{Extensions: offers, Script: func(c smtptest.Command) action {
					if c.Session == 1 {
						return tt.to(c)
					}
					return action{}
				}}
				earlyWorld(t, server, func(t *testing.T, w *world, mx *smtptest.Server) {
					w.unruly = true
					report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
					expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0")
					for _, o := range report.Outcomes {
						if len(o.Earlier) != 0 {
							t.Errorf("%s: earlier attempts %v", o.Address, o.Earlier)
						}
					}
					if n := mx.Sessions(); n != 3 {
						t.Errorf("%d sessions, want 3", n)
					}
					if got := firstFlight(mx, 2); got != "" {
						t.Errorf("the new session was not greeted before %q", got)
					}
				})
			})
		}
	}
}

// A message that does not suit what is remembered is not refused for that: the
// server is asked what it offers now.
func TestPipeConnectAsksBeforeRefusing(t *testing.T) {
	earlyWorld(t, &smtptest.Server{Extensions: []string{"PIPELINING", "SIZE 200", "PIPECONNECT"}, Script: func(c smtptest.Command) action {
		if c.Verb == "EHLO" && c.Session > 0 {
			return action{Reply: "250-mx.example.net\n250-PIPELINING\n250-SIZE 100000\n250-SMTPUTF8\n250 PIPECONNECT"}
		}
		return action{}
	}}, func(t *testing.T, w *world, mx *smtptest.Server) {
		report, _ := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello+strings.Repeat("x", 500)+"\r\n")))
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
	})
	// Where the server says the same again it is refused, as it would be without.
	earlyWorld(t, &smtptest.Server{Extensions: []string{"PIPELINING", "SIZE 200", "PIPECONNECT"}}, func(t *testing.T, w *world, mx *smtptest.Server) {
		report, _ := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello+strings.Repeat("x", 500)+"\r\n")))
		expect(t, report, "bob@example.net failed mail 5.3.4")
		if n := mx.Sessions(); n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
	// Likewise for one recipient among others.
	earlyWorld(t, &smtptest.Server{Extensions: earlyOffers, Script: func(c smtptest.Command) action {
		if c.Verb == "EHLO" && c.Session > 0 {
			return action{Reply: "250-mx.example.net\n250-PIPELINING\n250-SMTPUTF8\n250 PIPECONNECT"}
		}
		return action{}
	}}, func(t *testing.T, w *world, mx *smtptest.Server) {
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "zoë@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "zoë@example.net delivered data-done 2.0.0")
	})
}

// A refusal of the envelope is as good as in order, if all is as it was.
func TestPipeConnectVerdicts(t *testing.T) {
	for verb, want := range map[string]string{"MAIL": "failed mail 5.0.0", "RCPT": "failed rcpt 5.0.0", "DATA": "failed data-init 5.0.0", smtptest.EndOfData: "failed data-done 5.0.0"} {
		refuse := false
		earlyWorld(t, &smtptest.Server{Extensions: earlyOffers, Script: func(c smtptest.Command) action {
			if refuse && c.Verb == verb {
				return action{Reply: "550 no"}
			}
			return action{}
		}}, func(t *testing.T, w *world, mx *smtptest.Server) {
			refuse = true
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net "+want)
			if n := mx.Sessions(); n != 2 {
				t.Errorf("%s: %d sessions, want 2", verb, n)
			}
		})
	}
}

// A server that is silent is not asked twice, and a cancel ends it.
func TestPipeConnectSilence(t *testing.T) {
	for _, verb := range []string{smtptest.Connect, "EHLO", "MAIL"} {
		for _, cancelled := range []bool{false, true} {
			silent := false
			earlyWorld(t, &smtptest.Server{Extensions: earlyOffers, Script: func(c smtptest.Command) action {
				if silent && c.Verb == verb {
					return action{Fault: smtptest.Stall}
				}
				return action{}
			}}, func(t *testing.T, w *world, mx *smtptest.Server) {
				w.unruly, silent = true, true
				ctx, patience := t.Context(), 5*time.Minute
				if cancelled {
					var stop context.CancelFunc
					patience = time.Minute
					ctx, stop = context.WithTimeout(ctx, patience)
					defer stop()
				}
				start := time.Now()
				report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
				if took := time.Since(start); took != patience || mx.Sessions() != 2 {
					t.Errorf("silent at %s: it took %v and %d sessions", verb, took, mx.Sessions())
				}
				stage := map[string]string{smtptest.Connect: "greeting", "EHLO": "hello", "MAIL": "mail"}[verb]
				expect(t, report, "bob@example.net deferred "+stage+" 4.4.2")
			})
		}
	}
}

// With BDAT in the first flight the content is there before the server has said
// anything. What it accepts is delivered; what it refuses, because it offers
// something else now, goes again; and what is not known is Unknown.
func TestPipeConnectWithContent(t *testing.T) {
	other := action{Reply: "250-mx.example.net\n250-PIPELINING\n250-SIZE 999\n250-CHUNKING\n250 PIPECONNECT"}
	for _, tt := range []struct {
		name     string
		second   map[string]action
		bob      string
		carol    string
		sessions int
	}{
		{"as it was", nil, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 2},
		{"other offers", map[string]action{"EHLO": other}, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 2},
		{"other offers, and MAIL is refused", map[string]action{"EHLO": other, "MAIL": {Reply: "555 what"}}, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 3},
		{"other offers, and the content is refused", map[string]action{"EHLO": other, smtptest.EndOfData: {Reply: "552 too much"}}, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 3},
		{"other offers, and one is refused", map[string]action{"EHLO": other, "RCPT": {Reply: "555 what"}}, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 3},
		{"a greeting that refuses", map[string]action{smtptest.Connect: {Reply: "554 no"}}, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 3},
		{"EHLO is refused", map[string]action{"EHLO": {Reply: "502 no"}}, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 3},
		{"lost at the end", map[string]action{"EHLO": other, smtptest.EndOfData: {Fault: smtptest.Drop}}, "unknown data-done 4.4.2", "unknown data-done 4.4.2", 2},
		{"as it was, and refused", map[string]action{"MAIL": {Reply: "550 no"}}, "failed mail 5.0.0", "failed mail 5.0.0", 2},
		{"lost at once", map[string]action{smtptest.Connect: {Fault: smtptest.Drop}}, "unknown greeting 4.4.2", "unknown greeting 4.4.2", 2},
		{"garbage at once", map[string]action{smtptest.Connect: {Fault: smtptest.Garbage}}, "unknown greeting 4.5.0", "unknown greeting 4.5.0", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := &smtptest.Server{Extensions: earlyOffers, Script: func(c smtptest.Command) action {
				if c.Session != 1 || c.Verb == "RCPT" && !strings.Contains(c.Args, "carol") {
					return action{}
				}
				return tt.second[c.Verb]
			}}
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.early(smtpclient.Quirks{PipeConnect: true, Chunking: smtpclient.ChunkingGrouped})
				server.Wire.Window = room
				mx := w.mx(10, server)
				w.deliver(t.Context(), fromAnn("first@example.net"), hello)
				report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.bob, "carol@example.net "+tt.carol)
				if n := mx.Sessions(); n != tt.sessions {
					t.Errorf("%d sessions, want %d", n, tt.sessions)
				}
				for _, o := range report.Outcomes {
					if len(o.Earlier) != 0 {
						t.Errorf("%s: earlier attempts %v", o.Address, o.Earlier)
					}
				}
			})
		})
	}
}

// What is remembered is of an address and of our name, and for a day; an entry that
// is not what it should be is none.
func TestPipeConnectMemory(t *testing.T) {
	sent := 0
	isEarly := func(w *world, mx *smtptest.Server) bool {
		n := mx.Sessions()
		sent++
		w.deliver(w.t.Context(), fromAnn(addressOf(sent)), hello)
		for _, c := range mx.Transcript(n) {
			if c.FromClient {
				return strings.Contains(string(c.Data), "DATA")
			}
		}
		return false
	}
	earlyWorld(t, &smtptest.Server{Extensions: earlyOffers}, func(t *testing.T, w *world, mx *smtptest.Server) {
		if !isEarly(w, mx) {
			t.Error("what was offered is forgotten")
		}
		w.client.LocalName = "other.example.org"
		if isEarly(w, mx) {
			t.Error("another name is taken for ours")
		}
		if !isEarly(w, mx) {
			t.Error("what was offered to the other name is forgotten")
		}
		time.Sleep(25 * time.Hour)
		if isEarly(w, mx) {
			t.Error("it is remembered for longer than a day")
		}
		other := w.mx(5, &smtptest.Server{Extensions: earlyOffers, Wire: smtptest.Wire{Window: room}})
		w.client.Cache = withoutRoutes{w.client.Cache}
		if isEarly(w, other) {
			t.Error("another address is taken for the one that is known")
		}
	})
	for name, spoil := range map[string]func(string, []byte) []byte{
		"another key":    func(_ string, v []byte) []byte { return append([]byte("x"), v...) },
		"nothing":        func(string, []byte) []byte { return nil },
		"only a key":     func(key string, _ []byte) []byte { return []byte(key) },
		"far too much":   func(_ string, v []byte) []byte { return append(v, strings.Repeat("\nX", 8<<10)...) },
		"not offered":    func(key string, _ []byte) []byte { return []byte(key + "\nmx\nPIPELINING") },
		"no pipelining":  func(key string, _ []byte) []byte { return []byte(key + "\nmx\nPIPECONNECT") },
		"lines of bytes": func(key string, _ []byte) []byte { return []byte(key + "\n\x00\xff\n\r\r\n\n") },
	} {
		earlyWorld(t, &smtptest.Server{Extensions: earlyOffers}, func(t *testing.T, w *world, mx *smtptest.Server) {
			key := "pipeconnect1/plain/192.0.2.10:25/client.example.org"
			value, ok, _ := w.client.Cache.Get(t.Context(), key)
			if !ok {
				t.Fatal("the entry is not where this test looks for it")
			}
			if err := w.client.Cache.Set(t.Context(), key, spoil(key, value), time.Hour); err != nil {
				t.Fatal(err)
			}
			if isEarly(w, mx) {
				t.Errorf("%s is taken for an offer", name)
			}
		})
	}
}

// A cache that forgets nothing does not make the client try early again and again.
func TestPipeConnectEndsWithBadCache(t *testing.T) {
	server := &smtptest.Server{Extensions: earlyOffers, Script: func(c smtptest.Command) action {
		if c.Verb == "EHLO" && c.Session > 0 {
			return action{Reply: "250-mx.example.net\n250 PIPELINING"}
		}
		return action{}
	}}
	earlyWorld(t, server, func(t *testing.T, w *world, mx *smtptest.Server) {
		w.unruly, w.client.Cache = true, stubborn{w.client.Cache}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if n := mx.Sessions(); n != 3 {
			t.Errorf("%d sessions, want 3", n)
		}
	})
}

// withoutRoutes forgets what the DNS has said.
type withoutRoutes struct{ cache.Cache }

func (c withoutRoutes) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if !strings.HasPrefix(key, "pipeconnect") {
		return nil, false, nil
	}
	return c.Cache.Get(ctx, key)
}

type stubborn struct{ cache.Cache }

func (stubborn) Set(context.Context, string, []byte, time.Duration) error { return nil }
func (stubborn) Delete(context.Context, string) error                     { return nil }

// With a pool a session that began early is kept and overlapped like any other.
func TestPipeConnectWithPool(t *testing.T) {
	inConvoy(t, &smtptest.Server{Extensions: earlyOffers, Wire: smtptest.Wire{Delay: time.Millisecond, Window: room}}, func(t *testing.T, c *convoy) {
		c.w.early(smtpclient.Quirks{PipeConnect: true})
		c.send(t.Context(), 0, nil)
		c.wg.Wait()
		c.pool.Close(t.Context())
		c.pool = &smtpclient.Pool{Total: 1, MaxUses: -1}
		c.w.client.Pool = c.pool
		for n := range 30 {
			c.send(t.Context(), n+1, nil)
		}
		synctest.Wait()
		c.expect(strings.Repeat("d", 31))
		if n := c.server.Sessions(); n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
}

// Every lease is given back where a session began in vain.
func TestPipeConnectAndLimiter(t *testing.T) {
	for _, tt := range changes {
		server := &smtptest.Server{Extensions: earlyOffers, Script: func(c smtptest.Command) action {
			if c.Session == 1 {
				return tt.to(c)
			}
			return action{}
		}}
		earlyWorld(t, server, func(t *testing.T, w *world, mx *smtptest.Server) {
			w.unruly = true
			l := &ledger{}
			w.client.Limiter = l
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			said := l.said()
			if l.open != 0 || strings.Contains(said, "broken") || strings.Count(said, "+connection") != 2 {
				t.Errorf("%s: %d leases are held: %s", tt.name, l.open, said)
			}
		})
	}
}

// A session that has begun early, and for whose first message there was nothing to be
// sent, is not kept: the next one gets another.
func TestPipeConnectWithNothingToSend(t *testing.T) {
	for _, chunking := range []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingGrouped} {
		inWorld(t, func(t *testing.T, w *world) {
			w.early(smtpclient.Quirks{PipeConnect: true, Chunking: chunking})
			w.client.Pool = &smtpclient.Pool{KeepAll: true}
			mx := w.mx(10, &smtptest.Server{Extensions: earlyOffers, Wire: smtptest.Wire{Delay: time.Millisecond, Window: room}})
			w.deliver(t.Context(), fromAnn("first@example.net"), hello)
			w.client.Pool.Close(t.Context())
			w.client.Pool = &smtpclient.Pool{KeepAll: true}
			content := &wild{Content: smtpclient.Bytes([]byte(hello)), nth: 1, always: true, fail: errDisk}
			report, _ := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
			expect(t, report, "bob@example.net deferred input 4.3.0")
			expect(t, w.deliver(t.Context(), fromAnn("carol@example.net"), hello), "carol@example.net delivered data-done 2.0.0")
			w.client.Pool.Close(t.Context())
			w.settle()
			if n := mx.Sessions(); n != 3 {
				t.Errorf("%d sessions, want 3", n)
			}
			for i := range mx.Sessions() {
				if said := dialogueOf(mx, i); !strings.HasPrefix(said, "EHLO ") {
					t.Errorf("session %d: %q", i, said)
				}
			}
		})
	}
}
