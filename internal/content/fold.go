package content

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// MaxLine is the most that a line may have without its end (RFC 5321, Section
// 4.5.3.1.6).
const MaxLine = 998

// Fold gives the message of r with no line over MaxLine. In the header a line is
// broken before a blank, which changes nothing of its meaning; where it has none,
// and in the body, it is cut and goes on in a new line behind a space, as Postfix
// does, but never within a character of UTF-8.
//
// In a body that is more than a line break that was not there: in base64 it does
// not count, quoted-printable with such lines was invalid before, and a signature
// over the body breaks; see Signed.
func Fold(r io.Reader) io.Reader { return transform(r, &folder{inHeader: true}, keepEnds) }

type folder struct {
	out      []byte
	held     []byte // of a line that is too long
	inHeader bool
}

func (f *folder) take() []byte {
	out := f.out
	f.out = f.out[:0]
	return out
}

func (f *folder) line(text []byte, start, whole bool) error {
	line := cutEnd(text)
	if start && len(line) == 0 {
		f.inHeader = false
	}
	if whole && len(line) <= MaxLine {
		f.out = append(f.out, text...)
		return nil
	}
	f.held = append(f.held, text...)
	if !whole && len(line) == len(text) {
		f.cutTo(2 * MaxLine) // there is more to come
		return nil
	}
	return f.end()
}

// end writes what is left of a line.
func (f *folder) end() error {
	if line := cutEnd(f.held); f.inHeader && len(line) > MaxLine {
		// Blanks at the end would be a line of their own, which some take for
		// the end of the header.
		end := f.held[len(line):]
		f.held = append(bytes.TrimRight(line, " \t"), end...)
	}
	f.cutTo(MaxLine)
	f.out = append(f.out, f.held...)
	f.held = f.held[:0]
	return nil
}

// cutTo writes lines until at most n bytes are held.
func (f *folder) cutTo(n int) {
	for len(cutEnd(f.held)) > n {
		i := f.cut(cutEnd(f.held))
		f.out = append(f.out, f.held[:i]...)
		f.out = append(f.out, '\r', '\n')
		rest := f.held[i:]
		if !f.inHeader || rest[0] != ' ' && rest[0] != '\t' {
			i-- // its place is free now
			f.held[i] = ' '
		}
		f.held = append(f.held[:0], f.held[i:]...)
	}
}

// cut says how much of a line comes before the cut.
func (f *folder) cut(line []byte) int {
	if f.inHeader {
		for i := MaxLine; i > 0; i-- {
			// What is left of a fold must not be an empty line, on either side.
			if isBlank(line[i]) && i+1 < len(line) && !isBlank(line[i+1]) && len(bytes.TrimLeft(line[:i], " \t")) > 0 {
				return i
			}
		}
	}
	for i := MaxLine; i > MaxLine-utf8.UTFMax; i-- {
		if !utf8.RuneStart(line[i]) {
			continue
		}
		if c, size := utf8.DecodeRune(line[i:]); c != utf8.RuneError && i+size > MaxLine {
			return i
		}
		break
	}
	return MaxLine
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
