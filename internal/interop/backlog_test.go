package interop

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
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
	waiting, err := net.Dial("tcp", hostPort(addr, port))
	if err != nil {
		listener.Close()
		t.Fatal(err)
	}
	for !isFull(t, hostPort(addr, port)) {
		time.Sleep(time.Millisecond)
	}
	return func() {
		waiting.Close()
		listener.Close()
	}
}

// isFull tells whether a connection waits for the listener at addr, whose backlog of
// zero has room for one. In the kernel's table a listener has the state 0A, and for its
// queue of reading those who wait.
func isFull(t *testing.T, addr string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[3] != "0A" {
			continue
		}
		if local, err := kernelAddr(f[1]); err == nil && local == addr {
			return !strings.HasSuffix(f[4], ":00000000")
		}
	}
	t.Fatalf("nobody listens at %s:\n%s", addr, table)
	return false
}
