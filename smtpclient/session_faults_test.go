package smtpclient_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// One refusal after another: each leaves a transaction that the next one has to
// reset, also where RSET and MAIL went in one write.
func TestSessionAfterSeveralRefusals(t *testing.T) {
	for mode, extensions := range map[string][]string{"pipelined": pipelined, "lockstep": lockstep} {
		t.Run(mode, func(t *testing.T) {
			refuse := true
			server := &smtptest.Server{Extensions: extensions, Script: func(c smtptest.Command) action {
				if refuse && c.Verb == "RCPT" {
					return action{Reply: "550 5.1.1 no"}
				}
				return action{}
			}}
			inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
				for range 3 {
					expect(t, send(t, s, "bob@example.net"), "bob@example.net failed rcpt 5.1.1")
				}
				refuse = false
				expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
				if got := strings.Count(strings.Join(clientLines(server, 0), "\n"), "RSET"); got != 3 {
					t.Errorf("%d RSET, want 3", got)
				}
			})
		})
	}
}

// What an Attempt tells of one transaction is not told again of the next.
func TestSessionForgetsTheLastTransaction(t *testing.T) {
	server := &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16, Delay: time.Second}}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		long := "Subject: x\r\n\r\n" + strings.Repeat("x", 1000) + "\r\n"
		report, err := s.Send(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(long)))
		if err != nil || len(report.Outcomes[0].Notes) != 1 || report.Outcomes[0].Times[smtpclient.StageGreeting] == 0 {
			t.Errorf("first: %v, %+v", err, report.Outcomes[0])
		}
		o := send(t, s, "bob@example.net").Outcomes[0]
		if len(o.Notes) != 0 || o.Times[smtpclient.StageGreeting] != 0 || o.Times[smtpclient.StageMail] != 2*time.Second || o.Reused != 1 {
			t.Errorf("second: notes %q, times %v, reused %d", o.Notes, o.Times, o.Reused)
		}
	})
}

// A session may be idle for as long as the server likes: neither the clock of the
// last call nor its budget counts in the next.
func TestIdleSession(t *testing.T) {
	server := &smtptest.Server{}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		for range 3 {
			time.Sleep(24 * time.Hour)
			if _, err := s.Noop(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24 * time.Hour)
			report := send(t, s, "bob@example.net")
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if took := report.Outcomes[0].Times[smtpclient.StageMail]; took != 0 {
				t.Errorf("MAIL took %v", took)
			}
		}
	})
}

// The first error stays, also when the connection is closed again behind it.
func TestFirstErrorStays(t *testing.T) {
	server := &smtptest.Server{Script: on("QUIT", action{Reply: "421 4.3.2 bye"})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		if err := s.Quit(t.Context()); err != nil {
			t.Errorf("Quit: %v", err)
		}
		_, err := s.Noop(t.Context())
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Reply.Code != 421 {
			t.Errorf("after Quit: %v, want the 421", err)
		}
	})
}

// A refusal within the content ends the session: what the server has read of the
// message would be taken for commands.
func TestSessionRefusedWithinContent(t *testing.T) {
	server := &smtptest.Server{Extensions: pipelined, Wire: smtptest.Wire{Window: 1 << 12}, Cuts: []smtptest.Cut{
		{Verb: "DATA", FromClient: true, After: 100_000, Action: action{Reply: "552 5.3.4 too big", Fault: smtptest.DropAfter}},
	}}
	synctest.Test(t, func(t *testing.T) {
		defer server.Close()
		s, err := (&smtpclient.Dialer{DialContext: server.DialContext}).Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
		if err != nil {
			t.Fatal(err)
		}
		report, _ := hold(t, s, server).Send(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(longMessage(400_000))))
		expect(t, report, "bob@example.net failed data-block 5.3.4")
		_, err = s.Noop(t.Context())
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Reply.Code != 552 {
			t.Errorf("after that: %v, want the first error", err)
		}
	})
}

// A panic in a Trace breaks the session, whatever it was doing, and goes no
// further.
func TestPanicInSessionCommand(t *testing.T) {
	ctx := smtpclient.WithTrace(context.Background(), &smtpclient.Trace{Line: func(context.Context, string) { panic("trace gone mad") }})
	for name, call := range map[string]func(s *smtpclient.Session) error{
		"Noop": func(s *smtpclient.Session) error { return noError(s.Noop(ctx)) },
		"Rset": func(s *smtpclient.Session) error { return noError(s.Rset(ctx)) },
		"Quit": func(s *smtpclient.Session) error { return s.Quit(ctx) },
	} {
		inSession(t, &smtptest.Server{}, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
			if err := call(s.Session); err == nil || !strings.Contains(err.Error(), "gone mad") {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := s.Noop(t.Context()); err == nil || !strings.Contains(err.Error(), "gone mad") {
				t.Errorf("after %s: %v, want the first error", name, err)
			}
		})
	}
}

// Dial gives no session that is broken already: 421 to STARTTLS is no leave to go
// on in plaintext.
func TestDial421ToSTARTTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: on("STARTTLS", action{Reply: "421 4.3.2 bye"})}
		defer server.Close()
		s, err := (&smtpclient.Dialer{DialContext: server.DialContext}).Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
		var e *smtpclient.Error
		if s != nil || !errors.As(err, &e) || e.Stage != smtpclient.StageStartTLS || e.Reply.Code != 421 {
			t.Errorf("Dial: %v, %v", s, err)
		}
		if e.Host != "192.0.2.10" {
			t.Errorf("host %q, want the one in Addr", e.Host)
		}
	})
}

// What was offered before TLS is forgotten, also where EHLO is refused inside TLS
// and HELO brings no new list (RFC 3207, Section 4.2).
func TestHELOInsideTLS(t *testing.T) {
	server := &smtptest.Server{Script: func(c smtptest.Command) action {
		if c.Verb == "EHLO" && c.TLS {
			return action{Reply: "502 5.5.1 not here"}
		}
		return action{}
	}}
	inSession(t, server, smtpclient.Target{Policy: tlspolicy.Policy{Level: tlspolicy.Encrypt}}, func(t *testing.T, s *heldSession) {
		for _, keyword := range []string{"PIPELINING", "SIZE", "8BITMIME", "STARTTLS"} {
			if _, ok := s.Extension(keyword); ok {
				t.Errorf("%s was offered in plaintext and is still there", keyword)
			}
		}
		expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
		if got := server.Messages()[0].FromArgs; got != "" {
			t.Errorf("MAIL has %q", got)
		}
	})
}

// noDeadlines is a connection that cannot be given a deadline.
type noDeadlines struct{ net.Conn }

func (noDeadlines) SetDeadline(time.Time) error { return errors.New("no deadlines here") }

// A connection without deadlines is closed by a cancel.
func TestCancelWithoutDeadlines(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Script: silentAt("MAIL")})
		w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := w.net.DialContext(ctx, network, addr)
			return noDeadlines{conn}, err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred mail 4.4.2")
		if took := time.Since(start); took != 10*time.Second || !errors.Is(report.Err(), context.DeadlineExceeded) {
			t.Errorf("took %v: %v", took, report.Err())
		}
	})
}

// A cancel that comes between two waits is not undone by the deadline of the
// second.
func TestCancelBetweenStages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Extensions: lockstep, Script: silentAt("RCPT")})
		ctx, cancel := context.WithCancel(t.Context())
		ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
			if e.Stage == smtpclient.StageMail {
				cancel()
				synctest.Wait()
			}
		}})
		start := time.Now()
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred rcpt 4.4.2")
		if took := time.Since(start); took != 0 {
			t.Errorf("returned %v after the cancel", took)
		}
	})
}
