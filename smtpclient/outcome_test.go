package smtpclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

type action = smtptest.Action

// pipelined and lockstep are servers with and without PIPELINING, in plaintext.
var (
	pipelined = []string{"PIPELINING", "8BITMIME", "SIZE 10485760"}
	lockstep  = []string{"8BITMIME", "SIZE 10485760"}
)

// TestOutcomes has one server do one thing wrong, and a second one that would
// take everything. Names begin with the fault's number in the catalogue.
func TestOutcomes(t *testing.T) {
	stages := func(list ...string) []string { return list }
	tests := []struct {
		name string
		verb string // where
		act  action
		// want is the outcome of bob and carol with that server alone.
		want []string
		// next tells that the second server gets what the first did not take.
		next bool
	}{
		{"C1 closed without a byte", smtptest.Connect, action{Fault: smtptest.Drop}, stages("deferred greeting 4.4.2"), true},
		{"C2 silent greeting", smtptest.Connect, action{Fault: smtptest.Stall}, stages("deferred greeting 4.4.2"), true},
		{"C5 421 greeting", smtptest.Connect, action{Reply: "421 4.3.2 busy"}, stages("deferred greeting 4.3.2"), true},
		{"C7 450 greeting", smtptest.Connect, action{Reply: "450 wait"}, stages("deferred greeting 4.0.0"), true},
		{"C6 554 greeting is not about the message", smtptest.Connect, action{Reply: "554 5.7.1 go away"}, stages("deferred greeting 4.7.1"), true},
		{"C8 250 greeting", smtptest.Connect, action{Reply: "250 hi"}, stages("deferred greeting 4.5.0"), true},
		{"C8 354 greeting", smtptest.Connect, action{Reply: "354 hi"}, stages("deferred greeting 4.5.0"), true},
		{"C8 2200 greeting", smtptest.Connect, action{Raw: []byte("2200 hi\r\n")}, stages("deferred greeting 4.5.0"), true},
		{"C9 HTTP banner", smtptest.Connect, action{Raw: []byte("HTTP/1.1 400 Bad Request\r\n")}, stages("deferred greeting 4.5.0"), true},
		{"C13 more than a greeting", smtptest.Connect, action{Reply: "220 hi", Fault: smtptest.Twice}, stages("deferred hello 4.5.0"), true},
		{"C15 421 to EHLO", "EHLO", action{Reply: "421 4.3.2 bye"}, stages("deferred hello 4.3.2"), true},
		{"C16 450 to EHLO", "EHLO", action{Reply: "450 4.1.0 wait"}, stages("deferred hello 4.1.0"), true},
		{"C27 354 to EHLO", "EHLO", action{Reply: "354 what"}, stages("deferred hello 4.5.0"), true},
		{"C27 220 to EHLO", "EHLO", action{Reply: "220 what"}, stages("deferred hello 4.5.0"), true},
		{"R3 codes of EHLO differ", "EHLO", action{Raw: []byte("250-mx\r\n550 no\r\n")}, stages("deferred hello 4.5.0"), true},
		{"R14 blank line", "EHLO", action{Raw: []byte("\r\n250 mx\r\n")}, stages("deferred hello 4.5.0"), true},

		{"E16 550 to MAIL", "MAIL", action{Reply: "550 5.7.1 no"}, stages("failed mail 5.7.1"), false},
		{"E17 451 to MAIL", "MAIL", action{Reply: "451 4.7.1 wait"}, stages("deferred mail 4.7.1"), true},
		{"E18 421 to MAIL", "MAIL", action{Reply: "421 4.7.0 bye"}, stages("deferred mail 4.7.0"), true},
		{"E19 452 to MAIL", "MAIL", action{Reply: "452 4.3.1 full"}, stages("deferred mail 4.3.1"), true},
		{"E19 552 to MAIL", "MAIL", action{Reply: "552 5.3.4 too big"}, stages("failed mail 5.3.4"), false},
		{"E21 550 to MAIL, then closed", "MAIL", action{Reply: "550 5.7.1 listed", Fault: smtptest.DropAfter}, stages("failed mail 5.7.1"), false},
		{"R13 235 to MAIL", "MAIL", action{Reply: "235 ok"}, stages("deferred mail 4.5.0"), true},
		{"R10 garbage to MAIL", "MAIL", action{Fault: smtptest.Garbage}, stages("deferred mail 4.5.0"), true},
		{"lost at MAIL", "MAIL", action{Fault: smtptest.Drop}, stages("deferred mail 4.4.2"), true},
		{"reset at MAIL", "MAIL", action{Fault: smtptest.Reset}, stages("deferred mail 4.4.2"), true},

		{"E23 550 to RCPT", "RCPT", action{Reply: "550 5.1.1 nobody"}, stages("failed rcpt 5.1.1"), false},
		{"E24 400 to RCPT", "RCPT", action{Reply: "400 4.2.1 later"}, stages("deferred rcpt 4.2.1"), true},
		{"E23 500 to RCPT", "RCPT", action{Reply: "500 5.5.1 what"}, stages("failed rcpt 5.5.1"), false},
		{"E24 450 to RCPT", "RCPT", action{Reply: "450 4.2.1 wait"}, stages("deferred rcpt 4.2.1"), true},
		{"E28 251 to RCPT", "RCPT", action{Reply: "251 ok"}, stages("delivered data-done 2.0.0"), false},
		{"E28 252 to RCPT", "RCPT", action{Reply: "252 ok"}, stages("delivered data-done 2.0.0"), false},
		{"P18 354 to RCPT", "RCPT", action{Reply: "354 go"}, stages("deferred rcpt 4.5.0"), true},
		{"P14 554 to RCPT, then closed", "RCPT", action{Reply: "554 5.7.1 listed", Fault: smtptest.DropAfter}, stages("failed rcpt 5.7.1", "deferred rcpt 4.4.2"), true},
		{"E27 421 to RCPT", "RCPT", action{Reply: "421 4.7.0 bye"}, stages("deferred rcpt 4.7.0"), true},
		{"lost at RCPT", "RCPT", action{Fault: smtptest.Drop}, stages("deferred rcpt 4.4.2"), true},

		{"B1 250 to DATA", "DATA", action{Reply: "250 ok"}, stages("deferred data-init 4.5.0"), true},
		{"P8 451 to DATA", "DATA", action{Reply: "451 4.3.0 wait"}, stages("deferred data-init 4.3.0"), true},
		{"503 to DATA", "DATA", action{Reply: "503 5.5.1 what"}, stages("failed data-init 5.5.1"), false},
		{"421 to DATA", "DATA", action{Reply: "421 4.3.2 bye"}, stages("deferred data-init 4.3.2"), true},
		{"B2 lost at DATA", "DATA", action{Fault: smtptest.Drop}, stages("deferred data-init 4.4.2"), true},

		{"B5 lost after the dot", smtptest.EndOfData, action{Fault: smtptest.Drop}, stages("unknown data-done 4.4.2"), false},
		{"B5 reset after the dot", smtptest.EndOfData, action{Fault: smtptest.Reset}, stages("unknown data-done 4.4.2"), false},
		{"B6 cut within the reply", smtptest.EndOfData, action{Raw: []byte("250 o"), Fault: smtptest.DropAfter}, stages("unknown data-done 4.4.2"), false},
		{"B7 cut after a line", smtptest.EndOfData, action{Raw: []byte("250-queued\r\n"), Fault: smtptest.DropAfter}, stages("unknown data-done 4.4.2"), false},
		{"B8 no reply to the dot", smtptest.EndOfData, action{Fault: smtptest.Stall}, stages("unknown data-done 4.4.2"), false},
		{"B10 451 to the dot", smtptest.EndOfData, action{Reply: "451 4.3.0 wait"}, stages("deferred data-done 4.3.0"), true},
		{"B11 554 to the dot", smtptest.EndOfData, action{Reply: "554 5.7.1 spam"}, stages("failed data-done 5.7.1"), false},
		{"B12 421 to the dot", smtptest.EndOfData, action{Reply: "421 4.3.2 bye"}, stages("deferred data-done 4.3.2"), true},
		{"B13 250 to the dot, then closed", smtptest.EndOfData, action{Reply: "250 2.6.0 ok", Fault: smtptest.DropAfter}, stages("delivered data-done 2.6.0"), false},
		{"R12 259 to the dot", smtptest.EndOfData, action{Reply: "259 ok"}, stages("delivered data-done 2.0.0"), false},
		{"250 with a bare LF to the dot", smtptest.EndOfData, action{Raw: []byte("250 ok\n")}, stages("delivered data-done 2.0.0"), false},
		{"R18 250 5.1.1 to the dot", smtptest.EndOfData, action{Reply: "250 5.1.1 ok"}, stages("delivered data-done 2.0.0"), false},
		{"R13 221 to the dot", smtptest.EndOfData, action{Reply: "221 bye"}, stages("unknown data-done 4.5.0"), false},
		{"R13 220 to the dot", smtptest.EndOfData, action{Reply: "220 hi"}, stages("unknown data-done 4.5.0"), false},
		{"R13 354 to the dot", smtptest.EndOfData, action{Reply: "354 go"}, stages("unknown data-done 4.5.0"), false},
		{"R3 250 and 550 to the dot", smtptest.EndOfData, action{Raw: []byte("250-a\r\n550 b\r\n")}, stages("unknown data-done 4.5.0"), false},
		{"R3 550 and 250 to the dot", smtptest.EndOfData, action{Raw: []byte("550-a\r\n250 b\r\n")}, stages("unknown data-done 4.5.0"), false},
		{"R14 garbage before the reply to the dot", smtptest.EndOfData, action{Raw: []byte("what?\r\n250 ok\r\n")}, stages("unknown data-done 4.5.0"), false},
		{"R16 two replies to the dot", smtptest.EndOfData, action{Reply: "250 ok", Fault: smtptest.Twice}, stages("delivered data-done 2.0.0"), false},
		{"B39 garbage to QUIT", "QUIT", action{Fault: smtptest.Garbage}, stages("delivered data-done 2.0.0"), false},
	}
	for _, tt := range tests {
		for mode, extensions := range map[string][]string{"pipelined": pipelined, "lockstep": lockstep} {
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = mode == "lockstep" && tt.act.Fault == smtptest.Twice
					w.mx(10, &smtptest.Server{Extensions: extensions, Script: on(tt.verb, tt.act)})
					report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
					expect(t, report, "bob@example.net "+tt.want[0], "carol@example.net "+tt.want[len(tt.want)-1])
				})
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = mode == "lockstep" && tt.act.Fault == smtptest.Twice
					w.mx(10, &smtptest.Server{Extensions: extensions, Script: on(tt.verb, tt.act)})
					mx20 := w.mx(20, &smtptest.Server{Extensions: extensions})
					w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
					if got := len(mx20.Messages()) > 0; got != tt.next {
						t.Errorf("the next host got the message: %v, want %v", got, tt.next)
					}
				})
			})
		}
	}
}

// A server that wants no EHLO is spoken to with HELO, and offers nothing.
func TestHELOFallback(t *testing.T) {
	for _, reply := range []string{"500 5.5.1 what", "502 no", "550 5.5.2 unknown command"} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Script: on("EHLO", action{Reply: reply})})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if got := clientLines(mx, 0); got[0] != "EHLO client.example.org" || got[1] != "HELO client.example.org" || got[2] != "MAIL FROM:<ann@example.org>" {
				t.Errorf("the client said %q", got)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // C18
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == "EHLO" || c.Verb == "HELO" {
				return action{Reply: "501 5.7.1 your name is refused"}
			}
			return action{}
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred hello 4.7.1")
		if got := report.Outcomes[0].Reply.Code; got != 501 {
			t.Errorf("reply %d, want the server's 501", got)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return smtpclient.Quirks{HELO: true} }
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if got := clientLines(mx, 0)[0]; got != "HELO client.example.org" {
			t.Errorf("the client began with %q", got)
		}
	})
}

// clientLines is what the client wrote in a session, line by line.
func clientLines(s *smtptest.Server, session int) []string {
	var text strings.Builder
	for _, c := range s.Transcript(session) {
		if c.FromClient {
			text.Write(c.Data)
		}
	}
	return strings.Split(strings.TrimSuffix(text.String(), "\r\n"), "\r\n")
}

// clientFlights is how often the client wrote between two reads.
func clientFlights(s *smtptest.Server, session int) int {
	flights, fromClient := 0, false
	for _, c := range s.Transcript(session) {
		if c.FromClient && !fromClient {
			flights++
		}
		fromClient = c.FromClient
	}
	return flights
}

// With PIPELINING the envelope is one flight, and QUIT goes with the dot.
func TestPipelining(t *testing.T) {
	for mode, want := range map[string]struct {
		extensions []string
		flights    int
	}{
		"pipelined": {pipelined, 3}, // EHLO; MAIL RCPT RCPT DATA; content . QUIT
		"lockstep":  {lockstep, 7},  // EHLO; MAIL; RCPT; RCPT; DATA; content .; QUIT
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: want.extensions, Wire: smtptest.Wire{Window: 1 << 16, Delay: 10 * time.Millisecond}})
			start := time.Now()
			report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
			took := time.Since(start)
			expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0")
			w.settle()
			if got := clientFlights(mx, 0); got != want.flights {
				t.Errorf("%s: %d flights, want %d", mode, got, want.flights)
			}
			if report.Duration != took {
				t.Errorf("%s: Duration %v, want %v", mode, report.Duration, took)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.Dialer.Quirks = func(target smtpclient.Target) smtpclient.Quirks {
			if target.Host != "mx10.example.net" || target.Addr != "192.0.2.10:25" {
				t.Errorf("Quirks was asked about %+v", target)
			}
			return smtpclient.Quirks{Discard: []string{"pipelining", "StartTLS"}}
		}
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0")
		w.settle()
		if got := clientFlights(mx, 0); got != 7 {
			t.Errorf("PIPELINING discarded: %d flights, want 7", got)
		}
		if mx.Messages()[0].TLS != nil {
			t.Error("STARTTLS was discarded and used")
		}
	})
}

// Groups of at most 4 KiB cannot block, even where nothing is buffered.
func TestManyRecipientsWithoutBuffers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: pipelined})
		w.client.Limits.Recipients = -1
		var to []string
		for i := range 2000 {
			to = append(to, "user-with-a-longer-name-"+strings.Repeat("x", i%30)+string(rune('a'+i%26))+itoa(i)+"@example.net")
		}
		report := w.deliver(t.Context(), fromAnn(to...), hello)
		for _, o := range report.Outcomes {
			if o.Status != smtpclient.Delivered {
				t.Fatalf("%s: %v", o.Address, o.Err())
			}
		}
		if got := len(mx.Messages()); got != 1 {
			t.Errorf("%d transactions, want 1", got)
		}
		for _, c := range mx.Transcript(0) {
			if c.FromClient && len(c.Data) > 4096 {
				t.Errorf("a group of %d bytes", len(c.Data))
			}
		}
	})
}

// P5, P6: nobody was accepted, and the server answers DATA as it likes.
func TestNobodyAccepted(t *testing.T) {
	for reply, dots := range map[string]int{"354 go": 1, "503 5.5.1 no recipients": 0, "451 4.5.1 later": 0} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: pipelined, Script: func(c smtptest.Command) action {
				switch c.Verb {
				case "RCPT":
					return action{Reply: "550 5.1.1 nobody"}
				case "DATA":
					return action{Reply: reply}
				}
				return action{}
			}})
			report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
			expect(t, report, "bob@example.net failed rcpt 5.1.1", "carol@example.net failed rcpt 5.1.1")
			w.settle()
			lines := clientLines(mx, 0)
			if got := strings.Count(strings.Join(lines, "\n")+"\n", "\n.\n"); got != dots {
				t.Errorf("DATA answered %q: %d lone dots, want %d: %q", reply, got, dots, lines)
			}
			if lines[len(lines)-1] != "QUIT" {
				t.Errorf("DATA answered %q: the client ended with %q, want QUIT", reply, lines[len(lines)-1])
			}
		})
	}
}

// The limits of a call count addresses that were dialled, and sessions that
// reached MAIL.
func TestLimits(t *testing.T) {
	sessions := func(limits smtpclient.Limits, script func(smtptest.Command) action) (dialled, mails int) {
		inWorld(t, func(t *testing.T, w *world) {
			w.client.Limits = limits
			for i := 1; i <= 8; i++ {
				w.mx(10*i, &smtptest.Server{Script: script})
			}
			w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			for _, s := range w.net {
				dialled += s.Sessions()
				for i := range s.Sessions() {
					if strings.Contains(strings.Join(clientLines(s, i), "\n"), "MAIL") {
						mails++
					}
				}
			}
		})
		return dialled, mails
	}
	badGreeting := on(smtptest.Connect, action{Reply: "450 busy"})
	badMail := on("MAIL", action{Reply: "451 busy"})
	for _, tt := range []struct {
		name           string
		limits         smtpclient.Limits
		script         func(smtptest.Command) action
		dialled, mails int
	}{
		{"five addresses", smtpclient.Limits{}, badGreeting, 5, 0},
		{"two sessions", smtpclient.Limits{}, badMail, 2, 2},
		{"three addresses", smtpclient.Limits{Addresses: 3}, badGreeting, 3, 0},
		{"three sessions", smtpclient.Limits{Sessions: 3}, badMail, 3, 3},
		{"addresses bound sessions", smtpclient.Limits{Sessions: -1}, badMail, 5, 5},
		{"no limit", smtpclient.Limits{Addresses: -1, Sessions: -1}, badMail, 8, 8},
	} {
		if dialled, mails := sessions(tt.limits, tt.script); dialled != tt.dialled || mails != tt.mails {
			t.Errorf("%s: %d dialled, %d with MAIL, want %d and %d", tt.name, dialled, mails, tt.dialled, tt.mails)
		}
	}
}

// The ladder of level May, and what Encrypt makes of the same servers.
func TestSTARTTLSLadder(t *testing.T) {
	noTLS := []string{"PIPELINING"}
	tests := []struct {
		name         string
		extensions   []string // nil: with STARTTLS
		act          action   // of STARTTLS
		may, encrypt string
		connections  int // at May
		fallback     bool
	}{
		{"T1 not offered", noTLS, action{}, "delivered data-done 2.0.0", "deferred starttls 4.7.4", 1, false},
		{"offered", nil, action{}, "delivered data-done 2.0.0", "delivered data-done 2.0.0", 1, false},
		{"T5 454", nil, action{Reply: "454 4.7.0 not now"}, "delivered data-done 2.0.0", "deferred starttls 4.7.0", 1, true},
		{"T6 501", nil, action{Reply: "501 5.5.4 no"}, "delivered data-done 2.0.0", "deferred starttls 4.5.4", 1, true},
		{"T7 250", nil, action{Reply: "250 ok"}, "deferred starttls 4.5.0", "deferred starttls 4.5.0", 1, false},
		{"T7 354", nil, action{Reply: "354 ok"}, "deferred starttls 4.5.0", "deferred starttls 4.5.0", 1, false},
		{"421", nil, action{Reply: "421 4.3.2 bye"}, "deferred starttls 4.3.2", "deferred starttls 4.3.2", 1, false},
		{"no reply", nil, action{Fault: smtptest.Stall}, "deferred starttls 4.4.2", "deferred starttls 4.4.2", 1, false},
		{"closed", nil, action{Fault: smtptest.Drop}, "deferred starttls 4.4.2", "deferred starttls 4.4.2", 1, false},
		{"T8 injected line", nil, action{Raw: []byte("220 go\r\n250 injected\r\n")}, "deferred starttls 4.7.0", "deferred starttls 4.7.0", 1, false},
		{"T9 injected fragment", nil, action{Raw: []byte("220 go\r\n25")}, "deferred starttls 4.7.0", "deferred starttls 4.7.0", 1, false},
		{"T11 handshake cut", nil, action{Reply: "220 go", Fault: smtptest.DropAfter}, "delivered data-done 2.0.0", "deferred starttls 4.7.5", 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for level, want := range map[tlspolicy.Level]string{tlspolicy.May: tt.may, tlspolicy.Encrypt: tt.encrypt} {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = tt.act.Raw != nil
					mx := w.mx(10, &smtptest.Server{Extensions: tt.extensions, Script: on("STARTTLS", tt.act)})
					w.client.TLS = level
					report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
					expect(t, report, "bob@example.net "+want)
					o := report.Outcomes[0]
					if o.TLS.Wanted != level {
						t.Errorf("wanted %v, want %v", o.TLS.Wanted, level)
					}
					for _, m := range mx.Messages() { // invariant 6
						if m.TLS == nil && level == tlspolicy.Encrypt {
							t.Error("a message in plaintext at level encrypt")
						}
						if reached := o.TLS.Reached; (m.TLS == nil) != (reached == tlspolicy.None) {
							t.Errorf("reached %v, but the server saw TLS: %v", reached, m.TLS != nil)
						}
					}
					if level == tlspolicy.May {
						if got := mx.Sessions(); got != tt.connections {
							t.Errorf("%d connections, want %d", got, tt.connections)
						}
						if got := o.TLS.Fallback != nil; got != tt.fallback {
							t.Errorf("fallback is %v, want one: %v", o.TLS.Fallback, tt.fallback)
						}
					}
				})
			}
		})
	}
}

// T12: a handshake that stalls ends after its own timeout, then plaintext.
func TestSTARTTLSStalledHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		released := make(chan struct{})
		defer close(released)
		mx := w.mx(10, &smtptest.Server{TLSConfig: stalledTLS(released)})
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if took := time.Since(start); took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("took %v, want 5 minutes", took)
		}
		if mx.Sessions() != 2 || report.Outcomes[0].TLS.Fallback == nil {
			t.Errorf("%d sessions, fallback %v", mx.Sessions(), report.Outcomes[0].TLS.Fallback)
		}
	})
}

// At level None TLS is not asked for.
func TestLevelNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.TLS = tlspolicy.None
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if lines := strings.Join(clientLines(mx, 0), "\n"); strings.Contains(lines, "STARTTLS") {
			t.Errorf("the client asked for TLS: %s", lines)
		}
	})
}
