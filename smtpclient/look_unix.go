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
	var one [1]byte
	var n int
	var peeked error
	peek := func(fd uintptr) bool {
		n, _, peeked = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	}
	return func() (bytes, end bool) {
		err := raw.Read(peek)
		switch {
		case err != nil, peeked == syscall.EAGAIN, peeked == syscall.EINTR:
			return false, false
		}
		return n > 0, n <= 0
	}
}
