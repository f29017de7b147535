package smtpclient_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// canned is a connection to a server that takes every command group as soon as it
// is written, and costs next to nothing: what is measured is the client.
type canned struct {
	net.Conn // nil: what is not below is not called
	replies  []byte
	data     bool // content comes
}

func newCanned() *canned { return &canned{replies: []byte("220 mx.example.net ESMTP\r\n")} }

func (c *canned) Write(p []byte) (int, error) {
	n := len(p)
	if c.data {
		end := bytes.Index(p, []byte("\r\n.\r\n"))
		if end < 0 {
			return n, nil
		}
		c.replies, c.data = append(c.replies, "250 2.0.0 Ok: queued as 4dG0000000z1\r\n"...), false
		p = p[end+5:]
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		switch {
		case p[0] == 'E':
			c.replies = append(c.replies, "250-mx.example.net\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"...)
		case p[0] == 'Q':
			c.replies = append(c.replies, "221 2.0.0 Bye\r\n"...)
		case p[0] == 'M':
			c.replies = append(c.replies, "250 2.1.0 Ok\r\n"...)
		case p[0] == 'D':
			c.replies, c.data = append(c.replies, "354 go on\r\n"...), true
		default:
			c.replies = append(c.replies, "250 2.1.5 Ok\r\n"...)
		}
		p = p[end:]
	}
	return n, nil
}

func (c *canned) Read(p []byte) (int, error) {
	n := copy(p, c.replies)
	c.replies = append(c.replies[:0], c.replies[n:]...)
	return n, nil
}

func (c *canned) Buffered() int               { return len(c.replies) }
func (c *canned) SetDeadline(time.Time) error { return nil }
func (c *canned) Close() error                { return nil }
func (c *canned) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1025} }
func (c *canned) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 25), Port: 25} }

func toCanned() *smtpclient.Dialer {
	return &smtpclient.Dialer{LocalName: "client.example.org", DialContext: func(context.Context, string, string) (net.Conn, error) {
		return newCanned(), nil
	}}
}

// listOf is an envelope with n recipients.
func listOf(n int) smtpclient.Envelope {
	to := make([]string, n)
	for i := range to {
		to[i] = fmt.Sprintf("member-%d@example.net", i)
	}
	return fromAnn(to...)
}

// sender gives a call that sends a message of 1 KiB: on a session, or through a
// client with a pool.
func sender(t testing.TB, ctx context.Context, rcpts int, pooled bool) func() {
	t.Helper()
	content := smtpclient.Bytes([]byte("Subject: cost\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 16)))
	env := listOf(rcpts)
	if pooled {
		c := &smtpclient.Client{Dialer: toCanned(), Pool: &smtpclient.Pool{KeepAll: true}, Cache: &cache.Memory{}, TLS: tlspolicy.None, Resolver: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:   {TTL: time.Hour, MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}: {TTL: time.Hour, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}},
		}}
		t.Cleanup(func() { c.Pool.Close(ctx) })
		return func() {
			if _, err := c.Deliver(ctx, env, content); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := toCanned().Dial(ctx, smtpclient.Target{Addr: "192.0.2.25:25", Policy: tlspolicy.Policy{Level: tlspolicy.None}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return func() {
		if _, err := s.Send(ctx, env, content); err != nil {
			t.Fatal(err)
		}
	}
}

// What a message costs is known: nothing for a further recipient but what the report
// and the commands take in one piece.
func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		name   string
		ctx    func(t *testing.T) context.Context
		rcpts  int
		pooled bool
		most   float64
	}{
		{"a ctx that ends", cancellable, 1, false, 6},
		{"a ctx without end", func(*testing.T) context.Context { return context.Background() }, 1, false, 4},
		{"50 recipients", cancellable, 50, false, 7},
		{"500 recipients", cancellable, 500, false, 7},
		{"through a pool", cancellable, 1, true, 12},
		{"50 recipients through a pool", cancellable, 50, true, 17},
	} {
		t.Run(c.name, func(t *testing.T) {
			send := sender(t, c.ctx(t), c.rcpts, c.pooled)
			got, most := testing.AllocsPerRun(200, send), allocationFactor*c.most
			t.Log(got)
			if got > most {
				t.Errorf("%v allocations, want at most %v", got, most)
			}
		})
	}
}

// A session that is opened for one message and ended costs what the connection is
// remembered by, and the replies: none for each line that the server offers.
func TestSessionAllocations(t *testing.T) {
	ctx := cancellable(t)
	content := smtpclient.Bytes([]byte("Subject: cost\r\n\r\nhello\r\n"))
	target := smtpclient.Target{Addr: "192.0.2.25:25", Policy: tlspolicy.Policy{Level: tlspolicy.None}}
	d, env := toCanned(), listOf(1)
	got := testing.AllocsPerRun(200, func() {
		s, err := d.Dial(ctx, target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Send(ctx, env, content); err == nil {
			err = s.Quit(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Log(got)
	if most := allocationFactor * 40.0; got > most {
		t.Errorf("%v allocations, want at most %v", got, most)
	}
}

func cancellable(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx
}

func BenchmarkSend(b *testing.B) {
	for _, pooled := range []bool{false, true} {
		for _, rcpts := range []int{1, 50, 500} {
			b.Run(fmt.Sprintf("pooled=%v/rcpts=%d", pooled, rcpts), func(b *testing.B) {
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				send := sender(b, ctx, rcpts, pooled)
				b.ReportAllocs()
				for b.Loop() {
					send()
				}
			})
		}
	}
}
