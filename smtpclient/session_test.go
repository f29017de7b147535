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

// inSession dials a server in a bubble and gives the session.
func inSession(t *testing.T, server *smtptest.Server, target smtpclient.Target, test func(t *testing.T, s *heldSession), quirks ...smtpclient.Quirks) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer server.Close()
		target.Addr = "192.0.2.10:25"
		dialer := &smtpclient.Dialer{LocalName: "client.example.org", DialContext: server.DialContext}
		if len(quirks) > 0 {
			dialer.Quirks = withQuirks(quirks[0])
		}
		s, err := dialer.Dial(overheard.Context(t.Context()), target)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		test(t, hold(t, s, server))
		time.Sleep(time.Second) // what is on the wire arrives, in fake time
		for _, v := range server.Violations() {
			t.Errorf("the client broke the rules: %s", v)
		}
	})
}

func send(t *testing.T, s *heldSession, to ...string) smtpclient.Report {
	t.Helper()
	report, err := s.Send(overheard.Context(t.Context()), fromAnn(to...), smtpclient.Bytes([]byte(hello)))
	overheard.Report(report, err)
	checkError(t, report, err)
	return report
}

func TestSession(t *testing.T) {
	server := &smtptest.Server{}
	target := smtpclient.Target{Host: "mx.example.net", Policy: tlspolicy.Policy{Level: tlspolicy.Encrypt}}
	inSession(t, server, target, func(t *testing.T, s *heldSession) {
		if size, ok := s.Extension("size"); !ok || size != "10485760" {
			t.Errorf("Extension(size) = %q, %v", size, ok)
		}
		if _, ok := s.Extension("XYZZY"); ok {
			t.Error("an extension that was not offered")
		}
		if _, ok := s.Extension("STARTTLS"); ok {
			t.Error("what was offered in plaintext is still there")
		}
		if h := s.Hello(); h.Code != 250 || !strings.Contains(h.Lines[0], "mx.example.net") {
			t.Errorf("Hello() = %v", h)
		}
		if cs := s.ConnectionState(); cs == nil || cs.ServerName != "mx.example.net" {
			t.Errorf("ConnectionState() = %+v", cs)
		}
		if p := s.Peer(); p.Host != "mx.example.net" || p.Addr != "192.0.2.10:25" || p.TLS.Reached != tlspolicy.Encrypt || p.Reused != 0 {
			t.Errorf("Peer() = %+v", p)
		}
		expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
		if reply, err := s.Noop(t.Context()); err != nil || reply.Code != 250 {
			t.Errorf("Noop() = %v, %v", reply, err)
		}
		if reply, err := s.Rset(t.Context()); err != nil || reply.Code != 250 {
			t.Errorf("Rset() = %v, %v", reply, err)
		}
		report := send(t, s, "carol@example.net", "dave@example.net")
		if report.Outcomes[0].Reused != 1 {
			t.Errorf("Reused = %d, want 1", report.Outcomes[0].Reused)
		}
		if times := report.Outcomes[0].Times; times[smtpclient.StageConnect] != 0 || times[smtpclient.StageGreeting] != 0 {
			t.Errorf("the second transaction has the times of the first: %v", times)
		}
		if err := s.Quit(t.Context()); err != nil {
			t.Errorf("Quit() = %v", err)
		}
		if _, err := s.Noop(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Quit: %v, want %v", err, net.ErrClosed)
		}
		if n := len(server.Messages()); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	})
}

// After a refusal the session goes on; what may be left of the transaction is
// reset at the head of the next one.
func TestSessionAfterRefusal(t *testing.T) {
	for name, script := range map[string]func(smtptest.Command) action{
		"MAIL":    on("MAIL", action{Reply: "451 4.7.1 wait"}),
		"RCPT":    onRcpt("bob", "550 5.1.1 no"),
		"DATA":    on("DATA", action{Reply: "451 4.3.0 wait"}),
		"content": on(smtptest.EndOfData, action{Reply: "451 4.3.0 wait"}),
	} {
		for mode, extensions := range map[string][]string{"pipelined": pipelined, "lockstep": lockstep} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				refuse := true
				server := &smtptest.Server{Extensions: extensions, Script: func(c smtptest.Command) action {
					if refuse {
						return script(c)
					}
					return action{}
				}}
				inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
					if first := send(t, s, "bob@example.net"); first.Outcomes[0].Status == smtpclient.Delivered {
						t.Fatalf("not refused: %v", first.Outcomes[0])
					}
					refuse = false
					expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
					lines := strings.Join(clientLines(server, 0), "\n")
					// A final reply to the content ends the transaction.
					if got, want := strings.Count(lines, "RSET"), 1; (name != "content") != (got == want) {
						t.Errorf("%d RSET in %q", got, lines)
					}
				})
			})
		}
	}
}

// A server that cannot RSET may still hold the other transaction.
func TestSessionRSETRefused(t *testing.T) {
	server := &smtptest.Server{Extensions: lockstep, Script: func(c smtptest.Command) action {
		switch c.Verb {
		case "RCPT":
			return action{Reply: "550 5.1.1 no"}
		case "RSET":
			return action{Reply: "500 5.5.1 what"}
		}
		return action{}
	}}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		send(t, s, "bob@example.net")
		expect(t, send(t, s, "bob@example.net"), "bob@example.net deferred command 4.5.1")
		if _, err := s.Noop(t.Context()); err == nil {
			t.Error("the session goes on")
		}
	})
}

// The first error that breaks a session is what every method returns from then
// on (invariant 7).
func TestBrokenSession(t *testing.T) {
	server := &smtptest.Server{Script: on(smtptest.EndOfData, action{Fault: smtptest.Drop})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		first := send(t, s, "bob@example.net")
		expect(t, first, "bob@example.net unknown data-done 4.4.2")
		expect(t, send(t, s, "carol@example.net"), "carol@example.net deferred data-done 4.4.2")
		for name, err := range map[string]error{"Noop": noError(s.Noop(t.Context())), "Rset": noError(s.Rset(t.Context())), "Quit": s.Quit(t.Context())} {
			var e *smtpclient.Error
			if !errors.As(err, &e) || e.Stage != smtpclient.StageDataDone {
				t.Errorf("%s: %v, want the first error", name, err)
			}
		}
		if n := len(server.Messages()); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
}

func noError(_ smtpclient.Reply, err error) error { return err }

// A refusal of NOOP is an error with the reply, and breaks nothing.
func TestSessionCommandRefused(t *testing.T) {
	server := &smtptest.Server{Script: on("NOOP", action{Reply: "502 5.5.1 not here"})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		reply, err := s.Noop(t.Context())
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Reply.Code != 502 || reply.Code != 502 || e.Stage != smtpclient.StageCommand {
			t.Errorf("Noop() = %v, %v", reply, err)
		}
		expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
	})
}

// O2: a 421 that came while the session was idle is not the reply to MAIL.
func TestIdleSession421(t *testing.T) {
	server := &smtptest.Server{Script: on("NOOP", action{Raw: []byte("250 ok\r\n421 4.4.2 idle for too long\r\n"), Fault: smtptest.DropAfter})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		if _, err := s.Noop(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, send(t, s, "bob@example.net"), "bob@example.net deferred mail 4.4.2")
		if n := len(server.Messages()); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

// A session serves one caller at a time, and says so to the second.
func TestBusySession(t *testing.T) {
	server := &smtptest.Server{Script: on("NOOP", action{Delay: 10 * time.Second})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		first := make(chan error)
		go func() { first <- noError(s.Noop(t.Context())) }()
		synctest.Wait()
		report := send(t, s, "bob@example.net")
		expect(t, report, "bob@example.net deferred input 4.3.5")
		if err := noError(s.Noop(t.Context())); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second caller gets %v", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the first caller gets %v", err)
		}
		expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
	})
}

// A cancel breaks the session; one that comes after a call does not.
func TestCancelledSession(t *testing.T) {
	server := &smtptest.Server{Script: on("NOOP", action{Delay: time.Hour})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		ctx, cancel := context.WithCancel(t.Context())
		report, err := s.Send(ctx, fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello)))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		expect(t, send(t, s, "carol@example.net"), "carol@example.net delivered data-done 2.0.0")
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Noop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Noop: %v", err)
		}
		if _, err := s.Noop(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after that: %v, want the first error", err)
		}
	})
}

// Close cuts a call in progress, from another goroutine.
func TestCloseSession(t *testing.T) {
	server := &smtptest.Server{Script: on("NOOP", action{Delay: time.Hour})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		first := make(chan error)
		go func() { first <- noError(s.Noop(t.Context())) }()
		synctest.Wait()
		s.Close()
		if err := <-first; err == nil {
			t.Error("the call goes on after Close")
		}
	})
}

// Dial fails with the stage, and leaves nothing open.
func TestDialFails(t *testing.T) {
	for verb, stage := range map[string]smtpclient.Stage{smtptest.Connect: smtpclient.StageGreeting, "EHLO": smtpclient.StageHello} {
		synctest.Test(t, func(t *testing.T) {
			server := &smtptest.Server{Script: on(verb, action{Reply: "450 4.3.2 wait"})}
			defer server.Close()
			s, err := (&smtpclient.Dialer{DialContext: server.DialContext}).Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
			var e *smtpclient.Error
			if s != nil || !errors.As(err, &e) || e.Stage != stage || e.Reply.Code != 450 || !e.Temporary() || e.Timeout() {
				t.Errorf("%s: %v, %v", verb, s, err)
			}
			time.Sleep(time.Second) // QUIT arrives, in fake time
			if lines := clientLines(server, 0); lines[len(lines)-1] != "QUIT" {
				t.Errorf("%s: the client said %q", verb, lines)
			}
		})
	}
	s, err := (&smtpclient.Dialer{LocalName: "a b"}).Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
	if s != nil || err == nil || !strings.Contains(err.Error(), "Dialer.LocalName") {
		t.Errorf("bad name: %v, %v", s, err)
	}
	nothing := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	if _, err := (&smtpclient.Dialer{DialContext: nothing}).Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"}); err == nil || !strings.Contains(err.Error(), "DialContext") { // H5
		t.Errorf("no connection and no error: %v", err)
	}
	mad := func(context.Context, string, string) (net.Conn, error) { panic("dialer gone mad") }
	if _, err := (&smtpclient.Dialer{DialContext: mad}).Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"}); err == nil || !strings.Contains(err.Error(), "gone mad") { // H1
		t.Errorf("panic: %v", err)
	}
}

// Our name, where none is configured, is the host's if it is a full one, else the
// connection's address.
func TestDefaultLocalName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{}
		defer server.Close()
		s, err := (&smtpclient.Dialer{DialContext: server.DialContext}).Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, name, _ := strings.Cut(clientLines(server, 0)[0], "EHLO ")
		if !strings.HasPrefix(name, "[") && !strings.Contains(name, ".") {
			t.Errorf("EHLO %s", name)
		}
	})
}

// Every session over a unix socket and over TCP of this machine works alike.
func TestRealSockets(t *testing.T) {
	server := &smtptest.Server{}
	defer server.Close()
	books := booksOf(t, server)
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"} {
		at, err := server.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		target := at.String()
		if network == "unix" {
			target = "unix:" + target
		}
		s, err := (&smtpclient.Dialer{}).Dial(t.Context(), smtpclient.Target{Addr: target})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, send(t, &heldSession{s, books}, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
		if err := s.Quit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
