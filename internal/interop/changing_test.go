package interop

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// A content that is clean when it is scanned, and holds an end of the data and
// another message when it is sent, gives neither of the two. What is sent
// afterwards arrives, and nothing else has.
func TestContentThatChanges(t *testing.T) {
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			s := p.start(t)
			victim := s.NewMailbox("example.test")
			to := s.NewMailbox("example.test")
			first := body("changes", strings.Repeat("a line without a dot\r\n", 9000))
			second := bytes.Clone(first)
			copy(second[100_000:], "\r\n.\r\n"+smuggled(victim))
			for _, mode := range []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingAfter} {
				client := withQuirks(clientTo(s, p.door), smtpclient.Quirks{Chunking: mode})
				report := deliverTo(t, client, envelope(to), &changing{texts: [][]byte{first, second}})
				wantOutcome(t, report.Outcomes[0], smtpclient.Deferred, "4.3.0", smtpclient.StageDataBlock)
			}
			after := simple("afterwards")
			for _, box := range []string{to, victim} {
				wantDelivered(t, deliver(t, clientTo(s, p.door), after, box))
				_, got := stored(t, s, box)
				wantBytes(t, got, p.stored(after))
			}
		})
	}
}

// changing gives another text at each Open.
type changing struct {
	texts [][]byte
	opens int
}

func (c *changing) Open() (io.ReadCloser, error) {
	text := c.texts[c.opens]
	c.opens++
	return io.NopCloser(bytes.NewReader(text)), nil
}

func (c *changing) Size() int64 { return -1 }
