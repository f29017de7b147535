package smtptest

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Wire says how a connection in memory behaves. The zero Wire is the strictest:
// nothing is buffered on the way, as with net.Pipe.
type Wire struct {
	// Window is how many bytes each direction holds before a writer blocks.
	// Zero: none, so that a Write returns when the other end has read all
	// of it. Once TLS begins, what the server writes has at least 64 KiB.
	Window int
	// MaxWrite is how many bytes of a Write at the client's end go out at a
	// time. Each piece reaches the server as a Read of its own, and a Write
	// that a deadline, Close or a reset interrupts stops between two of them.
	// Zero: no limit.
	MaxWrite int
	// MaxRead is how many bytes a Read at the client's end returns at most.
	// Zero: no limit.
	MaxRead int
	// Delay is how long bytes, and the end of the stream, are on their way.
	// Zero: no time.
	Delay time.Duration
}

// Pipe gives the two ends of a connection in memory. MaxWrite and MaxRead are
// those of the client's end.
func Pipe(w Wire) (client, server *Conn) {
	return pipe(w, address("tcp", "192.0.2.1:49152"), address("tcp", "192.0.2.25:25"))
}

func pipe(w Wire, clientAddr, serverAddr net.Addr) (client, server *Conn) {
	up := &stream{window: w.Window, delay: w.Delay, maxWrite: w.MaxWrite}
	down := &stream{window: w.Window, delay: w.Delay, maxRead: w.MaxRead}
	client = &Conn{in: down, out: up, local: clientAddr, remote: serverAddr}
	server = &Conn{in: up, out: down, local: serverAddr, remote: clientAddr}
	return client, server
}

// address makes a net.Addr of what was dialled. A host that is a name gets an
// address for documentation, since a net.TCPAddr holds no names.
func address(network, addr string) net.Addr {
	if network == "unix" {
		return &net.UnixAddr{Name: addr, Net: network}
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return net.TCPAddrFromAddrPort(ap)
	}
	a := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 25)}
	if _, port, err := net.SplitHostPort(addr); err == nil {
		a.Port, _ = net.LookupPort("tcp", port)
	}
	return a
}

// Conn is one end of a connection in memory. It behaves as a TCP connection
// does, blocks on nothing but channels and timers, and so works in the bubbles
// of testing/synctest. Its methods may be called by many goroutines; they fail
// with a *net.OpError, but for io.EOF.
type Conn struct {
	in, out       *stream
	local, remote net.Addr
}

var _ net.Conn = (*Conn)(nil)

// Read reads what has arrived. It fails with io.EOF when the other end was
// closed, with ECONNRESET when it was reset (in both cases after the bytes sent
// before), with os.ErrDeadlineExceeded and with net.ErrClosed.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.opError("read", err)
}

// Write writes p. If it fails, n is the number of bytes that the other end has
// read or, with a Window, can still read. The errors are EPIPE when the other
// end was closed, ECONNRESET when it was reset, os.ErrDeadlineExceeded and
// net.ErrClosed.
//
// With a Window the first Write after the other end was closed succeeds and is
// lost, since a TCP only learns from the answer to it that nobody is there.
func (c *Conn) Write(p []byte) (n int, err error) {
	n, err = c.out.write(p, c.in.takenSoFar())
	return n, c.opError("write", err)
}

// Close ends the connection in order: the other end reads what was sent, then
// io.EOF. A kernel that holds unread input resets instead; see Reset.
func (c *Conn) Close() error { return c.end(io.EOF, syscall.EPIPE) }

// Reset ends the connection as an RST does: the other end reads what had been
// sent, then ECONNRESET, and its writes fail with ECONNRESET.
func (c *Conn) Reset() error { return c.end(syscall.ECONNRESET, syscall.ECONNRESET) }

func (c *Conn) end(reads, writes error) error {
	if !c.out.closeWriter(reads, net.ErrClosed) {
		return c.opError("close", net.ErrClosed)
	}
	c.in.closeReader(writes)
	return nil
}

// CloseWrite ends the own direction: the other end reads what was sent, then
// io.EOF, and can go on writing.
func (c *Conn) CloseWrite() error {
	if !c.out.closeWriter(io.EOF, syscall.EPIPE) {
		return c.opError("close", net.ErrClosed)
	}
	return nil
}

// Buffered is the number of bytes that can be read now without blocking.
func (c *Conn) Buffered() int { return c.in.arrived() }

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address of the other end: for the client, the one that was
// dialled.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines. A deadline in the past ends calls that are
// blocked at once; the zero time is none.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.out.setWriteDeadline(t))
}

// opError dresses an error as package net does; errors.Is sees through it.
func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// tlsWindow is enough for the session tickets of any TLS server.
const tlsWindow = 64 << 10

// widenForTLS gives what this end writes a window of at least tlsWindow. A TLS
// server writes session tickets that the client reads only with the next reply:
// with no room for them both would wait for ever.
func (c *Conn) widenForTLS() { c.out.widen(tlsWindow) }

// mark asks that what this end reads from now on was written after the other
// end had read all that this end has written so far, without the last surplus
// bytes. What breaks that sets early.
func (c *Conn) mark(surplus int) { c.in.require(c.out.sentSoFar() - int64(surplus)) }

// early reports, once, that a byte was read that mark forbids.
func (c *Conn) early() bool { return c.in.wasEarly() }

// interrupt makes calls at this end fail with errInterrupted where they would
// block. What has arrived can still be read, and what fits into the window
// still be written; there has to be a window.
func (c *Conn) interrupt() {
	c.in.hurryReader()
	c.out.hurryWriter()
}

// awaitEnd blocks until either end was closed or reset, and reads nothing.
func (c *Conn) awaitEnd() { c.in.awaitEnd() }
