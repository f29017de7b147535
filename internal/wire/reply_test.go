package wire

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadReply(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tests := []struct {
		name, in string
		want     Reply
		err      error // nil: any *SyntaxError, if want is empty
	}{
		{name: "one line", in: "250 ok\r\n", want: Reply{250, "", []string{"ok"}}},
		{name: "several lines", in: "250-a\r\n250-b\r\n250 c\r\n", want: Reply{250, "", []string{"a", "b", "c"}}},
		{name: "enhanced code", in: "550 5.1.1 no such user\r\n", want: Reply{550, "5.1.1", []string{"5.1.1 no such user"}}},
		{name: "enhanced code alone", in: "250 2.0.0\r\n", want: Reply{250, "2.0.0", []string{"2.0.0"}}},
		{name: "R2 no text", in: "250 \r\n", want: Reply{250, "", []string{""}}},
		{name: "R2 code alone", in: "250\r\n", want: Reply{250, "", []string{""}}},
		{name: "R2 empty lines with a code", in: "250-\r\n250 \r\n", want: Reply{250, "", []string{"", ""}}},
		{name: "bare LF", in: "250-a\n250 b\n", want: Reply{250, "", []string{"a", "b"}}},
		{name: "CR CR LF", in: "250 ok\r\r\n", want: Reply{250, "", []string{"ok"}}},
		{name: "R12 unknown codes of a known class", in: "259 ok\r\n", want: Reply{259, "", []string{"ok"}}},
		{name: "ZMailer's 400", in: "400 wait\r\n", want: Reply{400, "", []string{"wait"}}},
		{name: "ZMailer's caret line", in: "501-" + strings.Repeat(" ", 20) + "^\r\n501 5.5.4 bad\r\n", want: Reply{501, "5.5.4", []string{strings.Repeat(" ", 20) + "^", "5.5.4 bad"}}},
		{name: "R18 enhanced code of another class", in: "250 5.1.1 odd\r\n", want: Reply{250, "", []string{"5.1.1 odd"}}},
		{name: "R19 enhanced code too long", in: "550 5.99999.1 x\r\n", want: Reply{550, "", []string{"5.99999.1 x"}}},
		{name: "R19 enhanced code cut", in: "550 5.1 x\r\n", want: Reply{550, "", []string{"5.1 x"}}},
		{name: "R19 enhanced code that goes on", in: "550 5.1.1.2 x\r\n", want: Reply{550, "", []string{"5.1.1.2 x"}}},
		{name: "R19 354 has none", in: "354 3.1.1 x\r\n", want: Reply{354, "", []string{"3.1.1 x"}}},
		{name: "R20 the last line that has one counts", in: "550-5.1.1 a\r\n550-5.7.1 b\r\n550 c\r\n", want: Reply{550, "5.7.1", []string{"5.1.1 a", "5.7.1 b", "c"}}},
		{name: "R22 control characters", in: "250 a\x1b[2Jb\x00c\rd\te\r\n", want: Reply{250, "", []string{"a?[2Jb?c?d e"}}},
		{name: "R8 UTF-8", in: "250 gr\xc3\xbc\xc3\x9fe\r\n", want: Reply{250, "", []string{"grüße"}}},
		{name: "R8 broken UTF-8, C1, bidi", in: "250 a\xffb\xc2\x85c\xe2\x80\xaed\r\n", want: Reply{250, "", []string{"a?b?c?d"}}},

		{name: "R3 codes differ", in: "250-a\r\n550 b\r\n", err: ErrMixedCode},
		{name: "R5 a line without end", in: "250 " + long, err: ErrTooLong},
		{name: "R4 lines without end", in: strings.Repeat("250-x\r\n", 2000), err: ErrTooLong},
		{name: "R4 bytes without end", in: strings.Repeat("250-"+strings.Repeat("x", 1000)+"\r\n", 70), err: ErrTooLong},
		{name: "R10 000", in: "000 x\r\n"},
		{name: "R10 099", in: "099 x\r\n"},
		{name: "R10 600", in: "600 x\r\n"},
		{name: "R10 blank inside", in: "2 50 x\r\n"},
		{name: "R10 blank before", in: " 250 x\r\n"},
		{name: "R10 letter O", in: "25O x\r\n"},
		{name: "R11 1yz", in: "150 x\r\n"},
		{name: "R14 blank line", in: "\r\n250 ok\r\n"},
		{name: "R23 other digits", in: "२५० x\r\n"},
		{name: "R23 sign", in: "+50 x\r\n"},
		{name: "four digits", in: "2200 x\r\n"},
		{name: "garbage inside", in: "250-a\r\ngarbage\r\n250 c\r\n"},
		{name: "nothing", in: "", err: io.EOF},
		{name: "cut within a line", in: "250 o", err: io.ErrUnexpectedEOF},
		{name: "cut between lines", in: "250-a\r\n", err: io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":     strings.NewReader(tt.in),
				"bytewise":  iotest.OneByteReader(strings.NewReader(tt.in)),
				"with err":  iotest.DataErrReader(strings.NewReader(tt.in)),
				"half sips": iotest.HalfReader(strings.NewReader(tt.in)),
			} {
				got, err := NewReader(r).ReadReply()
				var syntax *SyntaxError
				switch {
				case tt.want.Code != 0 && (err != nil || !reflect.DeepEqual(got, tt.want)):
					t.Errorf("%s: got %+v, %v, want %+v", name, got, err, tt.want)
				case tt.want.Code == 0 && tt.err != nil && !errors.Is(err, tt.err):
					t.Errorf("%s: got error %v, want %v", name, err, tt.err)
				case tt.want.Code == 0 && tt.err == nil && !errors.As(err, &syntax):
					t.Errorf("%s: got %+v, %v, want a syntax error", name, got, err)
				}
			}
		})
	}
}

func TestReadReplyLeavesTheRest(t *testing.T) {
	r := NewReader(strings.NewReader("250 a\r\n550 b\r\n2"))
	for i, want := range []int{250, 550} {
		got, err := r.ReadReply()
		if err != nil || got.Code != want {
			t.Fatalf("reply %d: got %+v, %v, want code %d", i, got, err, want)
		}
	}
	if got := r.Buffered(); got != 1 {
		t.Errorf("Buffered() = %d, want 1", got)
	}
}

// A reply that comes again is taken without a look, and no other one is.
func TestAgain(t *testing.T) {
	tests := []struct {
		name, in string
		want     int // how often the first reply comes again
		rest     string
	}{
		{"the same", "250 ok\r\n250 ok\r\n250 ok\r\n", 2, ""},
		{"another text", "250 ok\r\n250 ok\r\n250 no\r\n", 1, "no"},
		{"another code", "250 ok\r\n550 ok\r\n", 0, "ok"},
		{"another end of line", "250 ok\r\n250 ok\n", 0, "ok"},
		{"more behind it", "250 o\n250 ok\n", 0, "ok"},
		{"half of it", "250 ok\r\n250 o", 0, ""},
		{"several lines", "250-ok\r\n250 ok\r\n250-ok\r\n250 ok\r\n", 0, "ok,ok"},
		{"as the last line of several", "250-a\r\n250 ok\r\n250 ok\r\n", 0, "ok"},
		{"as the first line of several", "250 ok\r\n250-ok\r\n250 ok\r\n", 0, "ok,ok"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			for most := 1; most <= 4; most++ {
				r := NewReader(strings.NewReader(c.in))
				if _, err := r.ReadReply(); err != nil {
					t.Fatal(err)
				}
				n := 0
				for {
					took := r.Again(most)
					if n += took; took > most || took == 0 {
						break
					}
				}
				if next, _ := r.ReadReply(); n != c.want || strings.Join(next.Lines, ",") != c.rest {
					t.Errorf("by %d: it came %d times again, and then %q", most, n, next.Lines)
				}
			}
		})
	}
	var cold Reader
	if cold.Again(1) != 0 {
		t.Error("nothing came again")
	}
	r := NewReader(strings.NewReader(strings.Repeat("250 ok\r\n", 5)))
	if _, err := r.ReadReply(); err != nil || r.Again(3) != 3 || r.Again(0) != 0 || r.Again(3) != 1 {
		t.Error("more than was asked for, or less")
	}
}

func TestReplyTextIsBounded(t *testing.T) {
	in := strings.Repeat("550-"+strings.Repeat("x", 500)+"\r\n", 100) + "550 5.1.1 end\r\n"
	got, err := NewReader(strings.NewReader(in)).ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Join(got.Lines, "")); n > keepText+100 {
		t.Errorf("kept %d bytes of text, want about %d at most", n, keepText)
	}
	if last := got.Lines[len(got.Lines)-1]; last != "[...]" {
		t.Errorf("last line %q does not say that text is missing", last)
	}
	if got.Enhanced != "5.1.1" {
		t.Errorf("enhanced code %q of the last line is lost", got.Enhanced)
	}
	hello, err := NewReader(strings.NewReader(in)).ReadHello()
	if err != nil || len(hello.Lines) != 101 {
		t.Errorf("ReadHello kept %d lines, %v, want 101", len(hello.Lines), err)
	}
}

func TestSyntaxErrorNamesOtherProtocols(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n": "HTTP",
		"SSH-2.0-OpenSSH_9.2\r\n":      "SSH",
		"* OK IMAP4rev1\r\n":           "IMAP",
		"+OK POP3\r\n":                 "POP3",
		"\x15\x03\x01\x00\x02\x02\n":   "TLS",
	} {
		_, err := NewReader(strings.NewReader(in)).ReadReply()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not mention %s", in, err, want)
		}
	}
}

// A connection that breaks the contract of io.Reader must not break us.
func TestReaderContract(t *testing.T) {
	for name, n := range map[string]int{"negative": -1, "too many": 1 << 20} {
		if _, err := NewReader(countReader(n)).ReadReply(); err == nil || !strings.Contains(err.Error(), "impossible count") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := NewReader(countReader(0)).ReadReply(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("nothing and no error for ever: got %v", err)
	}
}

type countReader int

func (n countReader) Read([]byte) (int, error) { return int(n), nil }

// A timeout leaves the reader in step, wherever in a reply it comes: the next call
// reads on.
func TestReaderAfterTimeout(t *testing.T) {
	const in = "250-2.1.0 first\r\n250-second\r\n250 2.1.5 third\r\n"
	want, err := NewReader(strings.NewReader(in)).ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= len(in); n++ {
		if got, err := readLate([]byte(in), n); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("a timeout after every %d bytes: got %+v, %v, want %+v", n, got, err, want)
		}
	}
}

// readLate reads a reply with a timeout before every n bytes.
func readLate(in []byte, n int) (reply Reply, err error) {
	r := NewReader(&lateReader{chunkReader{in, n}, false})
	for {
		if reply, err = r.ReadReply(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return reply, err
		}
	}
}

type lateReader struct {
	chunkReader
	late bool
}

func (r *lateReader) Read(p []byte) (int, error) {
	if r.late = !r.late; r.late {
		return 0, os.ErrDeadlineExceeded
	}
	return r.chunkReader.Read(p)
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 x\r\n", "250-a\r\n550 b\r\n", "25", "\x00\r\n", "250 a\nb\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, chunk int) {
		whole, err := NewReader(strings.NewReader(string(in))).ReadReply()
		split, splitErr := NewReader(&chunkReader{in, max(1, chunk%64)}).ReadReply()
		if !reflect.DeepEqual(whole, split) || (err == nil) != (splitErr == nil) {
			t.Fatalf("whole gives %+v, %v; split gives %+v, %v", whole, err, split, splitErr)
		}
		if late, lateErr := readLate(in, max(1, chunk%64)); !reflect.DeepEqual(whole, late) || (err == nil) != (lateErr == nil) {
			t.Fatalf("whole gives %+v, %v; with timeouts %+v, %v", whole, err, late, lateErr)
		}
		want, ok := slowReply(string(in))
		if ok != (err == nil) {
			t.Fatalf("%q: got error %v, the slow parser says ok=%v", in, err, ok)
		}
		if ok && whole.Code != want {
			t.Fatalf("%q: got code %d, the slow parser says %d", in, whole.Code, want)
		}
		for _, l := range whole.Lines {
			if strings.ContainsAny(l, "\r\n\x00\x1b") {
				t.Fatalf("line %q is not safe to log", l)
			}
		}
	})
}

type chunkReader struct {
	b []byte
	n int
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b[:min(r.n, len(r.b))])
	r.b = r.b[n:]
	return n, nil
}

// slowReply is a second opinion, written from the grammar.
func slowReply(in string) (code int, ok bool) {
	first := ""
	for total, lines := 0, 1; ; lines++ {
		line, rest, found := strings.Cut(in, "\n")
		if !found || len(line)+1 > maxLine {
			return 0, false
		}
		line = strings.TrimRight(line, "\r")
		total += len(line)
		if total > maxReply || lines > maxLines || len(line) < 3 || first != "" && line[:3] != first {
			return 0, false
		}
		first = line[:3]
		if !strings.Contains("2345", first[:1]) || strings.Trim(first, "0123456789") != "" {
			return 0, false
		}
		if len(line) == 3 || line[3] == ' ' {
			return int(first[0]-'0')*100 + int(first[1]-'0')*10 + int(first[2]-'0'), true
		}
		if line[3] != '-' {
			return 0, false
		}
		in = rest
	}
}

func TestAppendCommand(t *testing.T) {
	b, err := AppendCommand([]byte("MAIL FROM:<>\r\n"), []byte("RCPT TO:<a@b.example>"))
	if want := "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n"; err != nil || string(b) != want {
		t.Errorf("got %q, %v, want %q", b, err, want)
	}
	for _, bad := range []string{"NOOP\r\nQUIT", "NOOP\nQUIT", "NOOP\rQUIT", "NOOP\x00", "NOOP\x7f", strings.Repeat("x", 1301)} {
		b, err := AppendCommand([]byte("NOOP\r\n"), []byte(bad))
		if err == nil || string(b) != "NOOP\r\n" {
			t.Errorf("%.20q: got %q, %v, want an error and nothing added", bad, b, err)
		}
	}
}

// A buffer that is given up has nothing of what was read, and the reader goes on with
// another one.
func TestRestLeavesNothing(t *testing.T) {
	r := NewReader(io.MultiReader(strings.NewReader("250 2.0.0 Ok: queued as secret\r\n"), strings.NewReader("221 bye\r\n")))
	if _, err := r.ReadReply(); err != nil {
		t.Fatal(err)
	}
	buf := r.buf
	r.Rest()
	if r.buf != nil || len(buf) != maxLine || strings.Trim(string(buf), "\x00") != "" {
		t.Errorf("%d bytes, in which is left: %.60q", len(buf), strings.Trim(string(buf), "\x00"))
	}
	if reply, err := r.ReadReply(); err != nil || reply.Code != 221 {
		t.Errorf("%+v, %v", reply, err)
	}
}
