package interop

import (
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// A message over the server's limit fails: at once where the server has said its
// limit, else by its refusal of the content, whose end it waits for.
func TestTooLarge(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) server
		door  string
	}{
		{"Postfix", postfixServer, PostfixSmall},
		{"Exim", smallExim, EximFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.start(t)
			for _, q := range []struct {
				name     string
				quirks   smtpclient.Quirks
				enhanced string
				stage    smtpclient.Stage
			}{
				{"announced", smtpclient.Quirks{}, "5.3.4", smtpclient.StageMail},
				{"not announced", smtpclient.Quirks{Discard: []string{"SIZE"}}, "", smtpclient.StageDataDone},
				{"not announced, chunked", smtpclient.Quirks{Discard: []string{"SIZE"}, Chunking: smtpclient.ChunkingAfter}, "", smtpclient.StageDataDone},
			} {
				t.Run(q.name, func(t *testing.T) {
					to := s.NewMailbox("example.test")
					client := withQuirks(clientTo(s, c.door), q.quirks)
					o := deliver(t, client, body("too large", bulk(20_000)), to).Outcomes[0]
					if o.Status != smtpclient.Failed || o.Stage != q.stage || o.Reply.Code != 0 && o.Reply.Code != 552 {
						t.Errorf("got %v at %v, want failed at %v, with 552 if there is a reply: %v", o.Status, o.Stage, q.stage, o.Err())
					}
					wantDelivered(t, deliver(t, client, simple("small enough"), to))
					stored(t, s, to)
				})
			}
		})
	}
}

func smallExim(t *testing.T) server {
	return ownExim(t, EximSettings{Main: "message_size_limit = 10000"})
}
