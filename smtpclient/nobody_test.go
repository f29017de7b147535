package smtpclient_test

import (
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A server that refuses MAIL, accepts a recipient all the same and waits for
// content gets no dot: it would deliver an empty message (P7).
func TestNoDotForWhoWasAccepted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: pipelined, Script: func(c smtptest.Command) action {
			switch c.Verb {
			case "MAIL":
				return action{Raw: []byte("451 4.7.1 wait\r\n")}
			case "RCPT":
				return action{Raw: []byte("250 2.1.5 ok\r\n")}
			case "DATA":
				return action{Raw: []byte("354 go\r\n")}
			}
			return action{}
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred mail 4.7.1")
		w.settle()
		if lines := clientLines(mx, 0); lines[len(lines)-1] != "DATA" {
			t.Errorf("the client said %q behind DATA", lines)
		}
	})
}

// The reply to a lone dot says nothing about anybody, but one that cannot be a
// reply to it means that the session is out of step (R13).
func TestReplyToLoneDot(t *testing.T) {
	for reply, goesOn := range map[string]bool{"250 2.0.0 ok": true, "554 5.5.1 no recipients": true, "221 bye": false, "354 go": false} {
		refuse := true
		server := &smtptest.Server{Extensions: pipelined, Script: func(c smtptest.Command) action {
			switch {
			case !refuse:
			case c.Verb == "RCPT":
				return action{Reply: "550 5.1.1 nobody"}
			case c.Verb == "DATA":
				return action{Reply: "354 go"}
			case c.Verb == smtptest.EndOfData:
				return action{Reply: reply}
			}
			return action{}
		}}
		inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
			expect(t, send(t, s, "bob@example.net"), "bob@example.net failed rcpt 5.1.1")
			refuse = false
			if _, err := s.Noop(t.Context()); (err == nil) != goesOn {
				t.Errorf("%q to the lone dot: NOOP gives %v, want the session to go on: %v", reply, err, goesOn)
			}
		})
	}
}
