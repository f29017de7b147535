//go:build unix && !aix

package smtpclient_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A refusal that has come since the server asked for the content decides, also where
// it shows in the socket alone: no message arrives.
func TestRefusalInTheSocket(t *testing.T) {
	server := &smtptest.Server{Extensions: pipelined,
		Script: on("DATA", action{Raw: []byte("354 go\r\n552 5.3.4 too big\r\n"), Fault: smtptest.Trickle, Delay: 5 * time.Millisecond})}
	client, books := over(t, server, "tcp"), booksOf(t, server)
	var socket syscall.RawConn
	client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			socket, err = conn.(*net.TCPConn).SyscallConn()
		}
		return conn, err
	}
	// Before the content goes out the refusal is here, and the 354 some time ago.
	comes := &smtpclient.Trace{Start: func(_ context.Context, e smtpclient.Event) {
		if e.Stage != smtpclient.StageDataBlock {
			return
		}
		start := time.Now()
		socket.Read(func(fd uintptr) bool {
			n, _, _ := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			return n > 0
		})
		for time.Since(start) < 2*time.Millisecond {
		}
	}}
	report, _ := (&heldClient{*client, books}).Deliver(smtpclient.WithTrace(t.Context(), comes), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello)))
	expect(t, report, "bob@example.net failed data-block 5.3.4")
	if n := len(server.Messages()); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}
