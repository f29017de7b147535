package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Bounds of one reply. RFC 5321, Section 4.5.3.1.5 lets a server send lines of
// 512 octets; real ones send longer ones, and hostile ones send without end.
const (
	maxLine  = 4 << 10  // a longer line is refused
	maxReply = 64 << 10 // all lines of one reply together
	maxLines = 1 << 10
	keepText = 4 << 10 // text kept of a reply that is not the one to EHLO

	// maxChallenge has room for the 12288 bytes of RFC 4954, Section 4.
	maxChallenge = 12288 + len("334 \r\n")
)

// Errors of a reply. They name what was wrong; the text of the server is not in
// them unless it was made safe to log.
var (
	ErrTooLong   = errors.New("reply exceeds the bounds of this client")
	ErrMixedCode = errors.New("lines of one reply have different codes")
)

// SyntaxError is a line that is no reply line of RFC 5321, Section 4.2.
type SyntaxError struct{ Line string } // safe to log, cut after 80 bytes

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not an SMTP reply: %q%s", e.Line, e.hint())
}

// hint names the protocols that are met most on a wrong port.
func (e *SyntaxError) hint() string {
	switch {
	case strings.HasPrefix(e.Line, "HTTP/"):
		return " (an HTTP server?)"
	case strings.HasPrefix(e.Line, "SSH-"):
		return " (an SSH server?)"
	case strings.HasPrefix(e.Line, "??"): // a TLS alert: 0x15 0x03
		return " (a server that speaks TLS at once?)"
	case strings.HasPrefix(e.Line, "* OK"):
		return " (an IMAP server?)"
	case strings.HasPrefix(e.Line, "+OK"):
		return " (a POP3 server?)"
	}
	return ""
}

// Reply is one reply, its text safe to log. Its Lines are shared with other replies
// and must not be changed.
type Reply struct {
	Code     int
	Enhanced string   // of the last line that has one of the reply's own class
	Lines    []string // text after the code
}

// Reader reads replies from a connection. Any error but a timeout is final: the
// stream is out of step after it. After a timeout the same reply is read on.
type Reader struct {
	// Filter, if it is set, changes each line before it is read as a reply, and
	// then as strictly as one from the wire.
	Filter func(line []byte) ([]byte, error)

	r          io.Reader
	buf        []byte
	start, end int // of what is buffered
	most       int // bytes of buf that were used since it was empty
	known      [3]known
	next       int32 // of known, to be replaced
	repeated   int32 // bytes of the last reply, if it was one line and stands in buf before start
	cut        *part
}

// part is what was read of a reply when a timeout came: its first n-1 lines.
type part struct {
	reply          Reply
	total, n, keep int
}

// known is a reply of one line that came before. A server says the same again and
// again: what was made of it once is given again.
type known struct {
	line     string
	text     *[1]string
	code     uint16
	enhanced uint8 // bytes of text; all in little room, since sessions rest with it
}

// maxKnown is the longest line that is kept: others come once.
const maxKnown = 64

// recall finds a reply of one line that came before.
func (r *Reader) recall(line []byte) (Reply, bool) {
	for i := range r.known {
		if k := &r.known[i]; k.line == string(line) && k.line != "" {
			return Reply{int(k.code), k.text[0][:k.enhanced], k.text[:]}, true
		}
	}
	return Reply{}, false
}

// remember keeps a reply of one line, and gives it. The text and the line are one piece
// of memory where they are alike.
func (r *Reader) remember(line []byte, code, enhanced int, text []byte) Reply {
	k := known{string(line), new([1]string), uint16(code), uint8(enhanced)}
	if isPrintable(text) {
		k.text[0] = k.line[len(line)-len(text):]
	} else {
		k.text[0] = printable(text)
	}
	r.known[r.next] = k
	r.next = (r.next + 1) % int32(len(r.known))
	return Reply{code, k.text[0][:enhanced], k.text[:]}
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Buffered is the number of bytes that came beyond the last reply.
func (r *Reader) Buffered() int { return r.end - r.start }

// Complete tells that a whole reply is buffered: to read it takes no wait. What a
// Filter makes of it is not known before.
func (r *Reader) Complete() bool {
	if r.Filter != nil {
		return false
	}
	for b := r.buf[r.start:r.end]; ; {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return false
		}
		if i < 4 || b[3] != '-' {
			return true
		}
		b = b[i+1:]
	}
}

// buffers are those of readers that rest. They are empty and all zero.
var buffers = sync.Pool{New: func() any { return new([maxLine]byte) }}

// Again takes those of the next replies that are buffered and the last one over again,
// byte by byte: most of them, if so many are. It tells how many.
func (r *Reader) Again(most int) int {
	n := int(r.repeated)
	if n == 0 || r.Filter != nil {
		return 0
	}
	most = min(most, r.Buffered()/n)
	// What is the same n bytes further on throughout is the same n bytes over and over.
	if all := most * n; !bytes.Equal(r.buf[r.start:r.start+all], r.buf[r.start-n:r.start-n+all]) {
		for most = 0; bytes.Equal(r.buf[r.start+most*n:r.start+most*n+n], r.buf[r.start-n:r.start]); most++ {
		}
	}
	r.start += most * n
	return most
}

// Rest gives the buffer up if nothing is in it, until it is needed again: nothing is
// to be read for long.
func (r *Reader) Rest() {
	if r.Buffered() != 0 {
		return
	}
	if len(r.buf) == maxLine && r.Filter == nil { // which may have kept a line
		clear(r.buf[:r.most])
		buffers.Put((*[maxLine]byte)(r.buf))
	}
	r.buf, r.start, r.end, r.most, r.repeated = nil, 0, 0, 0, 0
}

// Poll reads once, as much as there is. After a timeout the stream is still in
// step.
func (r *Reader) Poll() error {
	if r.end-r.start == len(r.buf) && r.buf != nil {
		return ErrTooLong
	}
	return r.fill()
}

// ReadReply reads one reply and keeps at most 4 KiB of its text:
//
//	250-first line
//	250 last line
func (r *Reader) ReadReply() (Reply, error) { return r.read(keepText) }

// ReadHello reads one reply and keeps all of its text, since in the reply to
// EHLO each line counts.
func (r *Reader) ReadHello() (Reply, error) { return r.read(maxReply) }

// ReadChallenge reads one reply to AUTH, whose lines may be longer than others.
func (r *Reader) ReadChallenge() (Reply, error) {
	if len(r.buf) < maxChallenge {
		buf := make([]byte, maxChallenge)
		r.start, r.end, r.repeated = 0, copy(buf, r.buf[r.start:r.end]), 0
		r.buf = buf
	}
	return r.read(maxChallenge)
}

func (r *Reader) read(keep int) (Reply, error) {
	var reply Reply
	var all piece
	total, n := 0, 1
	if p := r.cut; p != nil {
		reply, total, n, keep = p.reply, p.total, p.n, p.keep
		r.cut = nil
	}
	for ; ; n++ {
		line, err := r.readLine()
		at := r.start - int(r.repeated)
		if n > 1 && isTimeout(err) {
			r.cut = &part{reply, total, n, keep}
		}
		if err == nil && r.Filter != nil {
			line, err = r.Filter(line)
		}
		if err != nil {
			return Reply{}, err
		}
		if n == 1 {
			if reply, ok := r.recall(line); ok {
				return reply, nil
			}
		} else {
			r.repeated = 0
		}
		total += len(line)
		if total > maxReply || n > maxLines {
			return Reply{}, ErrTooLong
		}
		code, text, last, err := parseLine(line)
		if err != nil {
			return Reply{}, err
		}
		if n > 1 && code != reply.Code {
			// RFC 5321, Section 4.2.1: the code is the same on every line. To
			// let the last one win, as Postfix does, is to guess.
			return Reply{}, ErrMixedCode
		}
		reply.Code = code
		end := enhancedLen(code, text)
		if n == 1 && last && len(line) <= maxKnown && (r.start < r.end || code == 354) {
			// The last word on a message is different each time; what more has come
			// behind is not the last word.
			return r.remember(line, code, end, text), nil
		}
		if n == 1 && !last {
			all, reply.Lines = r.ahead(at)
		}
		kept := all.part(at+len(line)-len(text), text)
		if end > 0 {
			reply.Enhanced = kept[:end] // digits and dots stay as they are
		}
		if len(text) <= keep {
			keep -= len(text)
			reply.Lines = append(reply.Lines, kept)
		} else if keep >= 0 {
			keep = -1
			reply.Lines = append(reply.Lines, "[...]")
		}
		if last {
			return reply, nil
		}
	}
}

// piece is a reply of several lines in one piece of memory, of which its lines are
// parts. Zero is none.
type piece struct {
	text string
	at   int // where it begins in the buffer
}

// ahead is the piece for a reply that begins there, with room for its lines, if all of
// it has come.
func (r *Reader) ahead(at int) (piece, []string) {
	end, lines := r.start, 1
	for more := r.Filter == nil; more; lines++ {
		i := bytes.IndexByte(r.buf[end:r.end], '\n')
		if i < 0 {
			return piece{}, nil
		}
		more = i > 3 && r.buf[end+3] == '-'
		end += i + 1
	}
	if lines == 1 {
		return piece{}, nil
	}
	return piece{string(r.buf[at:end]), at}, make([]string, 0, min(lines, maxLines))
}

// part is text safe to log, which stands there in the buffer.
func (p *piece) part(at int, text []byte) string {
	if p.text == "" || !isPrintable(text) {
		return printable(text)
	}
	return p.text[at-p.at:][:len(text)]
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// readLine gives the next line without its end. A bare LF ends a line too: such
// servers exist, and nothing else could be meant. The line is valid until the
// next call.
func (r *Reader) readLine() ([]byte, error) {
	for scanned := 0; ; {
		if i := bytes.IndexByte(r.buf[r.start+scanned:r.end], '\n'); i >= 0 {
			line := r.buf[r.start : r.start+scanned+i]
			r.repeated = int32(scanned + i + 1)
			r.start += scanned + i + 1
			return bytes.TrimRight(line, "\r"), nil
		}
		scanned = r.end - r.start
		if scanned == len(r.buf) && r.buf != nil {
			return nil, ErrTooLong
		}
		if err := r.fill(); err != nil {
			if scanned > 0 && err == io.EOF {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// fill reads once more, after moving what is buffered to the front.
func (r *Reader) fill() error {
	if r.buf == nil {
		r.buf = buffers.Get().(*[maxLine]byte)[:]
	}
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.end -= r.start
		r.start = 0
	}
	r.repeated = 0
	for range 100 {
		n, err := r.r.Read(r.buf[r.end:])
		if n < 0 || n > len(r.buf)-r.end {
			return fmt.Errorf("connection returned an impossible count %d from Read", n)
		}
		r.end += n
		r.most = max(r.most, r.end)
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// parseLine takes one line apart:
//
//	Reply-code ( SP / "-" ) text
//
// A code alone is a whole line (RFC 5321, Section 4.2: the text may be missing).
// Codes of the class 1yz do not exist in SMTP.
func parseLine(line []byte) (code int, text []byte, last bool, err error) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0, nil, false, syntaxError(line)
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, nil, true, nil
	}
	switch line[3] {
	case ' ':
		return code, line[4:], true, nil
	case '-':
		return code, line[4:], false, nil
	}
	return 0, nil, false, syntaxError(line)
}

func syntaxError(line []byte) error {
	return &SyntaxError{Line: printable(line[:min(len(line), 80)])}
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// enhancedLen is the length of the enhanced code at the start of text: class "." subject "."
// detail (RFC 2034, Section 4). One whose class is not that of the reply is
// ignored: the reply's code counts.
func enhancedLen(code int, text []byte) int {
	class := byte('0' + code/100)
	if len(text) < 5 || text[0] != class || class == '3' || text[1] != '.' {
		return 0
	}
	subject := digits(text[2:])
	if subject == 0 || len(text) <= 2+subject || text[2+subject] != '.' {
		return 0
	}
	detail := digits(text[3+subject:])
	end := 3 + subject + detail
	if detail == 0 || end < len(text) && text[end] != ' ' && text[end] != '\t' {
		return 0
	}
	return end
}

// IsEnhanced tells whether s is an enhanced code of the class of code, and nothing
// else.
func IsEnhanced(code int, s string) bool { return s != "" && enhancedLen(code, []byte(s)) == len(s) }

// digits counts the digits at the start of b; more than three are none (RFC
// 3463, Section 2).
func digits(b []byte) int {
	n := 0
	for n < len(b) && digit(b[n]) {
		n++
	}
	if n > 3 {
		return 0
	}
	return n
}

// printable makes server text safe to log: what is not printable becomes '?', a
// tab a space.
func printable(text []byte) string {
	if !isPrintable(text) {
		return replaceUnprintable(text)
	}
	return string(text)
}

func isPrintable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func replaceUnprintable(text []byte) string {
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		switch {
		case c == '\t':
			c = ' '
		case c == utf8.RuneError && size == 1, !unicode.IsPrint(c):
			c = '?'
		}
		b.WriteRune(c)
		text = text[size:]
	}
	return b.String()
}
