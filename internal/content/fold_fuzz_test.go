package content

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// FuzzFold: no line is too long, the pieces in which the message comes do not matter,
// what was short enough stays as it was, and nothing but line ends and spaces is added.
func FuzzFold(f *testing.F) {
	long := bytes.Repeat([]byte("x"), 2500)
	f.Add([]byte("a: b\r\n\r\nc\n"))
	f.Add(append([]byte("Subject: "), long...))
	f.Add(append(append([]byte("a: b\r\n\r\n"), bytes.Repeat([]byte("\u00e9"), 900)...), "\r\n"...))
	f.Add(append(bytes.Repeat([]byte("x "), 800), '\r'))
	f.Fuzz(func(t *testing.T, message []byte) {
		// Long lines are rare among random bytes.
		message = bytes.Replace(message, []byte("~~"), long, 4)
		whole, err := io.ReadAll(Fold(bytes.NewReader(message)))
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := io.ReadAll(Fold(iotest.OneByteReader(bytes.NewReader(message))))
		if err != nil || !bytes.Equal(whole, pieces) {
			t.Errorf("%.300q became %.300q, in pieces %.300q, %v", message, whole, pieces, err)
		}
		fits := true
		for line := range bytes.Lines(message) {
			fits = fits && len(bytes.TrimRight(line, "\r\n")) <= MaxLine
		}
		if fits && !bytes.Equal(whole, message) {
			t.Errorf("%.300q became %.300q", message, whole)
		}
		for line := range bytes.Lines(whole) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if line = bytes.TrimSuffix(line, []byte("\r")); len(line) > MaxLine {
				t.Errorf("a line of %d bytes: %.100q", len(line), line)
			}
		}
		if got, want := without(whole), without(message); !bytes.Equal(got, want) {
			t.Errorf("%.300q became %.300q", want, got)
		}
		if utf8.Valid(message) && !utf8.Valid(whole) {
			t.Error("a character was cut in two")
		}
	})
}

// without leaves out what folding may add.
func without(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == ' ' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, b)
}
