package smtpclient

import (
	"bytes"
	"io"
	"net"
	"os"
	"slices"

	"github.com/postrider/postrider/internal/content"
)

// bare tells that the connection is a socket without TLS, where several pieces of
// memory make one write, and the system can send a file.
func (s *Session) bare() bool { return isSocket(s.conn) }

func isSocket(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// canGoStraight tells that the content is a file that can go as it is, and that a
// change of it would show.
func (t *transaction) canGoStraight() bool {
	_, tcp := t.s.conn.(*net.TCPConn)
	m := t.message
	return tcp && m.info != nil && m.settled && (m.facts.Repaired() || t.env.Body == BodyBinary)
}

// writeFile has the system send the file without a copy, but for a short tail. That it
// is still what was scanned is looked for before the tail goes out; until then the
// server does not have the message.
func (o *outgoing) writeFile() error {
	m, file := o.t.message, o.t.reader
	rest := max(0, m.size-smallTail)
	if rest > 0 {
		if err := o.flush(); err != nil {
			return err
		}
		if err := o.sendFile(file.(*os.File), rest); err != nil {
			return err
		}
	}
	o.room = smallRoom()
	o.buf = append(o.room.out, o.buf...)
	start := len(o.buf)
	o.buf = append(o.buf, make([]byte, m.size-rest)...)
	if _, err := io.ReadFull(file, o.buf[start:]); err != nil || !m.unchanged(file) {
		return m.changed()
	}
	return nil
}

// sendFile sends the first n bytes of the file.
func (o *outgoing) sendFile(file *os.File, n int64) error {
	for done := int64(0); done < n; {
		start := o.allow(maxBlock)
		sent, err := io.Copy(o.t.s.conn, io.LimitReader(file, n-done))
		done += sent
		late := err != nil
		if err = o.wrote(sent, start, err); err != nil {
			return err
		}
		if !late && done < n {
			return o.t.message.changed()
		}
		// Where the system cannot do it, more may have been read than went out.
		if _, err := file.Seek(done, io.SeekStart); err != nil {
			return o.t.message.changed()
		}
	}
	return nil
}

// flush writes what is in the buffer.
func (o *outgoing) flush() error {
	err := o.send(o.buf)
	o.buf = o.buf[:0]
	return err
}

// writeThrough writes from the caller's memory without a copy: on a socket the tail,
// too, but for one that is not worth a piece of its own.
func (o *outgoing) writeThrough(b []byte) error {
	if len(b) <= smallTail || !o.t.s.bare() {
		o.furnish()
	}
	tail := o.tail()
	if !o.t.chunked {
		tail -= len(content.EndOfData) // with which it is one piece
	}
	if rest := len(b) - tail; rest > 0 {
		if err := o.pass(b[:rest]); err != nil {
			return err
		}
		b = b[rest:]
	}
	if o.room == nil {
		o.hold(b)
		return nil
	}
	o.buf = append(o.buf, b...)
	return nil
}

// pass writes p, with what is in the buffer in front of it.
func (o *outgoing) pass(p []byte) error {
	switch {
	case len(o.buf) == 0:
	case o.t.s.bare():
		n := min(len(p), maxBlock)
		if err := o.vector(append(o.vec[:0], p[:n])); err != nil {
			return err
		}
		p = p[n:]
	default: // one record of TLS, not two
		n := min(len(p), max(0, o.tail()-len(o.buf)))
		o.buf = append(o.buf, p[:n]...)
		if err := o.flush(); err != nil {
			return err
		}
		p = p[n:]
	}
	return o.send(p)
}

// maxPieces is how many pieces of memory make a block. With a dot more often than
// every few hundred bytes a copy is cheaper, as BenchmarkContent shows.
const maxPieces = 256

// writeDotted writes from the caller's memory without a copy, but for the tail,
// where lines begin with a dot: another dot goes between.
func (o *outgoing) writeDotted(b []byte) error {
	enc := content.Encoder{}
	o.buf = enc.Append(o.buf, o.t.message.head)
	for len(b) > maxTail {
		// A block ends with a line, so that the next one begins with one.
		p := b[:min(len(b)-maxTail, maxBlock)]
		if p = p[:bytes.LastIndexByte(p, '\n')+1]; len(p) == 0 {
			break
		}
		vec, ok := splice(o.vec[:0], p)
		if !ok {
			break // and the rest will not be much different
		}
		if err := o.vector(vec); err != nil {
			return err
		}
		b = b[len(p):]
	}
	o.furnish()
	for p := range slices.Chunk(b, len(o.room.in)) {
		o.buf = enc.Append(o.buf, p)
		if err := o.drain(); err != nil {
			return err
		}
	}
	o.buf = enc.End(o.buf)
	return nil
}

var dot = []byte{'.'}

// splice adds whole lines to vec, with another dot before each that begins a
// line. It gives up where there are too many.
func splice(vec net.Buffers, lines []byte) (net.Buffers, bool) {
	if lines[0] == '.' {
		vec = append(vec, dot)
	}
	for len(vec) < maxPieces {
		i := bytes.Index(lines, []byte("\n."))
		if i < 0 {
			return append(vec, lines), true
		}
		vec = append(vec, lines[:i+1], dot)
		lines = lines[i+1:]
	}
	return nil, false
}

// vector writes one block of several pieces, with what is in the buffer in front.
func (o *outgoing) vector(pieces net.Buffers) error {
	if len(o.buf) > maxGroup {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if len(o.buf) > 0 {
		pieces = slices.Insert(pieces, 0, o.buf)
	}
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	start := o.allow(n)
	sent, err := o.writePieces(pieces)
	o.buf = o.buf[:0]
	if err != nil {
		return &writeError{err}
	}
	return o.wrote(sent, start, nil)
}

// writePieces writes several pieces at once, to a socket.
func (o *outgoing) writePieces(pieces net.Buffers) (int64, error) {
	o.vec = pieces[:0]
	defer clear(pieces) // the caller's memory is not kept
	return pieces.WriteTo(o.t.s.conn)
}
