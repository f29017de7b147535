package smtpclient_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"time"
)

// tape is a connection whose server is nothing but bytes. It has no clock: a
// server that is silent is a deadline that has passed. What the client does is
// kept for the referee.
type tape struct {
	deadlines
	stream []byte // all that the server ever says
	pieces []piece
	given  int   // bytes of stream that the client has read
	end    error // of a Read behind the last piece
	room   int   // bytes that Write still takes
	full   error // of a Write beyond them

	out    []byte // all that the client wrote
	writes []writing
	dead   bool // a Read or a Write has failed
	idle   int  // reads behind the end
	faults []string
}

// piece is what one Read gives at most.
type piece struct {
	data  []byte
	early bool // it comes before the client waits for it
}

// writing is one Write.
type writing struct {
	at, n int  // in out
	given int  // bytes that the client had read by then
	ready int  // and those that it could have read without waiting
	dead  bool // after a Read or Write had failed
	short bool // it failed itself
}

// deadlines is the part of a net.Conn that a connection without a clock needs.
type deadlines struct {
	deadline time.Time
	closed   bool
}

func (d *deadlines) SetDeadline(t time.Time) error      { d.deadline = t; return nil }
func (d *deadlines) SetReadDeadline(t time.Time) error  { d.deadline = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.deadline = t; return nil }
func (d *deadlines) Close() error                       { d.closed = true; return nil }
func (*deadlines) LocalAddr() net.Addr                  { return tapeAddr("192.0.2.1:49152") }
func (*deadlines) RemoteAddr() net.Addr                 { return tapeAddr("192.0.2.25:25") }

func tapeAddr(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// ready is nil, or why nothing can be read or written.
func (d *deadlines) ready() error {
	switch {
	case d.closed:
		return net.ErrClosed
	case !d.deadline.IsZero() && !time.Now().Before(d.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// maxIdle is how often a client may read behind the end before it counts as one
// that never returns.
const maxIdle = 100

func (c *tape) Read(p []byte) (int, error) {
	if c.deadline.IsZero() {
		c.faults = append(c.faults, "a Read without a deadline")
	}
	if err := c.ready(); err != nil {
		c.dead = true
		return 0, err
	}
	if len(c.pieces) == 0 {
		c.dead = true
		if c.idle++; c.idle == maxIdle {
			c.faults = append(c.faults, "reads behind the end, again and again")
			panic("this is endless")
		}
		return 0, c.end
	}
	next := &c.pieces[0]
	n := copy(p, next.data)
	next.data, next.early = next.data[n:], true
	if len(next.data) == 0 {
		c.pieces = c.pieces[1:]
	}
	c.given += n
	return n, nil
}

// Buffered tells how much can be read without waiting.
func (c *tape) Buffered() int {
	n := 0
	for _, p := range c.pieces {
		if !p.early {
			break
		}
		n += len(p.data)
	}
	return n
}

func (c *tape) Write(p []byte) (int, error) {
	if c.deadline.IsZero() {
		c.faults = append(c.faults, "a Write without a deadline")
	}
	if err := c.ready(); err != nil {
		c.dead = true
		return 0, err
	}
	n := min(len(p), c.room)
	c.writes = append(c.writes, writing{len(c.out), n, c.given, c.given + c.Buffered(), c.dead, n < len(p)})
	c.out = append(c.out, p[:n]...)
	c.room -= n
	if n < len(p) {
		c.dead = true
		return n, c.full
	}
	return n, nil
}

// cut makes pieces of stream as cuts says, byte by byte, again and again:
//
//	0x00 to 0x3f  the next line, or so many bytes
//	0x40          so many lines and one more, in place of bytes
//	0x80          early
//
// Without cuts each piece is a line.
func cut(stream, cuts []byte) []piece {
	var pieces []piece
	for i := 0; len(stream) > 0; i++ {
		var how byte
		if len(cuts) > 0 {
			how = cuts[i%len(cuts)]
		}
		n := int(how & 0x3f)
		if how&0x40 != 0 || n == 0 {
			n = lineEnds(stream, n+1)
		}
		n = min(n, len(stream))
		pieces = append(pieces, piece{stream[:n:n], how&0x80 != 0})
		stream = stream[n:]
	}
	return pieces
}

// lineEnds is the length of the first n lines of b.
func lineEnds(b []byte, n int) int {
	length := 0
	for range n {
		i := bytes.IndexByte(b[length:], '\n')
		if i < 0 {
			return len(b)
		}
		length += i + 1
	}
	return length
}
