package content

import (
	"bytes"
	"encoding/base64"
)

const upperHex = "0123456789ABCDEF"

// quoter writes quoted-printable (RFC 2045, Section 6.7). The zero quoter stands
// at the start of a line.
type quoter struct {
	col   int
	blank byte   // a space or tab that may be the last of its line
	cut   []byte // an = at the end of a piece
}

// maxQuoted is the longest line with its = at the end.
const maxQuoted = 76

// text adds bytes of a line, without its end.
func (q *quoter) text(dst, p []byte) []byte {
	for i, c := range p {
		if c == ' ' || c == '\t' {
			dst = q.flush(dst)
			q.blank = c
			continue
		}
		dst = q.flush(dst)
		dst = q.char(dst, c, p[i:])
	}
	return dst
}

// flush writes a blank, since it is not the last of its line.
func (q *quoter) flush(dst []byte) []byte {
	if q.blank == 0 {
		return dst
	}
	dst = q.room(dst, 1)
	dst = append(dst, q.blank)
	q.col++
	q.blank = 0
	return dst
}

// char writes one byte that is no blank; rest begins with it.
func (q *quoter) char(dst []byte, c byte, rest []byte) []byte {
	literal := c > ' ' && c <= '~' && c != '='
	if literal {
		dst = q.room(dst, 1)
	}
	if literal && (q.col > 0 || !unsafeStart(rest)) {
		q.col++
		return append(dst, c)
	}
	return q.escaped(dst, c)
}

func (q *quoter) escaped(dst []byte, c byte) []byte {
	dst = q.room(dst, 3)
	q.col += 3
	return append(dst, '=', upperHex[c>>4], upperHex[c&15])
}

// unsafeStart tells that a line should not begin so: with a dot, with From and a
// blank, which mailbox files take for the next message, or with two hyphens, which
// could make it a delimiter. A begin that is cut counts.
func unsafeStart(rest []byte) bool {
	return rest[0] == '.' || startsLike(rest, "From ") || startsLike(rest, "--")
}

func startsLike(p []byte, s string) bool {
	n := min(len(p), len(s))
	return string(p[:n]) == s[:n]
}

// room breaks the line where n more would not fit.
func (q *quoter) room(dst []byte, n int) []byte {
	if q.col+n < maxQuoted {
		return dst
	}
	q.col = 0
	return append(dst, "=\r\n"...)
}

// endLine writes a line end that is part of the text.
func (q *quoter) endLine(dst []byte) []byte {
	dst = append(q.endText(dst), '\r', '\n')
	q.col = 0
	return dst
}

// endText ends the text without a line end. A blank at the end of a line would
// be lost.
func (q *quoter) endText(dst []byte) []byte {
	if q.blank != 0 {
		dst = q.escaped(dst, q.blank)
		q.blank = 0
	}
	return dst
}

// requote mends a line that says it is quoted-printable already but has bytes
// above 126, or is too long. Readers take such bytes as they are, so that quoting
// them does not change what is read.
func (q *quoter) requote(dst, p []byte) []byte {
	p = append(q.cut, p...)
	q.cut = nil
	for len(p) > 0 {
		switch c := p[0]; {
		case isLineEnd(p):
			q.col = 0
			return append(dst, p...)
		case c == '=' && isOpen(p):
			q.cut = bytes.Clone(p) // what it is comes with the next piece
			return dst
		case c == '=' && isLineEnd(bytes.TrimLeft(p[1:], " \t")):
			q.col = 0 // a soft line break
			return append(dst, p...)
		case c == '=' && len(p) >= 3 && isHex(p[1]) && isHex(p[2]):
			dst = append(q.room(dst, 3), p[:3]...)
			q.col += 3
			p = p[3:]
		case c >= 0x80, c == '=':
			dst = q.escaped(dst, c)
			p = p[1:]
		default:
			// A line that begins here and not in the source must be safe.
			broken := q.col+1 >= maxQuoted
			dst = q.room(dst, 1)
			if broken && unsafeStart(p) {
				dst = q.escaped(dst, c)
			} else {
				dst = append(dst, c)
				q.col++
			}
			p = p[1:]
		}
	}
	return dst
}

// isOpen tells that only the next piece of a line shows what an = is, which p begins
// with: blanks go before the end of a line in a soft line break, but not for ever.
func isOpen(p []byte) bool {
	rest := bytes.TrimLeft(p[1:], " \t")
	return len(rest) == 0 && len(p) < MaxLine || len(p) == 2 && rest[0] != '\n'
}

// endRequote writes what waited for another piece.
func (q *quoter) endRequote(dst []byte) []byte {
	dst = append(dst, q.cut...)
	q.cut = nil
	return dst
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}

// rebase mends a line that says it is base64 already but has bytes above 127,
// which are no part of it and which readers must overlook, or is too long (RFC
// 2045, Section 6.8).
func (q *quoter) rebase(dst, p []byte) []byte {
	line := cutEnd(p)
	for _, c := range line {
		if c >= 0x80 {
			continue
		}
		// A line must not begin with a hyphen here: it could become a delimiter.
		if q.col >= maxQuoted && c != '-' {
			dst = append(dst, '\r', '\n')
			q.col = 0
		}
		dst = append(dst, c)
		q.col++
	}
	if len(line) < len(p) {
		q.col = 0
	}
	return append(dst, p[len(line):]...)
}

func isLineEnd(p []byte) bool { return string(p) == "\r\n" || string(p) == "\n" }

// base64Writer writes base64 in lines of 76 (RFC 2045, Section 6.8).
type base64Writer struct {
	buf [57]byte
	n   int
}

func (b *base64Writer) text(dst, p []byte) []byte {
	for len(p) > 0 {
		n := copy(b.buf[b.n:], p)
		b.n += n
		p = p[n:]
		if b.n == len(b.buf) {
			dst = base64.StdEncoding.AppendEncode(dst, b.buf[:])
			dst = append(dst, '\r', '\n')
			b.n = 0
		}
	}
	return dst
}

// end writes what is left, and a line end behind it where it is wanted.
func (b *base64Writer) end(dst []byte) []byte {
	if b.n > 0 {
		dst = base64.StdEncoding.AppendEncode(dst, b.buf[:b.n])
		dst = append(dst, '\r', '\n')
		b.n = 0
	}
	return dst
}
