//go:build unix && !aix

package smtpclient

import (
	"net"
	"syscall"
)

// socketWaits tells what can be read from the socket conn, without reading it and
// without waiting: bytes, or the end of the stream.
func socketWaits(conn net.Conn) (bytes, end bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, false
	}
	var one [1]byte
	var n int
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		n, _, peeked = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	switch {
	case err != nil, peeked == syscall.EAGAIN, peeked == syscall.EINTR:
		return false, false
	}
	return n > 0, n <= 0
}
