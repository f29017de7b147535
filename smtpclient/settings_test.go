package smtpclient_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// The tests of this file show for one setting each, named in docs/postfix.md,
// that it changes the outcome or what is on the wire.

// EHLO comes first whatever the greeting says.
func TestGreetingWithoutESMTP(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Script: on(smtptest.Connect, action{Reply: "220 ready"})})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if got := clientLines(mx, 0)[0]; got != "EHLO client.example.org" {
			t.Errorf("the client began with %q", got)
		}
	})
}

// Our name is the dialer's, else the client's.
func TestLocalName(t *testing.T) {
	for name, tt := range map[string]struct{ client, dialer, want string }{
		"client": {"a.example.org", "", "EHLO a.example.org"},
		"dialer": {"a.example.org", "[192.0.2.1]", "EHLO [192.0.2.1]"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{})
				w.client.LocalName, w.client.Dialer.LocalName = tt.client, tt.dialer
				w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				if got := clientLines(mx, 0)[0]; got != tt.want {
					t.Errorf("the client began with %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// The client says QUIT and does not wait for what the server makes of it.
func TestQuitIsNotWaitedFor(t *testing.T) {
	for mode, extensions := range map[string][]string{"pipelined": pipelined, "lockstep": lockstep} {
		t.Run(mode, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Extensions: extensions, Script: silentAt("QUIT")})
				start := time.Now()
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				if took := time.Since(start); took != 0 {
					t.Errorf("waited %v", took)
				}
				w.settle()
				if lines := clientLines(mx, 0); lines[len(lines)-1] != "QUIT" {
					t.Errorf("the client said %q", lines)
				}
			})
		})
	}
}

// The connection has its own time, and where that is negative the time of ctx.
func TestConnectTimeoutOfOnesOwn(t *testing.T) {
	for own, want := range map[time.Duration]time.Duration{7 * time.Second: 7 * time.Second, -1: time.Minute} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, nil)
			w.client.Dialer.Timeouts.Connect = own
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net deferred connect 4.4.1")
			if took := time.Since(start); took != want {
				t.Errorf("%v: took %v, want %v", own, took, want)
			}
		})
	}
}

// The commands of a Session that are not of a transaction have their own times,
// and QUIT is waited for there.
func TestCommandTimeouts(t *testing.T) {
	tests := []struct {
		name, verb string
		usual      time.Duration
		set        func(d *smtpclient.Timeouts, v time.Duration)
		call       func(ctx context.Context, s *smtpclient.Session) error
	}{
		{"RSET", "RSET", 20 * time.Second, func(d *smtpclient.Timeouts, v time.Duration) { d.Command = v },
			func(ctx context.Context, s *smtpclient.Session) error { return noError(s.Rset(ctx)) }},
		{"NOOP", "NOOP", 20 * time.Second, func(d *smtpclient.Timeouts, v time.Duration) { d.Command = v },
			func(ctx context.Context, s *smtpclient.Session) error { return noError(s.Noop(ctx)) }},
		{"QUIT", "QUIT", 5 * time.Minute, func(d *smtpclient.Timeouts, v time.Duration) { d.Quit = v },
			func(ctx context.Context, s *smtpclient.Session) error { return s.Quit(ctx) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, own := range []time.Duration{0, 7 * time.Second} {
				limit := cmp.Or(own, tt.usual)
				for delay, timedOut := range map[time.Duration]bool{limit - 1: false, limit + 1: true} {
					synctest.Test(t, func(t *testing.T) {
						server := &smtptest.Server{Script: on(tt.verb, action{Delay: delay})}
						defer server.Close()
						dialer := &smtpclient.Dialer{DialContext: server.DialContext}
						tt.set(&dialer.Timeouts, own)
						s, err := dialer.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
						if err != nil {
							t.Fatal(err)
						}
						defer s.Close()
						start := time.Now()
						err = tt.call(t.Context(), s)
						if got := errors.Is(err, os.ErrDeadlineExceeded); got != timedOut {
							t.Errorf("answered after %v: %v", delay, err)
						}
						if took := time.Since(start); took != min(delay, limit) {
							t.Errorf("answered after %v: took %v", delay, took)
						}
					})
				}
			}
		})
	}
}

// A Resolver of one's own stands before the other one: here it drops a host and
// an address, as a filter of replies does.
func TestResolverAsFilter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx10 := w.mx(10, &smtptest.Server{})
		w.mx(20, &smtptest.Server{})
		w.client.Resolver = filter{w.dns, netip.MustParseAddr("192.0.2.10")}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if got := report.Outcomes[0].Host; got != "mx20.example.net" || mx10.Sessions() != 0 {
			t.Errorf("delivered to %s, and %d sessions with the other", got, mx10.Sessions())
		}
	})
}

// filter drops an address from the answers of a Resolver.
type filter struct {
	resolve.Resolver
	drop netip.Addr
}

func (f filter) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	a, err := f.Resolver.Lookup(ctx, q)
	var kept []netip.Addr
	for _, addr := range a.Addrs {
		if addr != f.drop {
			kept = append(kept, addr)
		}
	}
	a.Addrs = kept // rule 7: the slice of the answer is not changed
	return a, err
}

// Routing of the client decides order and port.
func TestRoutingOfClient(t *testing.T) {
	for prefer, want := range map[resolve.Families]string{resolve.IPv4: "192.0.2.10:2525", resolve.IPv6: "[2001:db8::10]:2525"} {
		for range 4 { // without a preference it is even odds
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, nil)
				w.dns[resolve.Question{Name: "mx10.example.net", Type: resolve.TypeAAAA}] = resolve.Answer{Addrs: addrs("2001:db8::10")}
				w.net["192.0.2.10:2525"], w.net["[2001:db8::10]:2525"] = &smtptest.Server{}, &smtptest.Server{}
				w.client.Routing = resolve.Routing{Prefer: prefer, Port: 2525}
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				if got := report.Outcomes[0].Addr; got != want {
					t.Errorf("Prefer %d: delivered to %s, want %s", prefer, got, want)
				}
			})
		}
	}
}

// The local address of IPv6 is bound, and one that the machine does not have
// defers.
func TestBindRefusedIPv6(t *testing.T) {
	dialer := &smtpclient.Dialer{LocalAddr6: netip.MustParseAddr("2001:db8::77")}
	_, err := dialer.Dial(t.Context(), smtpclient.Target{Addr: "[::1]:1"})
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Enhanced != "4.3.5" || !strings.Contains(err.Error(), "2001:db8::77") {
		t.Errorf("got %v", err)
	}
}

// byNextHop decides by the next hop, as a table does.
type byNextHop map[string]tlspolicy.Level

func (b byNextHop) Decide(ctx context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	return b[q.Route.NextHop.String()].Decide(ctx, q)
}

func TestPolicyByNextHop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net["192.0.2.1:25"] = &smtptest.Server{Extensions: pipelined}
		w.net["192.0.2.2:25"] = &smtptest.Server{Extensions: pipelined}
		w.client.TLS = byNextHop{"[192.0.2.1]": tlspolicy.Encrypt, "[192.0.2.2]": tlspolicy.May}
		report := w.deliver(t.Context(), fromAnn("bob@[192.0.2.1]", "carol@[192.0.2.2]"), hello)
		expect(t, report, "bob@[192.0.2.1] deferred starttls 4.7.4", "carol@[192.0.2.2] delivered data-done 2.0.0")
	})
}

// T19: a reply that nobody asked for, inside TLS and before MAIL, is not taken for the
// reply to MAIL.
func TestUnaskedReplyInsideTLS(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == "EHLO" && c.TLS {
				return action{Raw: []byte("250 mx10.example.net\r\n250 2.1.0 ok\r\n")}
			}
			return action{}
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred mail 4.5.0")
		if lines := strings.Join(clientLines(mx, 0), "\n"); strings.Contains(lines, "MAIL") {
			t.Errorf("the client said %s", lines)
		}
	})
}

// The largest message that the server takes is what it says inside TLS.
func TestSizeBeforeTLSIsForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == "EHLO" && !c.TLS {
				return action{Reply: "250-mx10.example.net\n250-SIZE 1\n250 STARTTLS"}
			}
			return action{}
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
	})
}

// The trace shows what was offered, and what TLS became.
func TestTraceOfTLS(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{tlspolicy.None: "none, offered", tlspolicy.May: "TLS 1.3, offered"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			w.client.TLS = level
			reached, offered := "none", "not offered"
			trace := &smtpclient.Trace{
				Done: func(_ context.Context, e smtpclient.Event) {
					if e.Stage == smtpclient.StageStartTLS && e.TLS.Version != 0 {
						reached = tls.VersionName(e.TLS.Version)
					}
				},
				Line: func(_ context.Context, line string) {
					if strings.HasPrefix(line, "S: 250") && strings.HasSuffix(line, "STARTTLS") {
						offered = "offered"
					}
				},
			}
			w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net"), hello)
			if got := fmt.Sprintf("%s, %s", reached, offered); got != want {
				t.Errorf("%v: the trace tells %q, want %q", level, got, want)
			}
		})
	}
}

// What holds for EHLO holds for LHLO.
func TestSettingsInLMTP(t *testing.T) {
	dial := func(t *testing.T, server *smtptest.Server, dialer *smtpclient.Dialer) error {
		t.Helper()
		server.Mode = smtptest.LMTP
		defer server.Close()
		dialer.DialContext = server.DialContext
		s, err := dialer.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:24", Protocol: smtpclient.LMTP})
		if err != nil {
			return err
		}
		defer s.Close()
		if _, ok := s.Extension("PIPELINING"); ok == (dialer.Quirks != nil) {
			t.Errorf("PIPELINING is offered: %v", ok)
		}
		expect(t, send(t, hold(t, s, server), "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
		return s.Quit(t.Context())
	}
	t.Run("LocalName", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := &smtptest.Server{}
			if err := dial(t, server, &smtpclient.Dialer{LocalName: "a.example.org"}); err != nil {
				t.Error(err)
			}
			if got := clientLines(server, 0)[0]; got != "LHLO a.example.org" {
				t.Errorf("the client began with %q", got)
			}
		})
	})
	t.Run("Discard", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			quirks := func(smtpclient.Target) smtpclient.Quirks {
				return smtpclient.Quirks{Discard: []string{"PIPELINING"}}
			}
			if err := dial(t, &smtptest.Server{}, &smtpclient.Dialer{Quirks: quirks}); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("Hello", func(t *testing.T) {
		for delay, want := range map[time.Duration]error{7*time.Second - 1: nil, 7*time.Second + 1: os.ErrDeadlineExceeded} {
			synctest.Test(t, func(t *testing.T) {
				server := &smtptest.Server{Script: on("LHLO", action{Delay: delay})}
				if err := dial(t, server, &smtpclient.Dialer{Timeouts: smtpclient.Timeouts{Hello: 7 * time.Second}}); !errors.Is(err, want) {
					t.Errorf("answered after %v: %v", delay, err)
				}
			})
		}
	})
	t.Run("Policy", func(t *testing.T) {
		for level, want := range map[tlspolicy.Level]tlspolicy.Level{tlspolicy.None: tlspolicy.None, tlspolicy.Encrypt: tlspolicy.Encrypt} {
			server := &smtptest.Server{Mode: smtptest.LMTP}
			target := smtpclient.Target{Protocol: smtpclient.LMTP, Policy: tlspolicy.Policy{Level: level}}
			inSession(t, server, target, func(t *testing.T, s *heldSession) {
				if got := s.Peer().TLS.Reached; got != want {
					t.Errorf("%v: reached %v", level, got)
				}
			})
		}
	})
}
