package smtpclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A content that was clean when it was scanned, and then holds an end of the data
// with another message behind it, gives neither of the two.
func TestContentChangesIntoTwo(t *testing.T) {
	clean, marked := longMessage(200_000), longMessage(600_000)
	unix := strings.ReplaceAll(clean, "\r\n", "\n")
	// The same bytes in all, but many more when each LF has become a CRLF: in the
	// end they go beyond the chunk that was announced.
	longer := strings.Repeat("\n", 100_000) + strings.Repeat(strings.ReplaceAll(smuggled, "\r\n", "\n"), 10_000)
	for name, tt := range map[string]struct{ long, other string }{
		"CRLF.CRLF":       {clean, clean[:100_000] + "\r\n.\r\n" + smuggled},
		"LF.LF":           {clean, clean[:100_000] + "\n.\n" + smuggled},
		"LF.CRLF":         {clean, clean[:100_000] + "\n.\r\n" + smuggled},
		"CR.CR":           {clean, clean[:100_000] + "\r.\r" + smuggled},
		"CRLF.CR":         {clean, clean[:100_000] + "\r\n.\r" + smuggled},
		"CRLF.CRLF, LF":   {unix, unix[:100_000] + "\r\n.\r\n" + smuggled},
		"longer":          {unix, longer[:len(unix)]},
		"at the begin":    {clean, ".\r\n" + smuggled},
		"within the tail": {clean, clean[:190_000] + "\r\n.\r\n" + smuggled},
		"behind a mark":   {marked, marked[:300_000] + "\r\n.\r\n" + smuggled},
		"at a mark":       {marked, marked[:256<<10] + "\r\n.\r\n" + smuggled},
		"before a mark":   {marked, marked[:512<<10-3] + "\r\n.\r\n" + smuggled},
		"behind the last": {marked, marked[:550_000] + "\r\n.\r\n" + smuggled},
	} {
		long, other := tt.long, tt.other
		other += long[len(other):]
		file := newFile(t, long)
		for kind, content := range map[string]smtpclient.Content{
			"reader": &changing{texts: []string{long, other}}, "file": smtpclient.File(file),
		} {
			for _, quirks := range []smtpclient.Quirks{
				{Chunking: smtpclient.ChunkingOff}, {Chunking: smtpclient.ChunkingAfter}, {Chunking: smtpclient.ChunkingAfter, ChunkSize: 40_000},
			} {
				change := func(t *testing.T, w *world) {
					w.unruly = true // the connection is closed within the content
					mx := w.mx(10, &smtptest.Server{Extensions: chunking, Script: func(c smtptest.Command) action {
						if c.Verb == "RCPT" {
							write(t, file, other, time.Hour)
						}
						return action{}
					}})
					w.client.Dialer.Quirks = withQuirks(quirks)
					report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
					checkError(t, report, err)
					expect(t, report, "bob@example.net deferred data-block 4.3.0")
					w.settle()
					if n := len(mx.Messages()); n != 0 {
						t.Errorf("%d messages arrived", n)
					}
				}
				begin := func() {
					write(t, file, long, time.Hour)
					if c, ok := content.(*changing); ok {
						c.opens = 0
					}
				}
				t.Run(name+"/"+kind, func(t *testing.T) {
					begin()
					inWorld(t, change)
				})
				t.Run(name+"/"+kind+"/little room", func(t *testing.T) {
					begin()
					inWorld(t, func(t *testing.T, w *world) {
						defer crowded(t)()
						change(t, w)
					})
				})
			}
		}
	}
}

// amid is a text in the middle of a long message, which goes out before all of it
// is read. A shorter text is filled up.
func amid(text []byte, least int) string {
	long := longMessage(150_000)
	return long[:40_000] + string(text) + strings.Repeat("x", max(0, least-len(text))) + long[40_000:]
}

// Whatever a content gives at its second reading, at most one message arrives, and
// it is the one that was scanned.
func FuzzContentThatChanges(f *testing.F) {
	f.Add([]byte(hello), []byte(hello), uint8(0), uint16(7))
	f.Add([]byte("one\r\n"), []byte("\r\n.\r\n"+smuggled), uint8(0), uint16(0))
	f.Add([]byte("one\r\n"), []byte("\n.\n"+smuggled), uint8(1), uint16(0))
	f.Add([]byte("\n"), []byte(strings.Repeat("\n", 100_000)+smuggled), uint8(2|8), uint16(0))
	f.Add([]byte("\n"), []byte(strings.Repeat("\n", 100_000)+smuggled), uint8(3|8), uint16(40_000))
	f.Add([]byte("\xc3\xbc\r\n"), []byte("\r\n.\r\n"+smuggled), uint8(4), uint16(0))
	f.Fuzz(func(t *testing.T, first, second []byte, how uint8, size uint16) {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			extensions := chunking
			if how&4 != 0 {
				extensions = []string{"PIPELINING", "CHUNKING"} // what is 8-bit is converted
			}
			mx := w.mx(10, &smtptest.Server{Extensions: extensions})
			if how&8 != 0 {
				w.client.Dialer.Rules.LongLines = smtpclient.Keep // else they are folded
			}
			w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: smtpclient.Chunking(how % 4), ChunkSize: int(size)})
			content := &changing{texts: []string{amid(first, len(second)), amid(second, len(first))}}
			report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
			checkError(t, report, err)
			w.settle()
			same := content.texts[0] == content.texts[1]
			switch all := mx.Messages(); {
			case len(all) > 1 || len(all) == 1 && !same:
				t.Fatalf("%d messages of a content that was %q and then %q", len(all), first, second)
			case len(all) != 0 && report.Outcomes[0].Status != smtpclient.Delivered:
				t.Fatalf("it arrived, but the report says %v", report.Outcomes[0].Err())
			case len(all) == 0 && report.Outcomes[0].Status == smtpclient.Delivered:
				t.Fatal("the report says that it arrived")
			}
		})
	})
}
