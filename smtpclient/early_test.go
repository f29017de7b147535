package smtpclient_test

import (
	"errors"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A reply that came with the 354 is read before the end of the data goes out: a
// refusal decides, and nothing else can be trusted (R16, B15, B17). The message
// is never complete then.
func TestReplyBeforeTheEndOfTheData(t *testing.T) {
	for reply, want := range map[string]string{
		"250 2.0.0 ok\r\n":                   "deferred data-block 4.5.0",
		"354 once more\r\n":                  "deferred data-block 4.5.0",
		"what?\r\n":                          "deferred data-block 4.5.0",
		"552 5.3.4 too big\r\n":              "failed data-block 5.3.4",
		"451 4.3.0 disk full\r\n":            "deferred data-block 4.3.0",
		"421 4.3.2 bye\r\n":                  "deferred data-block 4.3.2",
		"554-5.7.1 spam\r\n554 5.7.1 no\r\n": "failed data-block 5.7.1",
	} {
		for mode, extensions := range map[string][]string{"pipelined": pipelined, "lockstep": lockstep} {
			for size, message := range map[string]string{"short": hello, "long": longMessage(200_000)} {
				t.Run(reply[:3]+"/"+mode+"/"+size, func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true // a client that closes within the content
						mx := w.mx(10, &smtptest.Server{Extensions: extensions, Script: on("DATA", action{Raw: []byte("354 go\r\n" + reply)})})
						report := w.deliver(t.Context(), fromAnn("bob@example.net"), message)
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

// The session ends with it: what is read of the message would be taken for
// commands, or waited for.
func TestSessionAfterAnEarlyReply(t *testing.T) {
	for _, reply := range []string{"552 5.3.4 too big\r\n", "250 2.0.0 ok\r\n"} {
		server := &smtptest.Server{Extensions: pipelined, Script: on("DATA", action{Raw: []byte("354 go\r\n" + reply)})}
		inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
			first := send(t, s, "bob@example.net").Outcomes[0]
			_, err := s.Noop(t.Context())
			var e *smtpclient.Error
			if !errors.As(err, &e) || e.Stage != smtpclient.StageDataBlock || e.Reply.Code != first.Reply.Code {
				t.Errorf("after %q: %v, want the first error", reply, err)
			}
		})
	}
}

// Only 354 is leave to send content (B1).
func TestOther3yzToDATA(t *testing.T) {
	for _, extensions := range [][]string{pipelined, lockstep} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			mx := w.mx(10, &smtptest.Server{Extensions: extensions, Script: on("DATA", action{Raw: []byte("350 go\r\n")})})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net deferred data-init 4.5.0")
			w.settle()
			if lines := clientLines(mx, 0); lines[len(lines)-1] != "DATA" {
				t.Errorf("the client said %q behind DATA", lines)
			}
		})
	}
}
