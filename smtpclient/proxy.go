package smtpclient

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/proxy"
)

// ProxyError is the error of a proxy that did not do its part. It says nothing
// about the server behind it: no other one is tried, and nobody is held for down.
type ProxyError struct {
	Proxy string // its address
	Err   error  // not unwrapped: it is not about the server
}

// Error names the proxy.
func (e *ProxyError) Error() string { return fmt.Sprintf("the proxy %s: %v", e.Proxy, e.Err) }

// dialer opens connections to a proxy.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d dialer) to(ctx context.Context, server string) (net.Conn, error) {
	if d == nil {
		d = (&net.Dialer{}).DialContext
	}
	network, addr := "tcp", server
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		network, addr = "unix", path
	}
	conn, err := d(ctx, network, addr)
	if err != nil {
		return nil, &ProxyError{Proxy: server, Err: err}
	}
	if conn == nil {
		return nil, &ProxyError{Proxy: server, Err: errNoConn}
	}
	return conn, nil
}

// SOCKS5 opens connections by a SOCKS proxy (RFC 1928): its DialContext goes into a
// Dialer. Addresses are asked for as addresses, so that the proxy looks nothing up.
type SOCKS5 struct {
	Server string // "proxy.example.org:1080" or "unix:/path"
	// User and Password are shown if the proxy wants them (RFC 1929), in plaintext.
	// "": none.
	User, Password string
	// Dial reaches the proxy, as from a certain local address. nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// DialContext opens a connection. The error is a *ProxyError where the proxy is at
// fault, and any other one where it could not reach addr.
func (p *SOCKS5) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var auth *proxy.Auth
	if p.User != "" || p.Password != "" {
		auth = &proxy.Auth{User: p.User, Password: p.Password}
	}
	way := &hop{dial: p.Dial, server: p.Server}
	d, err := proxy.SOCKS5("tcp", p.Server, auth, way)
	if err != nil {
		return nil, &ProxyError{Proxy: p.Server, Err: err}
	}
	conn, err := d.(proxy.ContextDialer).DialContext(ctx, network, addr)
	switch {
	case way.err != nil:
		return nil, way.err
	case err != nil && way.conn != nil:
		way.conn.Close()
		return nil, p.explain(ctx, err)
	case err != nil:
		return nil, err
	}
	// What is wrapped around it hides that it is a socket.
	if way.conn != nil {
		return way.conn, nil
	}
	return conn, nil
}

// explain tells the proxy's reply to CONNECT, which is about the server, from all
// else that can go wrong between us and the proxy. One that has said nothing until
// now waits for the server.
func (p *SOCKS5) explain(ctx context.Context, err error) error {
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		<-ctx.Done() // the deadline of the connection is the same, and may come first
	}
	if ctx.Err() != nil || strings.Contains(err.Error(), "unknown error ") {
		return fmt.Errorf("the proxy %s could not connect: %w", p.Server, err)
	}
	return &ProxyError{Proxy: p.Server, Err: err}
}

// hop is the way to the proxy, which remembers where it led.
type hop struct {
	dial   dialer
	server string
	conn   net.Conn
	err    error
}

func (h *hop) Dial(network, addr string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, addr)
}

func (h *hop) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	h.conn, h.err = h.dial.to(ctx, h.server)
	return h.conn, h.err
}

// ProxyProtocol says by HAProxy's PROXY protocol, version 2, where a connection
// comes from and where it goes to; its DialContext goes into a Dialer. With Server
// it is HAProxy that opens the connection, from Source4 or Source6 if it is set up
// so; without, the mail server itself is told whose connection it is, and has to
// expect that: one that does not takes it for garbage.
type ProxyProtocol struct {
	Server string // of HAProxy, as "proxy.example.org:2525" or "unix:/path"; "": none
	// Source4 and Source6 are told as where connections of their family come from.
	// Zero: from where they do.
	Source4, Source6 netip.Addr
	// Dial opens the connection, as from a certain local address. nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// DialContext opens a connection and writes the header. The error is a *ProxyError
// where there is a Server and it is at fault.
func (p *ProxyProtocol) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := p.open(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	header, err := p.header(conn, addr)
	if err == nil {
		err = introduce(ctx, conn, header)
	}
	if err != nil {
		conn.Close()
		if p.Server != "" {
			err = &ProxyError{Proxy: p.Server, Err: err}
		}
		return nil, err
	}
	return conn, nil
}

func (p *ProxyProtocol) open(ctx context.Context, network, addr string) (net.Conn, error) {
	switch {
	case p.Server != "":
		return dialer(p.Dial).to(ctx, p.Server)
	case p.Dial != nil:
		conn, err := p.Dial(ctx, network, addr)
		if conn == nil && err == nil {
			err = errNoConn
		}
		return conn, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// header is the one for a connection to addr.
func (p *ProxyProtocol) header(conn net.Conn, addr string) ([]byte, error) {
	local, _ := conn.LocalAddr().(*net.TCPAddr)
	to, err := netip.ParseAddrPort(addr)
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); err != nil && ok && p.Server == "" {
		to = remote.AddrPort()
	} else if err != nil {
		return nil, fmt.Errorf("ProxyProtocol: %q is no address with a port, and the protocol knows no others", addr)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	source, field := p.Source4, "Source4"
	if to.Addr().Is6() {
		source, field = p.Source6, "Source6"
	}
	var from netip.AddrPort
	if local != nil {
		from = netip.AddrPortFrom(local.AddrPort().Addr().Unmap(), uint16(local.Port))
	}
	if source.IsValid() {
		from = netip.AddrPortFrom(source, from.Port())
	}
	if !from.IsValid() || from.Addr().Is4() != to.Addr().Is4() {
		return nil, fmt.Errorf("ProxyProtocol.%s: an address of the family of %v is needed", field, to.Addr())
	}
	return proxyHeader(from, to), nil
}

// proxyHeader is in the binary form of the protocol's version 2, for TCP: the
// signature, version and command, family, length, addresses, ports.
func proxyHeader(from, to netip.AddrPort) []byte {
	family := byte(0x11)
	if to.Addr().Is6() {
		family = 0x21
	}
	addrs := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addrs)+4))
	b = append(b, addrs...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	return binary.BigEndian.AppendUint16(b, to.Port())
}

// introduce writes the header, within ctx.
func introduce(ctx context.Context, conn net.Conn, header []byte) error {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		defer func() { _ = recover() }() // the caller's connection; nobody is here who could be told
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	_, err := conn.Write(header)
	if !stop() {
		<-ended
		return ctx.Err()
	}
	return err
}
