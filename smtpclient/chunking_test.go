package smtpclient_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// chunking is a server with CHUNKING, in plaintext.
var chunking = []string{"PIPELINING", "8BITMIME", "SIZE 10485760", "CHUNKING", "BINARYMIME"}

func withQuirks(q smtpclient.Quirks) func(smtpclient.Target) smtpclient.Quirks {
	return func(smtpclient.Target) smtpclient.Quirks { return q }
}

// Every message arrives by BDAT as by DATA, in one chunk or several, after the
// envelope or with it (K9, K13, K14).
func TestChunkingContentArrives(t *testing.T) {
	for name, text := range messages() {
		t.Run(name, func(t *testing.T) {
			for kind, q := range map[string]smtpclient.Quirks{
				"after":   {Chunking: smtpclient.ChunkingAfter},
				"several": {Chunking: smtpclient.ChunkingAfter, ChunkSize: 1},
				"grouped": {Chunking: smtpclient.ChunkingGrouped},
			} {
				for _, content := range []smtpclient.Content{smtpclient.Bytes([]byte(text)), reader{text, 4093, -1}} {
					for _, extensions := range [][]string{chunking, chunking[1:]} {
						inWorld(t, func(t *testing.T, w *world) {
							mx := w.mx(10, &smtptest.Server{Extensions: extensions})
							w.client.Dialer.Quirks = withQuirks(q)
							env := fromAnn("bob@example.net")
							report, err := w.client.Deliver(t.Context(), env, content)
							if err != nil {
								t.Fatalf("%s: %v", kind, err)
							}
							checkEnds(t, w.net, env, text, report)
							if !mx.Messages()[0].BDAT {
								t.Errorf("%s: not by BDAT", kind)
							}
						})
					}
				}
			}
		})
	}
}

// Binary content arrives byte for byte, and needs BINARYMIME and CHUNKING (B35).
func TestBinary(t *testing.T) {
	binary := "Subject: x\r\n\r\n.\n\r\x00\xff\r\n.\r\n" + strings.Repeat("\x00\r\n.", 30_000)
	for kind, q := range map[string]smtpclient.Quirks{"one": {}, "several": {ChunkSize: 20_000}, "grouped": {Chunking: smtpclient.ChunkingGrouped}} {
		for _, text := range []string{binary, binary[:30], ""} {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Extensions: chunking})
				w.client.Dialer.Quirks = withQuirks(q)
				env := fromAnn("bob@example.net")
				env.Body = smtpclient.BodyBinary
				report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(text)))
				checkError(t, report, err)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				m := mx.Messages()[0]
				if string(m.Data) != text || m.FromArgs != fmt.Sprintf("SIZE=%d BODY=BINARYMIME", len(text)) {
					t.Errorf("%s: %d bytes arrived of %d, MAIL has %q", kind, len(m.Data), len(text), m.FromArgs)
				}
			})
		}
	}
	for _, extensions := range [][]string{{"CHUNKING", "8BITMIME"}, {"BINARYMIME", "8BITMIME"}} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: extensions})
			env := fromAnn("bob@example.net")
			env.Body = smtpclient.BodyBinary
			report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(binary)))
			checkError(t, report, err)
			expect(t, report, "bob@example.net failed mail 5.6.3")
			w.settle()
			if lines := strings.Join(clientLines(mx, 0), " "); strings.Contains(lines, "MAIL") {
				t.Errorf("the client said %q", lines)
			}
		})
	}
}

// Without a reason, and where it is off, content goes by DATA.
func TestChunkingOff(t *testing.T) {
	for _, q := range []smtpclient.Quirks{{}, {Chunking: smtpclient.ChunkingOff}, {Chunking: smtpclient.ChunkingAfter, Discard: []string{"CHUNKING"}}} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: chunking})
			w.client.Dialer.Quirks = withQuirks(q)
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
			if mx.Messages()[0].BDAT {
				t.Errorf("%+v: by BDAT", q)
			}
		})
	}
}

// What goes in one flight: after the envelope, or with it.
func TestChunkingFlights(t *testing.T) {
	for mode, want := range map[smtpclient.Chunking]int{
		smtpclient.ChunkingAfter:   3, // EHLO; MAIL RCPT; BDAT and content QUIT
		smtpclient.ChunkingGrouped: 3, // EHLO; MAIL RCPT BDAT and content; QUIT
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: chunking, Wire: smtptest.Wire{Window: 1 << 17, Delay: time.Second}})
			w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: mode})
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), longMessage(10_000)), "bob@example.net delivered data-done 2.0.0")
			time.Sleep(time.Minute) // QUIT arrives, in fake time
			if got := clientFlights(mx, 0); got != want {
				t.Errorf("mode %d: %d flights, want %d", mode, got, want)
			}
		})
	}
}

// Outcomes where a chunk, or the envelope it came with, is refused or lost.
func TestChunkingOutcomes(t *testing.T) {
	const (
		one = iota
		several
		grouped
	)
	rcptNo := on("RCPT", action{Reply: "550 5.1.1 no"})
	tests := []struct {
		name   string
		script func(smtptest.Command) action
		want   [3]string // by mode
	}{
		{"accepted", nil, [3]string{"delivered data-done 2.0.0", "delivered data-done 2.0.0", "delivered data-done 2.0.0"}},
		{"K1 5yz to a chunk", on("BDAT", action{Reply: "552 5.3.4 too big"}), [3]string{"delivered data-done 2.0.0", "failed data-block 5.3.4", "delivered data-done 2.0.0"}},
		{"K2 4yz to a chunk", on("BDAT", action{Reply: "451 4.3.0 wait"}), [3]string{"delivered data-done 2.0.0", "deferred data-block 4.3.0", "delivered data-done 2.0.0"}},
		{"odd reply to a chunk", on("BDAT", action{Reply: "354 go"}), [3]string{"delivered data-done 2.0.0", "deferred data-block 4.5.0", "delivered data-done 2.0.0"}},
		{"lost at a chunk", on("BDAT", action{Fault: smtptest.Drop}), [3]string{"delivered data-done 2.0.0", "deferred data-block 4.4.2", "delivered data-done 2.0.0"}},
		{"5yz to the last", on(smtptest.EndOfData, action{Reply: "554 5.7.1 spam"}), [3]string{"failed data-done 5.7.1", "failed data-done 5.7.1", "failed data-done 5.7.1"}},
		{"4yz to the last", on(smtptest.EndOfData, action{Reply: "451 4.3.0 wait"}), [3]string{"deferred data-done 4.3.0", "deferred data-done 4.3.0", "deferred data-done 4.3.0"}},
		{"K5 lost after the last", on(smtptest.EndOfData, action{Fault: smtptest.Drop}), [3]string{"unknown data-done 4.4.2", "unknown data-done 4.4.2", "unknown data-done 4.4.2"}},
		{"MAIL refused", on("MAIL", action{Reply: "550 5.7.1 no"}), [3]string{"failed mail 5.7.1", "failed mail 5.7.1", "failed mail 5.7.1"}},
		{"K10 RCPT refused", rcptNo, [3]string{"failed rcpt 5.1.1", "failed rcpt 5.1.1", "failed rcpt 5.1.1"}},
		{"lost at RCPT", on("RCPT", action{Fault: smtptest.Drop}), [3]string{"deferred rcpt 4.4.2", "deferred rcpt 4.4.2", "unknown rcpt 4.4.2"}},
		{"421 to MAIL", on("MAIL", action{Reply: "421 4.3.2 bye"}), [3]string{"deferred mail 4.3.2", "deferred mail 4.3.2", "unknown mail 4.3.2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for mode, want := range tt.want {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = true // a grouped chunk goes on after a refusal
					mx := w.mx(10, &smtptest.Server{Extensions: chunking, Script: tt.script, Wire: smtptest.Wire{Window: 1 << 17}})
					mx20 := w.mx(20, &smtptest.Server{Extensions: chunking})
					w.client.Limits.Addresses = 1
					q := smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}
					switch mode {
					case several:
						q.ChunkSize = 20_000
					case grouped:
						q.Chunking = smtpclient.ChunkingGrouped
					}
					w.client.Dialer.Quirks = withQuirks(q)
					message := longMessage(50_000)
					if mode == grouped {
						message = longMessage(10_000)
					}
					report := w.deliver(t.Context(), fromAnn("bob@example.net"), message)
					expect(t, report, "bob@example.net "+want)
					if mode == one && mx20.Sessions() != 0 || len(mx.Messages()) > 1 {
						t.Error("sent twice")
					}
				})
			}
		})
	}
}

// After a refused chunk the session goes on with RSET (RFC 3030, Section 2).
func TestSessionAfterRefusedChunk(t *testing.T) {
	for name, script := range map[string]func(smtptest.Command) action{
		"chunk": on("BDAT", action{Reply: "552 5.3.4 too big"}),
		"last":  on(smtptest.EndOfData, action{Reply: "554 5.7.1 spam"}),
	} {
		refuse := true
		server := &smtptest.Server{Extensions: chunking, Script: func(c smtptest.Command) action {
			if refuse {
				return script(c)
			}
			return action{}
		}}
		inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
			env := fromAnn("bob@example.net")
			env.Body = smtpclient.BodyBinary
			text := smtpclient.Bytes([]byte(longMessage(100_000)))
			if report, _ := s.Send(t.Context(), env, text); report.Outcomes[0].Status != smtpclient.Failed {
				t.Fatalf("%s: %v", name, report.Outcomes[0].Err())
			}
			refuse = false
			if _, err := s.Send(t.Context(), env, text); err != nil {
				t.Error(err)
			}
		}, smtpclient.Quirks{ChunkSize: 30_000})
	}
}

// The look before the tail finds a refusal that came while the content was on its
// way (B15): the end of the data is not written, and the refusal decides. By DATA
// and by BDAT, in plaintext and in TLS. The window has the server read, and so
// reply, before the client comes to the tail.
func TestEarlyReply(t *testing.T) {
	for reply, want := range map[string]string{
		"552 5.3.4 too big": "failed data-block 5.3.4",
		"451 4.3.0 full":    "deferred data-block 4.3.0",
		"421 4.3.2 bye":     "deferred data-block 4.3.2",
		"250 2.0.0 ok":      "deferred data-block 4.5.0", // B17
		"garbage":           "deferred data-block 4.5.0",
	} {
		for mode, verb := range map[smtpclient.Chunking]string{smtpclient.ChunkingOff: "DATA", smtpclient.ChunkingAfter: "RCPT"} {
			for _, level := range []tlspolicy.Level{tlspolicy.None, tlspolicy.Encrypt} {
				t.Run(fmt.Sprintf("%s/%s/%v", reply, verb, level), func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true
						mx := w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Window: 64 << 10},
							Cuts: []smtptest.Cut{{Verb: verb, FromClient: true, After: 100_000, Action: action{Raw: []byte(reply + "\r\n")}}}})
						w.client.TLS = level
						w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: mode})
						report := w.deliver(t.Context(), fromAnn("bob@example.net"), longMessage(400_000))
						expect(t, report, "bob@example.net "+want)
						if n := len(mx.Messages()); n != 0 {
							t.Errorf("%d messages arrived", n)
						}
					})
				})
			}
		}
	}
}
