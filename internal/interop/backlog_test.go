package interop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

// fullBacklog listens without accepting and fills the queue of connections, so
// that a further one stays in connect. It returns what ends that.
func fullBacklog(t *testing.T, addr string, port uint16) (end func()) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	listener := os.NewFile(uintptr(fd), "listener")
	sockaddr := &syscall.SockaddrInet4{Port: int(port), Addr: netip.MustParseAddr(addr).As4()}
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, sockaddr),
		syscall.Listen(fd, 0),
	)
	if err != nil {
		listener.Close()
		t.Fatal(err)
	}
	var waiting []net.Conn
	for {
		conn, err := net.DialTimeout("tcp", hostPort(addr, port), 200*time.Millisecond)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			listener.Close()
			t.Fatal(err)
		}
		waiting = append(waiting, conn)
	}
	return func() {
		for _, conn := range waiting {
			conn.Close()
		}
		listener.Close()
	}
}
