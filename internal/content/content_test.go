package content

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var messages = map[string]string{
	"plain":             "Subject: x\r\n\r\nhello\r\n",
	"empty":             "",
	"headers only":      "From: a@b.example\r\nSubject: x\r\n",
	"no final newline":  "Subject: x\r\n\r\nhello",
	"final CR":          "Subject: x\r\n\r\nhello\r",
	"bare LF":           "Subject: x\n\nhello\n",
	"bare CR":           "Subject: x\r\n\r\na\rb\r\n",
	"mixed":             "a\r\nb\nc\rd\r\r\ne\n\rf\r\n",
	"dots":              ".\r\n..\r\n.a\r\n...\r\n.",
	"dots after LF":     "a\n.\nb\n.c\n",
	"dots after CR":     "a\r.\r\nb\r.\rc\r\n",
	"empty lines":       "\r\n\r\n\n\n\r\r",
	"8-bit":             "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n",
	"8-bit header":      "Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\nhello\r\n",
	"Latin-1 header":    "Subject: gr\xfc\xdfe\r\n\r\nhello\r\n",
	"cut UTF-8 header":  "Subject: gr\xc3\r\n\r\n\xbc\r\n",
	"header cut at end": "Subject: gr\xc3",
	"UTF-8 around a CR": "Subject: gr\xc3\r\xbc\r\n\r\nhello\r\n",
	"NUL":               "Subject: x\r\n\r\na\x00b\r\n",
	"long line":         "Subject: x\r\n\r\n" + strings.Repeat("x", 2000) + "\r\n",
	"lines alike":       "S: x\r\n\r\nabcdef\r\nghijkl\r\nmnopqr\r\nst",
	"alike but for two": "S: x\r\n\r\nabcdef\r\ngh\r\nij\r\nmnopqr\r\nst\r\nuv\r\n",
	"alike, one in two": "S: x\r\n\r\nabcdef\r\ngh\nijk\r\nmnopqr\r\n",
	"alike, a CR":       "S: x\r\n\r\nabcdef\r\nghi\rkl\r\nmnopqr\r\n",
	"alike, a dot":      "S: x\r\n\r\nabcdef\r\n.hijkl\r\nmnopqr\r\n",
	"alike, LF alone":   "S: x\r\n\r\nabcdef\r\nghijklm\nmnopqr\r\n",
	"alike and empty":   "S: x\r\n\r\n\r\n\r\n\r\n\r\n",
	"smuggle LF.LF":     "a\n.\nb\r\n",
	"smuggle LF.CRLF":   "a\n.\r\nb\r\n",
	"smuggle CRLF.LF":   "a\r\n.\nb\r\n",
	"smuggle CR.CR":     "a\r.\rb\r\n",
	"smuggle CR.LF":     "a\r.\nb\r\n",
	"smuggle LF.CR":     "a\n.\rb\r\n",
	"smuggle CR.CRLF":   "a\r.\r\nb\r\n",
	"smuggle CRLF.CR":   "a\r\n.\rb\r\n",
	"smuggle CRLF.CRCR": "a\r\n.\r\r\nb\r\n",
	"smuggle CRCRLF":    "a\r\r\n.\r\r\nb\r\n",
	"smuggle CRLF.CRLF": "a\r\n.\r\nb\r\n",
}

// repaired is what a message becomes, written from the rule: a line ends in CRLF
// or LF, and a CR alone is a space.
func repaired(in string) string {
	in = strings.ReplaceAll(in, "\r\n", "\n")
	in = strings.ReplaceAll(in, "\r", " ")
	if in != "" && !strings.HasSuffix(in, "\n") {
		in += "\n"
	}
	return strings.ReplaceAll(in, "\n", "\r\n")
}

// encode writes in through an Encoder in pieces of n bytes.
func encode(in []byte, n int) []byte {
	var e Encoder
	var out []byte
	for len(in) > n {
		out = e.Append(out, in[:n])
		in = in[n:]
	}
	return append(e.End(e.Append(out, in)), EndOfData...)
}

// In chunks only the line ends are repaired.
func TestEncoderChunked(t *testing.T) {
	for name, in := range messages {
		e := Encoder{Chunked: true}
		if got, want := string(e.End(e.Append(nil, []byte(in)))), repaired(in); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		facts := scanned([]byte(in), 100)
		if facts.Repaired() != (repaired(in) == in) {
			t.Errorf("%s: Repaired() = %v", name, facts.Repaired())
		}
	}
}

func TestEncoder(t *testing.T) {
	for name, in := range messages {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= len(in)+1; n++ {
				checkWire(t, in, encode([]byte(in), n))
			}
		})
	}
}

// checkWire reads the wire as a server does and checks that nothing on it could
// be read in two ways.
func checkWire(t *testing.T, in string, wire []byte) {
	t.Helper()
	lines, ok := bytes.CutSuffix(wire, []byte(EndOfData))
	if !ok || len(lines) > 0 && !bytes.HasSuffix(lines, []byte("\r\n")) {
		t.Fatalf("%q does not end in CRLF . CRLF", wire)
	}
	var got strings.Builder
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\r\n"))
		if bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("%q has a CR or LF alone", wire)
		}
		if len(line) == 1 && line[0] == '.' {
			t.Fatalf("%q ends the data in the middle", wire)
		}
		got.Write(bytes.TrimPrefix(line, []byte(".")))
		got.WriteString("\r\n")
		lines = rest
	}
	if want := repaired(in); got.String() != want {
		t.Fatalf("%q arrives as %q, want %q", in, got.String(), want)
	}
}

func FuzzEncoder(f *testing.F) {
	for _, in := range messages {
		f.Add(in, 3)
	}
	f.Fuzz(func(t *testing.T, in string, n int) {
		wire := encode([]byte(in), 1+int(uint(n)%64))
		checkWire(t, in, wire)
		facts := scanned([]byte(in), 1+int(uint(n)%17))
		if facts.Clean() && string(wire) != in+EndOfData {
			t.Fatalf("%q counts as clean but goes out as %q", in, wire)
		}
		for _, got := range []Facts{facts, scanned([]byte(in), len(in)+1)} {
			want := factsOf(in)
			if want.Sum = got.Sum; got != want {
				t.Fatalf("%q: got %+v, want %+v", in, got, want)
			}
		}
		if seen := watched([]byte(in), 1+int(uint(n)%17)); facts.Clean() && seen || !seen && endsEarly(in) {
			t.Fatalf("%q: a dot was seen: %v", in, seen)
		}
		// The standard library's reader is a second opinion on transparency.
		back, err := io.ReadAll(textproto.NewReader(newBufio(wire)).DotReader())
		if want := strings.ReplaceAll(repaired(in), "\r\n", "\n"); err != nil || string(back) != want {
			t.Fatalf("DotReader gives %q, %v, want %q", back, err, want)
		}
	})
}

func scanned(in []byte, n int) Facts {
	var s Scanner
	for len(in) > n {
		s.Write(in[:n])
		in = in[n:]
	}
	s.Write(in)
	return s.Facts()
}

// A dot that somebody could read as the first of a line is seen wherever pieces end.
func TestDotWatch(t *testing.T) {
	for in, want := range map[string]bool{
		"": false, "a": false, "a.": false, "a..\r\n": false, "a\r\nb.\r\n": false, "a\r\n\r\nb...": false,
		".": true, "..": true, "a\r\n.": true, "a\n.": true, "a\r.": true, "a.\r\n.": true, "a.b.\n.": true, "\r\n.\r\n": true,
	} {
		for n := 1; n <= len(in)+1; n++ {
			if got := watched([]byte(in), n); got != want {
				t.Errorf("%q in pieces of %d: %v", in, n, got)
			}
		}
	}
}

func watched(in []byte, n int) bool {
	var d DotWatch
	for len(in) > n {
		if d.Sees(in[:n]) {
			return true
		}
		in = in[n:]
	}
	return d.Sees(in)
}

// endsEarly tells that some server could find an end of the data within a message.
func endsEarly(in string) bool {
	in = "\n" + strings.ReplaceAll(in, "\r", "\n")
	return strings.Contains(in, "\n.\n")
}

// factsOf finds the facts of a message the slow way.
func factsOf(in string) Facts {
	out := repaired(in)
	want := Facts{
		Size:         int64(len(in)),
		WireSize:     int64(len(out)),
		EightBit:     strings.ContainsFunc(in, func(r rune) bool { return r > 127 }),
		NUL:          strings.Contains(in, "\x00"),
		StrayCRLF:    strings.ContainsAny(strings.ReplaceAll(in, "\r\n", ""), "\r\n"),
		Unterminated: in != "" && !strings.HasSuffix(in, "\n"),
		LeadingDots:  strings.HasPrefix(out, ".") || strings.Contains(out, "\r\n."),
	}
	header, _, _ := strings.Cut("\r\n"+out, "\r\n\r\n")
	want.HeaderUTF8 = utf8.ValidString(header) && strings.ContainsFunc(header, func(r rune) bool { return r > 127 })
	for line := range strings.SplitSeq(out, "\r\n") {
		want.LongestLine = max(want.LongestLine, int64(len(line)))
	}
	return want
}

func TestScanner(t *testing.T) {
	for name, in := range messages {
		t.Run(name, func(t *testing.T) {
			want := factsOf(in)
			for n := 1; n <= len(in)+1; n++ {
				got := scanned([]byte(in), n)
				want.Sum = got.Sum // judged below
				if got != want {
					t.Fatalf("pieces of %d: got %+v, want %+v", n, got, want)
				}
			}
		})
	}
}

func TestSumTellsMessagesApart(t *testing.T) {
	a := scanned([]byte("Subject: a\r\n"), 5)
	if b := scanned([]byte("Subject: a\r\n"), 3); a.Sum != b.Sum {
		t.Error("the sum depends on the pieces")
	}
	if b := scanned([]byte("Subject: b\r\n"), 5); a.Sum == b.Sum {
		t.Error("different messages have one sum")
	}
	unsummed := Scanner{Unsummed: true}
	unsummed.Write([]byte("Subject: a\r\n"))
	if got := unsummed.Facts(); got.Sum != 0 || got.Size != a.Size {
		t.Errorf("without a sum: %+v", got)
	}
	var s Sum
	s.Write([]byte("Subject: a\r\n"))
	if s.Sum64() != a.Sum {
		t.Error("Sum and Scanner disagree")
	}
	var none, empty Sum
	empty.Write(nil)
	if none.Sum64() != empty.Sum64() {
		t.Error("nothing and nothing written differ")
	}
}

// A mark is the sum of all in front of it, whatever pieces it came in, and there are
// only so many.
func TestMarks(t *testing.T) {
	text := bytes.Repeat([]byte("a line of it\r\n"), 3*MarkEvery/14)
	for _, piece := range []int{1 << 20, 100_000, 4097} {
		var s Scanner
		for p := range slices.Chunk(text, piece) {
			s.Write(p)
		}
		marks := s.Marks()
		if len(marks) != 2 {
			t.Fatalf("%d marks for %d bytes in pieces of %d", len(marks), len(text), piece)
		}
		var sum Sum
		for i, p := range slices.Collect(slices.Chunk(text, MarkEvery))[:2] {
			sum.Write(p)
			if got, ok := marks.At(int64(i+1) * MarkEvery); !ok || got != sum.Sum64() {
				t.Errorf("mark %d is %x, %v, want %x", i+1, got, ok, sum.Sum64())
			}
		}
		for _, nowhere := range []int64{0, 1, MarkEvery - 1, MarkEvery + 1, 3 * MarkEvery} {
			if _, ok := marks.At(nowhere); ok {
				t.Errorf("there is a mark at %d", nowhere)
			}
		}
	}
	unsummed := Scanner{Unsummed: true}
	unsummed.Write(text)
	if len(unsummed.Marks()) != 0 {
		t.Error("what is not read again has marks")
	}
	endless := Scanner{marks: make(Marks, maxMarks), facts: Facts{Size: maxMarks * MarkEvery}}
	endless.Write(text)
	if n := len(endless.Marks()); n != maxMarks {
		t.Errorf("%d marks, want %d at most", n, maxMarks)
	}
}

// UntilMark goes to the next mark from everywhere.
func TestUntilMark(t *testing.T) {
	for offset, want := range map[int64]int{0: MarkEvery, 1: MarkEvery - 1, MarkEvery - 1: 1, MarkEvery: MarkEvery, 5*MarkEvery + 7: MarkEvery - 7} {
		if got := UntilMark(offset); got != want {
			t.Errorf("from %d: %d, want %d", offset, got, want)
		}
	}
}

func newBufio(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

// scanShapes are lines as base64 has them, short ones, which take the longest, and
// 8-bit text from a file of Unix.
var scanShapes = []string{strings.Repeat("x", 74) + "\r\n", "a short line of it\r\n", strings.Repeat("gr\xc3\xbc\xc3\x9fe ", 9) + "\n"}

func scanMessage(line string) []byte {
	return []byte("Subject: x\r\n\r\n" + strings.Repeat(line, 1<<20/len(line)))
}

func BenchmarkScanner(b *testing.B) {
	for _, line := range scanShapes {
		b.Run("line="+strconv.Itoa(len(line)), func(b *testing.B) {
			msg := scanMessage(line)
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				var s Scanner
				s.Write(msg)
				s.Facts()
			}
		})
	}
}

// BenchmarkIndexByte is what a scan is measured against: a pass over the memory in
// one call, and one that only finds the lines.
func BenchmarkIndexByte(b *testing.B) {
	b.Run("whole", func(b *testing.B) {
		msg := bytes.Repeat([]byte("x"), 1<<20)
		b.SetBytes(int64(len(msg)))
		for b.Loop() {
			if bytes.IndexByte(msg, '\n') >= 0 {
				b.Fatal("found")
			}
		}
	})
	for _, line := range scanShapes {
		b.Run("line="+strconv.Itoa(len(line)), func(b *testing.B) {
			msg := scanMessage(line)
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				for rest := msg; len(rest) > 0; {
					rest = rest[bytes.IndexByte(rest, '\n')+1:]
				}
			}
		})
	}
}

func BenchmarkEncoder(b *testing.B) {
	line := strings.Repeat("x", 75) + "\n"
	msg := []byte(strings.Repeat(line, 1<<20/len(line)))
	out := make([]byte, 0, 2<<20)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		var e Encoder
		e.End(e.Append(out, msg))
	}
}
