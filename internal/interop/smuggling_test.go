package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// smuggling are the sequences that some server has taken for the end of the data:
// a dot between line ends of every kind, and what ends a line only for some. What
// is published is among them: LF.LF, LF.CR, CR.LF, CR.CR, LF.CRLF, CR.CRLF,
// CRLF.LF, CRLF.CR, CRLF.CRCRLF and CRCRLF.CRCRLF. Those with NUL are refused as
// input.
func smuggling() []string {
	ends := []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r", "\n\n", "\r\r", "\r\n\r"}
	var all []string
	for _, before := range ends {
		for _, after := range ends {
			all = append(all, before+"."+after)
		}
	}
	return all
}

// smuggled is the message that follows, if a sequence works.
func smuggled(victim string) string {
	return "MAIL FROM:<eve@example.org>\r\nRCPT TO:<" + victim + ">\r\nDATA\r\nFrom: eve@example.org\r\n\r\nsmuggled\r\n.\r\n"
}

// parcel is a message and how it goes.
type parcel struct {
	text []byte
	mode smtpclient.Chunking
	kind int // of content
	to   string
}

// smugglingParcels are messages with a sequence at every place that counts: before,
// on and behind each end of the buffers of 32 and 64 KiB, and where the last 16 KiB
// begin, which the client writes with the end of the data. Each sequence goes by
// DATA and by BDAT, and from every kind of content.
func smugglingParcels(victim string, box func() string) []parcel {
	modes := []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingAfter}
	var all []parcel
	for offset := -6; offset <= 1; offset++ {
		b := body(fmt.Sprintf("sequences at buffers%+d", offset), "")
		for i, sequence := range smuggling() {
			b = fill(b, (i+1)<<15+offset)
			b = append(b, sequence+smuggled(victim)...)
		}
		b = append(b, "last\r\n"...)
		for n := range 6 {
			all = append(all, parcel{b, modes[n%2], n / 2, box()})
		}
	}
	for i, sequence := range smuggling() {
		for offset := -3; offset <= 3; offset++ {
			b := fill(body(fmt.Sprintf("sequence %d at the tail%+d", i, offset), ""), 5000)
			end := len(b) + len(sequence) + 16<<10 + offset
			b = append(b, sequence+smuggled(victim)...)
			n := len(all) % 6
			all = append(all, parcel{fill(b, end), modes[n%2], n / 2, box()})
		}
	}
	return all
}

// No sequence ends the data anywhere: what arrives is one message, and it is the
// one that was meant. By DATA and by BDAT, from memory, file and reader.
func TestSmuggling(t *testing.T) {
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			s := p.start(t)
			t.Parallel()
			victim := s.NewMailbox("example.test")
			parcels := smugglingParcels(victim, func() string { return s.NewMailbox("example.test") })
			smuggle(t, s.Addr(p.door), parcels)
			for _, c := range parcels {
				_, got := stored(t, s, c.to)
				wantBytes(t, got, p.stored(c.text))
			}
			if found, err := s.Stored(victim, 0); err != nil || len(found) != 0 {
				t.Errorf("%d messages were smuggled; %v", len(found), err)
			}
		})
	}
	t.Run("go-smtp", func(t *testing.T) {
		g := goSMTP(t)
		t.Parallel()
		texts := make(map[string][]byte)
		parcels := smugglingParcels("victim@example.test", func() string { return "" })
		for i := range parcels {
			parcels[i].to = fmt.Sprintf("box%d@example.test", i)
			texts[parcels[i].to] = parcels[i].text
		}
		smuggle(t, g.Addr, parcels)
		taken := g.Taken()
		if len(taken) != len(parcels) {
			t.Fatalf("%d messages arrived, want %d", len(taken), len(parcels))
		}
		for _, m := range taken {
			wantBytes(t, m.Content, repaired(texts[m.To[0]]))
			delete(texts, m.To[0])
		}
		if len(texts) != 0 {
			t.Errorf("%d messages did not arrive", len(texts))
		}
	})
}

// smuggle sends the parcels, a few in each session: after ten, Exim leaves what
// comes to its queue.
func smuggle(t *testing.T, addr string, parcels []parcel) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "message")
	for _, mode := range []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingAfter} {
		dialer := &smtpclient.Dialer{LocalName: "client.example.org", Quirks: func(smtpclient.Target) smtpclient.Quirks { return smtpclient.Quirks{Chunking: mode} }}
		var session *smtpclient.Session
		left := 0
		for _, c := range parcels {
			if c.mode != mode {
				continue
			}
			if left == 0 {
				if session != nil {
					session.Quit(ctx)
				}
				var err error
				if session, err = dialer.Dial(ctx, smtpclient.Target{Addr: addr, Policy: tlspolicy.Policy{Level: tlspolicy.None}}); err != nil {
					t.Fatal(err)
				}
				left = 10
			}
			left--
			if _, err := session.Send(ctx, envelope(c.to), smuggledContent(t, file, c.text, c.kind)); err != nil {
				t.Fatalf("%.80q: %v", c.text[80:], err)
			}
		}
		session.Quit(ctx)
	}
}

// smuggledContent is a text in memory, in a file or in a reader.
func smuggledContent(t *testing.T, file string, text []byte, kind int) smtpclient.Content {
	t.Helper()
	switch kind {
	case 0:
		return smtpclient.Bytes(text)
	case 1:
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return smtpclient.File(file)
	}
	return smtpclient.ReaderAt(strings.NewReader(string(text)), int64(len(text)))
}

// repaired is asStored with the line ends of the wire.
func repaired(sent []byte) []byte {
	return []byte(strings.ReplaceAll(string(asStored(sent)), "\n", "\r\n"))
}
