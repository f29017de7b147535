package interop

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// How a message came is in the server's log: Postfix counts the commands of a
// session, and Exim marks a message that came by BDAT with a K.
func TestBDATIsUsed(t *testing.T) {
	content := body("in pieces", bulk(3*16<<10))
	for _, c := range []struct {
		name   string
		quirks smtpclient.Quirks
		said   string // in Postfix's count
		marked bool
	}{
		{"off", smtpclient.Quirks{Chunking: smtpclient.ChunkingOff}, "ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5", false},
		{"auto", smtpclient.Quirks{}, "ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5", false},
		{"after", smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}, "ehlo=1 mail=1 rcpt=1 bdat=1 quit=1 commands=5", true},
		{"in pieces", smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter, ChunkSize: 16 << 10}, "ehlo=1 mail=1 rcpt=1 bdat=3 quit=1 commands=7", true},
		{"grouped", smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}, "ehlo=1 mail=1 rcpt=1 bdat=1 quit=1 commands=5", true},
	} {
		t.Run("Postfix/"+c.name, func(t *testing.T) {
			p := postfix(t)
			id := sent(t, p, withQuirks(clientTo(p, PostfixFull), c.quirks), content)
			said, err := p.Commands(id)
			if err != nil || said != c.said {
				t.Errorf("Postfix counts %q, %v; want %q", said, err, c.said)
			}
		})
		t.Run("Exim/"+c.name, func(t *testing.T) {
			e := exim(t)
			id := sent(t, e, withQuirks(clientTo(e, EximFull), c.quirks), content)
			line, err := e.WaitForLog(id, " <= ")
			if err != nil {
				t.Fatal(err)
			}
			if marked := strings.Contains(line, " K "); marked != c.marked {
				t.Errorf("BDAT: %v, want %v: %s", marked, c.marked, line)
			}
		})
	}
}

// sent delivers to a mailbox of its own, and gives the server's name for it.
func sent(t *testing.T, s server, c *smtpclient.Client, content []byte) (id string) {
	t.Helper()
	to := s.NewMailbox("example.test")
	wantDelivered(t, deliver(t, c, content, to))
	front, got := stored(t, s, to)
	wantBytes(t, got, asStored(content))
	return queueID(t, front)
}
