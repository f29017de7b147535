package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// nobody are the replies to a recipient whom nobody knows, and to a chunk for nobody
// else: none by RFC 2033, Section 4.2, and one by Dovecot.
var nobody = map[string]string{
	"no reply": "550 5.1.1 nobody\r\n",
	"refused":  "550 5.1.1 nobody\r\n503 5.5.0 No valid recipients\r\n",
}

// In LMTP a last chunk for nobody has no reply, or is refused: the session is in step,
// and the next message gets its own verdict.
func TestLMTPLastChunkForNobody(t *testing.T) {
	for name, reply := range nobody {
		t.Run(name, func(t *testing.T) { lastChunkForNobody(t, reply) })
	}
}

func lastChunkForNobody(t *testing.T, nobody string) {
	inWorld(t, func(t *testing.T, w *world) {
		server := &smtptest.Server{Mode: smtptest.LMTP, Script: func(c smtptest.Command) action {
			if c.Verb == "RCPT" && strings.Contains(c.Args, "nobody") {
				return action{Raw: []byte(nobody)}
			}
			if c.Verb == "RCPT" && strings.Contains(c.Args, "unknown") {
				return action{Reply: "550 5.1.1 nobody"}
			}
			return action{}
		}}
		w.net["192.0.2.10:24"] = server
		d := *w.client.Dialer
		d.Quirks = func(smtpclient.Target) smtpclient.Quirks {
			return smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}
		}
		s, err := d.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:24", Protocol: smtpclient.LMTP})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			to   []string
			want []string
		}{
			{[]string{"nobody@example.net"}, []string{"nobody@example.net failed rcpt 5.1.1"}},
			{[]string{"unknown@example.net", "bob@example.net", "carol@example.net"}, []string{
				"unknown@example.net failed rcpt 5.1.1", "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0"}},
			{[]string{"nobody@example.net"}, []string{"nobody@example.net failed rcpt 5.1.1"}},
			{[]string{"dave@example.net"}, []string{"dave@example.net delivered data-done 2.0.0"}},
		} {
			report, _ := w.send(t.Context(), s, fromAnn(c.to...), smtpclient.Bytes([]byte(hello)))
			expect(t, report, c.want...)
		}
		if err := s.Quit(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(server.Messages()); n != 2 || server.Sessions() != 1 {
			t.Errorf("%d messages in %d sessions, want 2 in 1", n, server.Sessions())
		}
	})
}
