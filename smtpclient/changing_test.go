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
	clean := longMessage(200_000)
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
				t.Run(name+"/"+kind, func(t *testing.T) {
					write(t, file, long, time.Hour)
					if c, ok := content.(*changing); ok {
						c.opens = 0
					}
					inWorld(t, func(t *testing.T, w *world) {
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
					})
				})
			}
		}
	}
}
