package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// stalledTLS is a server that does not answer a ClientHello until released.
func stalledTLS(released <-chan struct{}) *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		<-released
		return nil, errors.New("stalled")
	}}
}

// longMessage has n bytes in lines of 76, no two alike.
func longMessage(n int) string {
	var b strings.Builder
	b.WriteString("From: ann@example.org\r\nSubject: long\r\n\r\n")
	for b.Len() < n {
		fmt.Fprintf(&b, "%074d\r\n", b.Len())
	}
	return b.String()
}

// tap is a connection whose writes can be watched and cut.
type tap struct {
	net.Conn
	write func(c net.Conn, p []byte) (int, error)
}

func (c *tap) Write(p []byte) (int, error) { return c.write(c.Conn, p) }

// throttled dials connections that, once the content has begun, take n bytes
// more, then call full and take nothing until they are cut.
func (w *world) throttled(n int, full func()) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := w.net.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		inContent, left := false, n
		return &tap{conn, func(c net.Conn, p []byte) (int, error) {
			inContent = inContent || bytes.HasPrefix(p, []byte("From: "))
			if !inContent || len(p) <= left {
				if inContent {
					left -= len(p)
				}
				return c.Write(p)
			}
			taken, err := c.Write(p[:left])
			left = 0
			if err != nil {
				return taken, err
			}
			full()
			// A full window: what blocks is the write, until its deadline.
			var one [1]byte
			for {
				if _, err := c.Read(one[:]); err != nil {
					return taken, err
				}
			}
		}}, nil
	}
}

// tapped dials connections whose writes are shown to see.
func (w *world) tapped(see func(p []byte)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := w.net.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &tap{conn, func(c net.Conn, p []byte) (int, error) {
			see(p)
			return c.Write(p)
		}}, nil
	}
}
