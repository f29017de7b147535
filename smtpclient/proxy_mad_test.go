package smtpclient_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// madConn is a connection whose Write waits for its end, and whose SetDeadline panics.
type madConn struct {
	net.Conn
	ctx context.Context
}

func (c madConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4660} }
func (c madConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 10), Port: 25} }

func (c madConn) Write([]byte) (int, error) {
	<-c.ctx.Done()
	return 0, c.ctx.Err()
}

func (c madConn) SetDeadline(time.Time) error { panic("gone mad") }
func (c madConn) Close() error                { return nil }

// The end of ctx comes in a goroutine of its own, where a panic of the caller's would
// end the program.
func TestProxyOutlivesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := &smtpclient.ProxyProtocol{Dial: func(context.Context, string, string) (net.Conn, error) { return madConn{ctx: ctx}, nil }}
		if _, err := p.DialContext(ctx, "tcp", "192.0.2.10:25"); err == nil {
			t.Error("a header was written that nobody took")
		}
	})
}
