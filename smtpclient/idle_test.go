package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// echoing is a connection whose other end costs nothing: it answers each write
// itself.
type echoing struct {
	net.Conn // nil: what is not here is not needed
	replies  []byte
	content  bool
}

func (c *echoing) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		verb, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		switch {
		case c.content && string(line) != ".\r\n":
		case string(verb) == "EHLO":
			c.replies = append(c.replies, "250-mx.example.net\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n"...)
		case string(verb) == "DATA":
			c.content = true
			c.replies = append(c.replies, "354 go on\r\n"...)
		default:
			c.content = false
			c.replies = append(c.replies, "250 2.0.0 fine\r\n"...)
		}
	}
	return len(p), nil
}

func (c *echoing) Read(p []byte) (int, error) {
	n := copy(p, c.replies)
	if c.replies = c.replies[n:]; len(c.replies) == 0 {
		c.replies = nil
	}
	return n, nil
}

func (c *echoing) Buffered() int               { return len(c.replies) }
func (c *echoing) SetDeadline(time.Time) error { return nil }
func (c *echoing) Close() error                { return nil }
func (c *echoing) LocalAddr() net.Addr         { return &net.TCPAddr{} }

// heap is what lives.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// rest makes n sessions of a client idle, one for each address.
func rest(t *testing.T, c *smtpclient.Client, n int) {
	t.Helper()
	c.Pool = &smtpclient.Pool{KeepAll: true, IdleTime: time.Hour}
	c.Cache, c.LocalName = cache.None, "client.example.org"
	c.Resolver = resolve.Static{{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}}
	for i := range n {
		c.NextHops = []string{fmt.Sprintf("[mx.example.net]:%d", 1000+i)}
		if _, err := c.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello))); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Pool.Stats(); s.Idle != n {
		t.Fatalf("%d sessions are idle, want %d", s.Idle, n)
	}
}

// An idle session in plaintext has no goroutine, and less than 2 KiB with all that
// the pool keeps of it: the socket's own memory has the room up to 4 KiB.
func TestIdleSessionPlain(t *testing.T) {
	const n = 2000
	c := &smtpclient.Client{TLS: tlspolicy.None, Dialer: &smtpclient.Dialer{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return &echoing{replies: []byte("220 mx.example.net ESMTP\r\n")}, nil
		},
	}}
	rest(t, c, 1) // what is made once
	c.Pool.Close(t.Context())
	goroutines, before := runtime.NumGoroutine(), heap()
	rest(t, c, n)
	each := (heap() - before) / n
	t.Logf("%d bytes for each session", each)
	if each >= 2<<10 || each < 200 {
		t.Errorf("%d bytes for each idle session, want less than 2 KiB", each)
	}
	if more := runtime.NumGoroutine() - goroutines; more >= n/100 { // the runtime may have begun one
		t.Errorf("%d goroutines more than before", more)
	}
	c.Pool.Close(t.Context())
	runtime.KeepAlive(c)
}

// An idle session inside TLS has less than 2 KiB more than a tls.Conn.
func TestIdleSessionTLS(t *testing.T) {
	const n = 200
	server := &smtptest.Server{ImplicitTLS: true, Wire: smtptest.Wire{Window: 1 << 16}, TLSConfig: &tls.Config{SessionTicketsDisabled: true}}
	defer server.Close()
	c := &smtpclient.Client{TLS: tlspolicy.Policy{Level: tlspolicy.Encrypt, Implicit: true}, Dialer: &smtpclient.Dialer{DialContext: server.DialContext}}
	rest(t, c, n) // what is made once
	c.Pool.Close(t.Context())
	before := heap()
	rest(t, c, n)
	ours := (heap() - before) / n
	c.Pool.Close(t.Context())
	if got := len(server.Messages()); got != 2*n {
		t.Errorf("the server has %d messages, want %d", got, 2*n)
	}

	before = heap()
	conns, roots := make([]*tls.Conn, n), server.Roots()
	for i := range conns {
		conns[i] = plainTLS(t, server, roots)
	}
	theirs := (heap() - before) / n
	runtime.KeepAlive(c)
	for _, conn := range conns {
		conn.Close()
	}
	t.Logf("%d bytes for each session, %d for each tls.Conn, both with the server's", ours, theirs)
	if ours-theirs >= 2<<10 || ours < theirs {
		t.Errorf("an idle session has %d bytes more than crypto/tls", ours-theirs)
	}
}

// plainTLS has a session by hand that took the same message.
func plainTLS(t *testing.T, server *smtptest.Server, roots *x509.CertPool) *tls.Conn {
	raw, err := server.DialContext(t.Context(), "tcp", "192.0.2.1:465")
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "mx.example.net"})
	read := make([]byte, 4<<10)
	for _, line := range []string{"", "EHLO client.example.org\r\n", "MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n", hello + ".\r\n"} {
		if _, err := conn.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(read); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}
