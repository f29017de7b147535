//go:build unix && !aix

package smtpclient

import (
	"net"
	"syscall"
)

// newPeek gives what tells what can be read from the socket conn, without reading it
// and without waiting: bytes, or the end of the stream.
func newPeek(conn net.Conn) func() (bytes, end bool) {
	unknown := func() (bytes, end bool) { return false, false }
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return unknown
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return unknown
	}
	p := &peeker{raw: raw}
	p.read = p.recv
	return p.peek
}

// peeker looks at a socket. It is one piece of memory for all looks.
type peeker struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool // recv
	one  [1]byte
	n    int
	err  error
}

func (p *peeker) recv(fd uintptr) bool {
	p.n, _, p.err = syscall.Recvfrom(int(fd), p.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return true
}

func (p *peeker) peek() (bytes, end bool) {
	err := p.raw.Read(p.read)
	switch {
	case err != nil, p.err == syscall.EAGAIN, p.err == syscall.EINTR:
		return false, false
	}
	return p.n > 0, p.n <= 0
}
