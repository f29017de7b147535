package content

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Facts are what one pass over a message finds.
type Facts struct {
	Size         int64  // bytes as read
	WireSize     int64  // bytes with every line end as CRLF, before dots are doubled
	LongestLine  int64  // without its end
	Sum          uint64 // of the bytes as read, comparable within this process
	EightBit     bool   // a byte above 127
	HeaderUTF8   bool   // one in the header, all of which is valid UTF-8
	NUL          bool
	StrayCRLF    bool // a CR or LF alone
	LeadingDots  bool // a line that begins with a dot
	Unterminated bool // the last line has no end
}

// Clean tells that the bytes can go out after DATA as they are.
func (f *Facts) Clean() bool { return !f.StrayCRLF && !f.LeadingDots && !f.Unterminated }

// Repaired tells that the bytes can go out in a chunk as they are.
func (f *Facts) Repaired() bool { return !f.StrayCRLF && !f.Unterminated }

// Scanner finds the Facts of what is written to it. It keeps nothing of it.
type Scanner struct {
	// Unsummed leaves Facts.Sum out, for bytes that are not read a second time.
	Unsummed bool

	facts Facts
	sum   Sum
	marks Marks
	line  int64 // bytes of the current line so far, a pending CR not counted
	cr    bool  // the last byte was a CR
	crs   int   // CRs before a line end, and the pending one, of the block in work
	body  bool  // the empty line behind the header has passed
	utf8  utf8Check
}

// scanBlock is how much is looked at in one go: it stays in the processor's
// nearest cache while several loops pass over it.
const scanBlock = 16 << 10

// Write looks at the next bytes.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		block := p[:min(len(p), scanBlock, UntilMark(s.facts.Size))]
		s.facts.Size += int64(len(block))
		if !s.Unsummed {
			s.sum.Write(block)
			s.mark()
		}
		s.anywhere(block)
		s.lines(block)
		p = p[len(block):]
	}
	return n, nil
}

// anywhere looks for what counts wherever it stands. Line by line that would take
// three times as long.
func (s *Scanner) anywhere(block []byte) {
	s.facts.NUL = s.facts.NUL || bytes.IndexByte(block, 0) >= 0
	s.facts.EightBit = s.facts.EightBit || eightBit(block)
}

// lines takes a block apart. A CR that is neither before a LF nor the last byte
// stands alone: there are more of them than were passed at these places.
func (s *Scanner) lines(block []byte) {
	s.crs = 0
	guess := true
	for p := block; len(p) > 0; {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.text(p)
			break
		}
		if i == 0 || !s.body || s.line > 0 || s.cr {
			s.text(p[:i])
			s.endLine()
			p = p[i+1:]
			continue
		}
		s.bodyLine(p[:i])
		p = p[i+1:]
		if guess {
			var like int
			like, guess = alike(p, i+1)
			s.crs += like
			s.facts.WireSize += int64(like * (i + 1))
			p = p[like*(i+1):]
		}
	}
	if !s.facts.StrayCRLF && bytes.Count(block, []byte{'\r'}) > s.crs {
		s.facts.StrayCRLF = true
	}
}

// alike counts the lines that p begins with and that are as long as the one before,
// n bytes with CRLF: as in base64, all are. Where they should end is seen without a
// search, and one count of LFs shows that no other is among them. If there is, it is
// not worthwhile to try again. Lines with a dot in front are left to others.
func alike(p []byte, n int) (lines int, worthwhile bool) {
	end := n
	for n >= 2 && end <= len(p) && p[end-1] == '\n' && p[end-2] == '\r' && p[end-n] != '.' {
		end += n
	}
	lines = end/n - 1
	if lines > 0 && bytes.Count(p[:lines*n], []byte{'\n'}) != lines {
		return 0, false
	}
	return lines, true
}

// bodyLine is text and endLine for a whole line of the body, as most are. It has at
// least one byte, which may be the CR of its end.
func (s *Scanner) bodyLine(p []byte) {
	f, n := &s.facts, int64(len(p))
	if p[n-1] == '\r' {
		n--
		s.crs++
	} else {
		f.StrayCRLF = true
	}
	f.LeadingDots = f.LeadingDots || p[0] == '.'
	f.WireSize += n + 2
	f.LongestLine = max(f.LongestLine, n)
}

// text looks at a piece of a line.
func (s *Scanner) text(p []byte) {
	if len(p) == 0 {
		return
	}
	if s.cr { // and no LF came: it goes out as a space
		s.cr = false
		s.facts.StrayCRLF = true
		s.line++
		s.utf8.endWord()
	}
	if s.line == 0 && p[0] == '.' {
		s.facts.LeadingDots = true
	}
	if p[len(p)-1] == '\r' {
		s.cr = true
		s.crs++
		p = p[:len(p)-1]
	}
	s.line += int64(len(p))
	if !s.body {
		s.utf8.write(p)
	}
}

func (s *Scanner) endLine() {
	if !s.cr {
		s.facts.StrayCRLF = true
	}
	s.cr = false
	if s.line == 0 {
		s.body = true
	}
	s.utf8.endWord()
	s.countLine()
}

func (s *Scanner) countLine() {
	s.facts.WireSize += s.line + 2
	s.facts.LongestLine = max(s.facts.LongestLine, s.line)
	s.line = 0
}

// Facts ends the pass.
func (s *Scanner) Facts() Facts {
	if s.cr {
		s.cr = false
		s.facts.StrayCRLF = true
		s.line++
	}
	if s.line > 0 {
		s.facts.Unterminated = true
		s.countLine()
	}
	s.facts.HeaderUTF8 = s.utf8.found && s.utf8.valid()
	if !s.Unsummed {
		s.facts.Sum = s.sum.Sum64()
	}
	return s.facts
}

// utf8Check tells whether bytes that come in pieces are UTF-8, and more than
// ASCII.
type utf8Check struct {
	found   bool // a byte above 127
	invalid bool
	cut     []byte // the begin of a character at the end of a piece
}

func (u *utf8Check) write(p []byte) {
	if u.invalid || len(u.cut) == 0 && !eightBit(p) {
		return
	}
	u.found = true
	for len(u.cut) > 0 && len(p) > 0 {
		u.cut = append(u.cut, p[0])
		p = p[1:]
		if utf8.FullRune(u.cut) {
			u.invalid = !utf8.Valid(u.cut)
			u.cut = u.cut[:0]
		}
	}
	for len(p) > 0 && utf8.FullRune(p) {
		c, size := utf8.DecodeRune(p)
		if c == utf8.RuneError && size == 1 {
			u.invalid = true
			return
		}
		p = p[size:]
	}
	u.cut = append(u.cut, p...)
}

// endWord is told of a CR or LF, over which no character goes.
func (u *utf8Check) endWord() { u.invalid = u.invalid || len(u.cut) > 0 }

func (u *utf8Check) valid() bool { return !u.invalid && len(u.cut) == 0 }

// eightBit looks for a byte above 127, many at a time.
func eightBit(p []byte) bool {
	for ; len(p) >= 64; p = p[64:] {
		q := (*[64]byte)(p) // so that no bound is checked again
		a, b := binary.LittleEndian.Uint64(q[0:]), binary.LittleEndian.Uint64(q[8:])
		c, d := binary.LittleEndian.Uint64(q[16:]), binary.LittleEndian.Uint64(q[24:])
		e, f := binary.LittleEndian.Uint64(q[32:]), binary.LittleEndian.Uint64(q[40:])
		g, h := binary.LittleEndian.Uint64(q[48:]), binary.LittleEndian.Uint64(q[56:])
		if (a|b|c|d|e|f|g|h)&0x8080808080808080 != 0 {
			return true
		}
	}
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
