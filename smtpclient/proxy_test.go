package smtpclient_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// socksServer is a SOCKS proxy written from RFC 1928 and RFC 1929.
type socksServer struct {
	password string // "": nobody is asked
	reply    func(addr string) byte
	to       func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	asked []string
}

// serve takes one client.
func (p *socksServer) serve(conn net.Conn) {
	defer conn.Close()
	if !p.greet(conn) {
		return
	}
	head := make([]byte, 4) // version, CONNECT, reserved, address type
	if _, err := io.ReadFull(conn, head); err != nil {
		return
	}
	rest := make([]byte, map[byte]int{1: 4, 4: 16}[head[3]]+2)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return
	}
	ip, _ := netip.AddrFromSlice(rest[:len(rest)-2])
	addr := netip.AddrPortFrom(ip, uint16(rest[len(rest)-2])<<8|uint16(rest[len(rest)-1])).String()
	p.mu.Lock()
	p.asked = append(p.asked, addr)
	p.mu.Unlock()
	code := p.reply(addr)
	conn.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	if code != 0 {
		return
	}
	there, err := p.to(context.Background(), "tcp", addr)
	if err != nil {
		return
	}
	defer there.Close()
	go func() {
		defer conn.Close()
		io.Copy(conn, there)
	}()
	io.Copy(there, conn)
}

// greet agrees on how the client shows who it is.
func (p *socksServer) greet(conn net.Conn) bool {
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return false
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(conn, methods); err != nil {
		return false
	}
	if p.password == "" {
		conn.Write([]byte{5, 0})
		return true
	}
	if !strings.Contains(string(methods), "\x02") {
		conn.Write([]byte{5, 0xff})
		return false
	}
	conn.Write([]byte{5, 2})
	var shown []string
	for i := range 2 {
		n := make([]byte, 2-i) // the version comes before the first
		if _, err := io.ReadFull(conn, n); err != nil {
			return false
		}
		text := make([]byte, n[len(n)-1])
		if _, err := io.ReadFull(conn, text); err != nil {
			return false
		}
		shown = append(shown, string(text))
	}
	wrong := byte(1)
	if strings.Join(shown, ":") == p.password {
		wrong = 0
	}
	conn.Write([]byte{1, wrong})
	return wrong == 0
}

// throughSOCKS sends the world's connections through a proxy in memory.
func (w *world) throughSOCKS(proxy *socksServer, via *smtpclient.SOCKS5) {
	proxy.to = w.net.DialContext
	if proxy.reply == nil {
		proxy.reply = func(string) byte { return 0 }
	}
	via.Server = "proxy.example.org:1080"
	if via.Dial == nil {
		via.Dial = func(_ context.Context, network, addr string) (net.Conn, error) {
			if network != "tcp" || addr != "proxy.example.org:1080" {
				w.t.Errorf("dialled %s %s", network, addr)
			}
			ours, theirs := net.Pipe()
			go proxy.serve(theirs)
			return ours, nil
		}
	}
	w.client.Dialer = &smtpclient.Dialer{DialContext: via.DialContext}
}

// Mail goes through a SOCKS proxy, which is given addresses and, if it wants that, a
// password.
func TestSOCKS5(t *testing.T) {
	for _, tt := range []struct {
		name     string
		proxy    *socksServer
		via      smtpclient.SOCKS5
		outcomes string
	}{
		{"open to all", &socksServer{}, smtpclient.SOCKS5{}, "delivered data-done 2.0.0"},
		{"with a password", &socksServer{password: "ann:secret"}, smtpclient.SOCKS5{User: "ann", Password: "secret"}, "delivered data-done 2.0.0"},
		{"a wrong password", &socksServer{password: "ann:secret"}, smtpclient.SOCKS5{User: "ann", Password: "guess"}, "deferred connect 4.3.0"},
		{"no password", &socksServer{password: "ann:secret"}, smtpclient.SOCKS5{}, "deferred connect 4.3.0"},
		{"it is away", &socksServer{}, smtpclient.SOCKS5{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}}, "deferred connect 4.3.0"},
		{"nothing", &socksServer{}, smtpclient.SOCKS5{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, nil }}, "deferred connect 4.3.0"},
		{"it cannot reach anybody", &socksServer{reply: func(string) byte { return 5 }}, smtpclient.SOCKS5{}, "deferred connect 4.4.1"},
		{"it cannot reach one", &socksServer{reply: func(addr string) byte {
			if addr == "192.0.2.10:25" {
				return 4
			}
			return 0
		}}, smtpclient.SOCKS5{}, "delivered data-done 2.0.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.throughSOCKS(tt.proxy, &tt.via)
				w.mx(10, &smtptest.Server{})
				w.mx(20, &smtptest.Server{})
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				w.settle()
				expect(t, report, "bob@example.net "+tt.outcomes)
				var failed *smtpclient.ProxyError
				away := errors.As(report.Outcomes[0].Cause, &failed)
				if want := strings.HasSuffix(tt.outcomes, "4.3.0"); away != want || away && len(report.Outcomes[0].Earlier) != 0 {
					t.Errorf("%v after %d attempts; that the proxy is at fault is %v", report.Outcomes[0].Cause, len(report.Outcomes[0].Earlier), want)
				}
				if away && failed.Proxy != "proxy.example.org:1080" {
					t.Errorf("the proxy %s", failed.Proxy)
				}
				tried := map[string]string{"it cannot reach anybody": "192.0.2.10:25 192.0.2.20:25", "it cannot reach one": "192.0.2.10:25 192.0.2.20:25",
					"open to all": "192.0.2.10:25", "with a password": "192.0.2.10:25"}[tt.name]
				if got := strings.Join(tt.proxy.asked, " "); got != tried {
					t.Errorf("the proxy was asked for %q, want %q", got, tried)
				}
			})
		})
	}
}

// A proxy that says nothing waits for a server that does not answer: the next one
// is tried. Nobody is held for down because the proxy is.
func TestSilentProxy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		proxy := &socksServer{reply: func(addr string) byte {
			if addr == "192.0.2.10:25" {
				time.Sleep(time.Hour)
			}
			return 0
		}}
		w.throughSOCKS(proxy, &smtpclient.SOCKS5{})
		w.mx(10, &smtptest.Server{})
		w.mx(20, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		time.Sleep(time.Hour)
	})
	inWorld(t, func(t *testing.T, w *world) {
		memory := &cache.Memory{}
		w.client.Cache = memory
		w.throughSOCKS(&socksServer{}, &smtpclient.SOCKS5{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		w.mx(10, &smtptest.Server{})
		w.mx(20, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred connect 4.3.0")
		if _, ok, _ := memory.Get(t.Context(), "rest1:192.0.2.10:25"); ok {
			t.Error("the server rests, although nobody could ask it")
		}
	})
}

// A cancel ends the wait for a proxy.
func TestCancelInProxy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.throughSOCKS(&socksServer{reply: func(string) byte { time.Sleep(time.Hour); return 0 }}, &smtpclient.SOCKS5{})
		w.mx(10, &smtptest.Server{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v", took)
		}
		expect(t, report, "bob@example.net deferred connect 4.4.1")
		time.Sleep(time.Hour)
	})
}

// fixed is a connection with given ends, that keeps what is written.
type fixed struct {
	net.Conn
	local, remote net.Addr
	wrote         []byte
	closed        bool
}

func (c *fixed) LocalAddr() net.Addr         { return c.local }
func (c *fixed) RemoteAddr() net.Addr        { return c.remote }
func (c *fixed) Write(p []byte) (int, error) { c.wrote = append(c.wrote, p...); return len(p), nil }
func (c *fixed) SetDeadline(time.Time) error { return nil }
func (c *fixed) Close() error                { c.closed = true; return nil }
func tcp(addr string) net.Addr               { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }
func dialsTo(c *fixed) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return c, nil }
}

// The header of the PROXY protocol, by the bytes of its version 2.
func TestProxyHeader(t *testing.T) {
	const signature = "0d0a0d0a000d0a515549540a"
	a4, a6 := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")
	for _, tt := range []struct {
		name          string
		proto         smtpclient.ProxyProtocol
		local, remote net.Addr
		addr          string
		want          string // "" is an error
	}{
		{"as it is", smtpclient.ProxyProtocol{}, tcp("192.0.2.1:4660"), tcp("192.0.2.10:25"), "192.0.2.10:25",
			"2111000c" + "c0000201" + "c000020a" + "1234" + "0019"},
		{"IPv6", smtpclient.ProxyProtocol{}, tcp("[2001:db8::1]:4660"), tcp("[2001:db8::a]:25"), "[2001:db8::a]:25",
			"21210024" + "20010db8000000000000000000000001" + "20010db800000000000000000000000a" + "1234" + "0019"},
		{"on behalf of another", smtpclient.ProxyProtocol{Source4: a4}, tcp("192.0.2.1:4660"), tcp("192.0.2.10:25"), "192.0.2.10:25",
			"2111000c" + "c6336407" + "c000020a" + "1234" + "0019"},
		{"addresses that are both", smtpclient.ProxyProtocol{}, tcp("[::ffff:192.0.2.1]:4660"), tcp("[::ffff:192.0.2.10]:25"), "[::ffff:192.0.2.10]:25",
			"2111000c" + "c0000201" + "c000020a" + "1234" + "0019"},
		{"a name", smtpclient.ProxyProtocol{}, tcp("192.0.2.1:4660"), tcp("192.0.2.10:25"), "mx.example.net:25",
			"2111000c" + "c0000201" + "c000020a" + "1234" + "0019"},
		{"by HAProxy", smtpclient.ProxyProtocol{Server: "proxy:2525", Source6: a6}, tcp("192.0.2.1:4660"), tcp("192.0.2.2:2525"), "[2001:db8::a]:25",
			"21210024" + "20010db8000000000000000000000007" + "20010db800000000000000000000000a" + "1234" + "0019"},
		{"by HAProxy on a socket", smtpclient.ProxyProtocol{Server: "unix:/run/haproxy", Source4: a4}, &net.UnixAddr{}, &net.UnixAddr{}, "192.0.2.10:25",
			"2111000c" + "c6336407" + "c000020a" + "0000" + "0019"},
		{"by HAProxy to a name", smtpclient.ProxyProtocol{Server: "proxy:2525"}, tcp("192.0.2.1:4660"), tcp("192.0.2.2:2525"), "mx.example.net:25", ""},
		{"other family", smtpclient.ProxyProtocol{Server: "proxy:2525"}, tcp("192.0.2.1:4660"), tcp("192.0.2.2:2525"), "[2001:db8::a]:25", ""},
		{"a source of the other family", smtpclient.ProxyProtocol{Source4: a6}, tcp("192.0.2.1:4660"), tcp("192.0.2.10:25"), "192.0.2.10:25", ""},
		{"a socket", smtpclient.ProxyProtocol{}, &net.UnixAddr{}, &net.UnixAddr{}, "/run/lmtp", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &fixed{local: tt.local, remote: tt.remote}
			tt.proto.Dial = dialsTo(c)
			conn, err := tt.proto.DialContext(t.Context(), "tcp", tt.addr)
			if tt.want == "" {
				var proxy *smtpclient.ProxyError
				if err == nil || !strings.Contains(err.Error(), "ProxyProtocol") || !c.closed || len(c.wrote) > 0 || errors.As(err, &proxy) != (tt.proto.Server != "") {
					t.Errorf("error %v, closed %v, wrote %x", err, c.closed, c.wrote)
				}
				return
			}
			if err != nil || conn != net.Conn(c) {
				t.Fatalf("%v, %v", conn, err)
			}
			if got, want := hex.EncodeToString(c.wrote), signature+tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Where HAProxy is away no server is at fault, and where there is none in between
// the server is.
func TestProxyProtocolAway(t *testing.T) {
	for server, want := range map[string]string{"": "deferred connect 4.4.1", "proxy.example.org:2525": "deferred connect 4.3.0"} {
		inWorld(t, func(t *testing.T, w *world) {
			p := &smtpclient.ProxyProtocol{Server: server, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if server != "" && addr != server {
					t.Errorf("dialled %s", addr)
				}
				return nil, errors.New("refused")
			}}
			w.client.Dialer = &smtpclient.Dialer{DialContext: p.DialContext}
			w.mx(10, &smtptest.Server{})
			w.mx(20, &smtptest.Server{})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net "+want)
			if n, want := len(report.Outcomes[0].Earlier), map[bool]int{true: 1, false: 0}[server == ""]; n != want {
				t.Errorf("%d attempts before, want %d", n, want)
			}
		})
	}
}

// A header that nobody reads holds nobody longer than his ctx.
func TestProxyHeaderIsNotRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := &smtpclient.ProxyProtocol{Source4: netip.MustParseAddr("192.0.2.1"), Server: "proxy.example.org:2525",
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				t.Cleanup(func() { theirs.Close() })
				return ours, nil
			}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := p.DialContext(ctx, "tcp4", "192.0.2.10:25")
		var proxy *smtpclient.ProxyError
		if !errors.As(err, &proxy) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
