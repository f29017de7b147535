package smtpclient

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A header of the PROXY protocol says the addresses that it was made of, as a slow
// reader finds them, and what cannot be said opens no connection.
func FuzzProxyProtocol(f *testing.F) {
	f.Add("192.0.2.25:25", []byte{192, 0, 2, 1}, []byte{})
	f.Add("[2001:db8::25]:25", []byte{}, bytes.Repeat([]byte{0x20}, 16))
	f.Add("[::ffff:192.0.2.25]:25", []byte{192, 0, 2, 1}, []byte{1})
	f.Add("mx.example.net:25", []byte{192, 0, 2, 1}, []byte{})
	f.Add("[fe80::1%eth0]:25", []byte{}, append([]byte{0xfe, 0x80}, make([]byte, 14)...))
	f.Add("192.0.2.25:65536", []byte{192, 0, 2, 1}, []byte{})
	f.Fuzz(func(t *testing.T, addr string, source4, source6 []byte) {
		heard := &listener{}
		p := &ProxyProtocol{Server: "proxy.example.org:2525", Dial: func(context.Context, string, string) (net.Conn, error) { return heard, nil }}
		p.Source4, _ = netip.AddrFromSlice(source4)
		p.Source6, _ = netip.AddrFromSlice(source6)
		if _, err := p.DialContext(t.Context(), "tcp", addr); err != nil {
			if len(heard.said) > 0 || !heard.closed {
				t.Fatalf("%q: %v, and the proxy heard %q, closed %v", addr, err, heard.said, heard.closed)
			}
			return
		}
		to := netip.MustParseAddrPort(addr)
		from := p.Source4
		if to.Addr().Unmap().Is6() {
			from = p.Source6
		}
		source, target := readProxyHeader(t, heard.said)
		if !from.IsValid() {
			from = netip.MustParseAddr("192.0.2.9") // where the connection comes from
		}
		if source.Addr() != from.WithZone("") || target.Addr() != to.Addr().Unmap().WithZone("") || target.Port() != to.Port() {
			t.Errorf("%q from %v: the proxy heard %v to %v", addr, from, source, target)
		}
	})
}

// listener is a connection that keeps what it is told.
type listener struct {
	net.Conn
	said   []byte
	closed bool
}

func (l *listener) Write(p []byte) (int, error)      { l.said = append(l.said, p...); return len(p), nil }
func (l *listener) Close() error                     { l.closed = true; return nil }
func (l *listener) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 999} }
func (l *listener) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 8), Port: 2525} }
func (l *listener) SetDeadline(time.Time) error      { return nil }
func (l *listener) SetReadDeadline(time.Time) error  { return nil }
func (l *listener) SetWriteDeadline(time.Time) error { return nil }

// readProxyHeader reads one byte after the other.
func readProxyHeader(t *testing.T, b []byte) (from, to netip.AddrPort) {
	t.Helper()
	const head = 16
	if len(b) < head || string(b[:12]) != "\r\n\r\n\x00\r\nQUIT\n" || b[12] != 0x21 || int(binary.BigEndian.Uint16(b[14:])) != len(b)-head {
		t.Fatalf("%q is no header", b)
	}
	size := map[byte]int{0x11: 4, 0x21: 16}[b[13]]
	if rest := b[head:]; size > 0 && len(rest) == 2*size+4 {
		a, _ := netip.AddrFromSlice(rest[:size])
		z, _ := netip.AddrFromSlice(rest[size : 2*size])
		ports := rest[2*size:]
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(ports)), netip.AddrPortFrom(z, binary.BigEndian.Uint16(ports[2:]))
	}
	t.Fatalf("%q: the addresses have a wrong length", b)
	return from, to
}

var postfixLine = regexp.MustCompile(`^([^ ,:]*:[^ ,]*|[^ ,]+): to=<([^<>]*)>, (?:orig_to=<([^<>]*)>, )?relay=([^ ,]*)(?:, conn_use=\d+)?, delay=[0-9.]+, ` +
	`delays=[0-9.]+/[0-9.]+/[0-9.]+/[0-9.]+(?:, tls=([^ ,]*))?, dsn=([^ ,]*), status=(sent|deferred|bounced|deliverable|undeliverable) \((.*)\)$`)

// Whatever a server, a sender or the caller has said, a record is one line in which
// each field says what it was given, and none what another one was.
func FuzzLogRecord(f *testing.F) {
	f.Add("3F9A2", "bob@example.net", "", "mx.example.net[192.0.2.25]:25", "may", "2.0.0", "250 2.0.0 ok", int64(1e9), 1)
	f.Add("a b", "\"x>, status=sent\"@example.net", "a\r\nb", "mx, status=sent (", "x y", "5.1.1, x=", "no)\r\nNov 21 forged\u2028line", int64(-5), 3)
	f.Add("", "", "", "", "", "", "\x1b[2J\x00\x7f\u009b", int64(1<<62), -1)
	f.Fuzz(func(t *testing.T, id, to, original, relay, tls, dsn, text string, delay int64, uses int) {
		d := time.Duration(delay)
		l := LogRecord{QueueID: id, To: to, Original: original, Relay: relay, TLS: tls, DSN: dsn, Status: "bounced", Text: text, Uses: uses,
			Delay: d, Delays: [4]time.Duration{d, -d, 0, d / 3}}
		line := l.String()
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }) {
			t.Fatalf("%q holds a control character", line)
		}
		m := postfixLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%q is no record", line)
		}
		for i, given := range map[int]string{2: to, 3: original, 4: relay, 5: tls, 6: dsn, 8: text} {
			if m[i] != asLogged(given, i) {
				t.Errorf("%q: the field %d is %q, and was given as %q", line, i, m[i], given)
			}
		}
		if m[7] != "bounced" {
			t.Errorf("%q: status %s", line, m[7])
		}
	})
}

// asLogged is what may stand in a field: nothing that ends the line, the address or
// the field.
func asLogged(given string, field int) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029':
			return '?'
		case (field == 2 || field == 3) && (r == '<' || r == '>'):
			return '?'
		case field >= 4 && field <= 6 && (r == ',' || r == ' '):
			return '?'
		}
		return r
	}, given)
}

// A stored TLS session that can be read is written as it was; any other is none.
func FuzzTicket(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(bytes.Repeat([]byte{0x7f}, 8), 0, 0, 0, 1, 'x', 'y'))
	f.Add(append(bytes.Repeat([]byte{0x7f}, 8), 0xff, 0xff, 0xff, 0xff))
	for _, b := range ticketSeeds(f) {
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cs, ok := parseTicket(b)
		if !ok {
			return
		}
		if end := int64(binary.BigEndian.Uint64(b)); end <= time.Now().Unix() {
			t.Fatalf("a session that ended at %d", end)
		}
		again := appendTicket(time.Now().Add(time.Hour), cs)
		if again == nil {
			t.Fatalf("%q cannot be written", b)
		}
		n := 12 + binary.BigEndian.Uint32(b[8:])
		if !bytes.Equal(again[8:n], b[8:n]) {
			t.Fatalf("the server's part %q became %q", b[12:n], again[12:n])
		}
		back, ok := parseTicket(again)
		if !ok || !bytes.Equal(appendTicket(time.Now().Add(time.Hour), back)[8:], again[8:]) {
			t.Fatalf("%q does not come back", again)
		}
	})
}

// ticketSeeds are sessions of TLS 1.2 and 1.3 as they are stored.
func ticketSeeds(f *testing.F) (seeds [][]byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.net"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		f.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		near, far := smtptest.Pipe(smtptest.Wire{Window: 1 << 20})
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, MaxVersion: version})
		go func() {
			_, _ = server.Write([]byte("x"))
			server.Close()
			far.Close()
		}()
		kept := &lastSession{}
		client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "mx.example.net", ClientSessionCache: kept, MinVersion: tls.VersionTLS12})
		if _, err := io.ReadAll(client); err != nil || kept.session == nil {
			f.Fatalf("no session was kept: %v", err)
		}
		seeds = append(seeds, appendTicket(time.Unix(1<<40, 0), kept.session))
	}
	return seeds
}

type lastSession struct{ session *tls.ClientSessionState }

func (l *lastSession) Get(string) (*tls.ClientSessionState, bool)    { return nil, false }
func (l *lastSession) Put(_ string, session *tls.ClientSessionState) { l.session = session }
