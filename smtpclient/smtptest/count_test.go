package smtptest

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// A message tells what a test would look for in its content, the same of DATA, of
// one chunk, and of chunks that are cut anywhere.
func TestMessageCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		content        string
		bareCR, bareLF int
		longest        int
		eightBit       bool
	}{
		"empty":           {"", 0, 0, 0, false},
		"clean":           {"one\r\n\r\nthree\r\n", 0, 0, 5, false},
		"dots":            {".\r\n..x\r\n", 0, 0, 3, false},
		"bare LF":         {"a\nbc\r\n\n\r\n", 0, 2, 4, false},
		"bare CR":         {"a\rb\r\r\n\r\rc\r\n", 4, 0, 4, false},
		"LF and CR":       {"a\n\rb\r\n", 1, 1, 4, false},
		"octets over 127": {"gr\xc3\xbc\xdf\r\n", 0, 0, 5, true},
		"127 is ASCII":    {"\x7f\x00\r\n", 0, 0, 2, false},
		"long":            {string(make([]byte, 5000)) + "\r\nx\r\n", 0, 0, 5000, false},
	} {
		check := func(t *testing.T, how string, m Message) {
			t.Helper()
			if string(m.Data) != tc.content || m.BareCR != tc.bareCR || m.BareLF != tc.bareLF || m.LongestLine != tc.longest || m.EightBit != tc.eightBit {
				t.Errorf("%s: %d bare CR, %d bare LF, a line of %d, 8-bit %v in %q", how, m.BareCR, m.BareLF, m.LongestLine, m.EightBit, head(m.Data))
			}
		}
		bubble(t, name, func(t *testing.T) {
			s := &Server{}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.send("MAIL FROM:<>", "RCPT TO:<b@x>", "DATA")
			d.want("250", "250", "354")
			writeContent(t, d.conn, tc.content)
			d.want("250")
			d.send("MAIL FROM:<>", "RCPT TO:<b@x>")
			d.want("250", "250")
			for i := range len(tc.content) {
				fmt.Fprintf(d.conn, "BDAT 1\r\n%s", tc.content[i:i+1])
				d.want("250")
			}
			d.ask("BDAT 0 LAST", "250")
			check(t, "DATA", s.Messages()[0])
			check(t, "BDAT", s.Messages()[1])
		})
	}
}

// What ends in the midst of a line, or behind a CR, as only a chunk can.
func TestMessageCountsToTheEnd(t *testing.T) {
	for content, want := range map[string]string{
		"a\r\nabc": "0 0 3", "abc\r": "1 0 4", "\n": "0 1 1", "\r\n": "0 0 0",
	} {
		bubble(t, fmt.Sprintf("%q", content), func(t *testing.T) {
			s := &Server{}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.send("MAIL FROM:<>", "RCPT TO:<b@x>")
			d.want("250", "250")
			fmt.Fprintf(d.conn, "BDAT %d LAST\r\n%s", len(content), content)
			d.want("250")
			m := s.Messages()[0]
			if got := fmt.Sprint(m.BareCR, m.BareLF, m.LongestLine); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// writeContent writes a content with its dots doubled, and the end.
func writeContent(t *testing.T, w io.Writer, content string) {
	t.Helper()
	var wire []byte
	begins := true
	for _, b := range []byte(content) {
		if begins && b == '.' {
			wire = append(wire, '.')
		}
		wire = append(wire, b)
		begins = b == '\n' && len(wire) > 1 && wire[len(wire)-2] == '\r'
	}
	if _, err := w.Write(append(wire, ".\r\n"...)); err != nil {
		t.Error(err)
	}
}

// Counting in pieces gives what the whole content has.
func FuzzCounter(f *testing.F) {
	f.Add([]byte("a\r\nb\rc\nd\r\n\xff"), uint(1))
	f.Add([]byte("\r\r\n\n\r"), uint(4))
	f.Fuzz(func(t *testing.T, content []byte, cut uint) {
		cut %= uint(len(content) + 1)
		var got counter
		got.add(content[:cut])
		got.add(content[cut:])
		got.end()
		ends := bytes.Count(content, crlf)
		want := counter{bareCR: bytes.Count(content, []byte("\r")) - ends, bareLF: bytes.Count(content, []byte("\n")) - ends}
		for line := range bytes.SplitSeq(content, crlf) {
			want.longest = max(want.longest, len(line))
		}
		want.eightBit = !isASCII(string(content))
		want.nul = bytes.IndexByte(content, 0) >= 0
		if got != want {
			t.Errorf("%q cut at %d: %+v, want %+v", content, cut, got, want)
		}
	})
}
