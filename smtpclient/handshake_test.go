package smtpclient_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// C17: a server that closes the connection in place of refusing EHLO is asked
// once more, with HELO, on a connection that does not count.
func TestDroppedAtEHLO(t *testing.T) {
	for name, fault := range map[string]smtptest.Fault{"FIN": smtptest.Drop, "RST": smtptest.Reset} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Script: on("EHLO", action{Fault: fault})})
			w.client.Limits = smtpclient.Limits{Addresses: 1, Sessions: 1}
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
			if got := clientLines(mx, 1)[0]; mx.Sessions() != 2 || got != "HELO client.example.org" {
				t.Errorf("%s: %d sessions, the second began with %q", name, mx.Sessions(), got)
			}
		})
	}
	for name, tt := range map[string]struct {
		script   func(smtptest.Command) action
		level    tlspolicy.Level
		sessions int
	}{
		"dropped at HELO, too": {func(c smtptest.Command) action {
			if c.Verb == "EHLO" || c.Verb == "HELO" {
				return action{Fault: smtptest.Drop}
			}
			return action{}
		}, tlspolicy.May, 2},
		"TLS is required": {on("EHLO", action{Fault: smtptest.Drop}), tlspolicy.Encrypt, 1},
		"silent":          {on("EHLO", action{Fault: smtptest.Stall}), tlspolicy.May, 1},
		"garbage":         {on("EHLO", action{Fault: smtptest.Garbage}), tlspolicy.May, 1},
		"421":             {on("EHLO", action{Reply: "421 4.3.2 bye"}), tlspolicy.May, 1},
		"dropped inside TLS": {func(c smtptest.Command) action {
			if c.Verb == "EHLO" && c.TLS {
				return action{Fault: smtptest.Drop}
			}
			return action{}
		}, tlspolicy.May, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				mx := w.mx(10, &smtptest.Server{Script: tt.script})
				w.client.TLS = tt.level
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				if o := report.Outcomes[0]; o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageHello {
					t.Errorf("%v", o.Err())
				}
				if got := mx.Sessions(); got != tt.sessions {
					t.Errorf("%d sessions, want %d", got, tt.sessions)
				}
			})
		})
	}
}

// On port 465, and where the policy says so, TLS comes before the greeting, and
// there is no way back to plaintext (C10, C11).
func TestImplicitTLS(t *testing.T) {
	for name, setUp := range map[string]func(w *world) string{
		"port 465": func(w *world) string { return "465" },
		"policy": func(w *world) string {
			w.client.TLS = tlspolicy.Policy{Level: tlspolicy.May, Implicit: true}
			return "2525"
		},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			port := setUp(w)
			server := &smtptest.Server{ImplicitTLS: true}
			w.net["192.0.2.10:"+port] = server
			w.client.NextHops = []string{"[192.0.2.10]:" + port}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if s := report.Outcomes[0].TLS; s.Wanted != tlspolicy.Encrypt || s.Reached != tlspolicy.Encrypt || server.Messages()[0].TLS == nil {
				t.Errorf("%s: TLS %+v", name, s)
			}
		})
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			port := setUp(w)
			plain := &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16}}
			w.net["192.0.2.10:"+port] = plain
			w.client.NextHops = []string{"[192.0.2.10]:" + port}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net deferred starttls 4.7.5")
			if plain.Sessions() != 1 {
				t.Errorf("%s: %d sessions", name, plain.Sessions())
			}
		})
	}
}

// The commands that stand by themselves, and what counts as yes.
func TestSessionCommands(t *testing.T) {
	server := &smtptest.Server{
		Extensions: []string{"PIPELINING", "ETRN", "XCLIENT NAME ADDR PORT HELO", "XFORWARD NAME"},
		Script: func(c smtptest.Command) action {
			switch {
			case c.Verb == "EXPN":
				return action{Reply: "250-ann@example.net\n250 bob@example.net"}
			case c.Verb == "VRFY" && c.Args == "nobody":
				return action{Reply: "550 5.1.1 no such user"}
			case c.Verb == "ETRN" && c.Args == "#odd":
				return action{Reply: "459 4.3.0 not now"}
			}
			return action{}
		},
	}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		ctx := t.Context()
		for name, call := range map[string]func() (smtpclient.Reply, error){
			"Help":       func() (smtpclient.Reply, error) { return s.Help(ctx, "") },
			"Help topic": func() (smtpclient.Reply, error) { return s.Help(ctx, "MAIL") },
			"Vrfy":       func() (smtpclient.Reply, error) { return s.Vrfy(ctx, "bob") },
			"Etrn":       func() (smtpclient.Reply, error) { return s.Etrn(ctx, "@example.org") },
		} {
			if reply, err := call(); err != nil || reply.Code/100 != 2 {
				t.Errorf("%s: %v, %v", name, reply, err)
			}
		}
		if reply, err := s.Expn(ctx, "staff"); err != nil || len(reply.Lines) != 2 || reply.Lines[1] != "bob@example.net" {
			t.Errorf("Expn: %v, %v", reply, err)
		}
		var e *smtpclient.Error
		if reply, err := s.Vrfy(ctx, "nobody"); !errors.As(err, &e) || reply.Code != 550 || e.Reply.Code != 550 {
			t.Errorf("Vrfy nobody: %v, %v", reply, err)
		}
		if reply, err := s.Etrn(ctx, "#odd"); !errors.As(err, &e) || reply.Code != 459 || !e.Temporary() {
			t.Errorf("Etrn: %v, %v", reply, err)
		}
		for name, call := range map[string]func() (smtpclient.Reply, error){
			"CRLF":        func() (smtpclient.Reply, error) { return s.Vrfy(ctx, "a\r\nQUIT") },
			"no argument": func() (smtpclient.Reply, error) { return s.Expn(ctx, "") },
			"blank":       func() (smtpclient.Reply, error) { return s.Etrn(ctx, " ") },
			"too long":    func() (smtpclient.Reply, error) { return s.Help(ctx, strings.Repeat("x", 501)) },
			"XCLIENT":     func() (smtpclient.Reply, error) { return s.Xclient(ctx, smtpclient.ClientInfo{Name: "a\nb"}) },
			"nothing the server knows": func() (smtpclient.Reply, error) {
				return s.Xclient(ctx, smtpclient.ClientInfo{Login: "ann"})
			},
		} {
			if _, err := call(); !errors.As(err, &e) || e.Stage != smtpclient.StageInput || e.Temporary() {
				t.Errorf("%s: %v, want an input error", name, err)
			}
		}
		info := smtpclient.ClientInfo{Name: "a.example", Helo: "h.example", Login: "ann", Addr: netip.MustParseAddrPort("192.0.2.7:4711")}
		if reply, err := s.Xclient(ctx, info); err != nil || reply.Code != 220 {
			t.Errorf("Xclient: %v, %v", reply, err)
		}
		lines := clientLines(server, 0)
		if got, want := strings.Join(lines[len(lines)-2:], "|"), "XCLIENT NAME=a.example ADDR=192.0.2.7 PORT=4711 HELO=h.example|EHLO client.example.org"; got != want {
			t.Errorf("the client said %q, want %q", got, want)
		}
		expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
	})
}
