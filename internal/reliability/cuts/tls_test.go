package cuts

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync"
	"time"
)

// serverTLS is the server's half of TLS: keys that cost little, and no tickets, so
// that each record which comes to us is a reply.
var serverTLS = sync.OnceValue(func() *tls.Config {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mx.example.net"},
		DNSNames:     []string{"mx.example.net"},
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		CurvePreferences:       []tls.CurveID{tls.X25519},
		SessionTicketsDisabled: true,
	}
})

// serverEnd is the server's end of a line, under TLS.
type serverEnd struct{ *line }

// Read gives what the client has sent, never across the byte where it is cut.
func (e serverEnd) Read(p []byte) (int, error) {
	l := e.line
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.cell.where == up && l.heard >= l.cell.at {
			l.gone = true
			l.wake()
		}
		if l.heard < len(l.took) {
			break
		}
		if l.closed || l.failed {
			return 0, io.EOF
		}
		l.wait()
	}
	end := len(l.took)
	if l.cell.where == up && l.heard < l.cell.at {
		end = min(end, l.cell.at)
	}
	n := copy(p, l.took[l.heard:end])
	l.heard += n
	return n, nil
}

func (e serverEnd) Write(p []byte) (int, error) {
	l := e.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isDeaf() {
		l.send(p)
	}
	return len(p), nil
}

func (e serverEnd) Close() error                     { return nil }
func (e serverEnd) SetDeadline(time.Time) error      { return nil }
func (e serverEnd) SetReadDeadline(time.Time) error  { return nil }
func (e serverEnd) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = serverEnd{}

// isDeaf tells that the server has closed, and what is read now it never saw.
func (l *line) isDeaf() bool { return l.cell.where == up && l.heard > l.cell.at }

// secure puts TLS at the server's end. The caller holds mu.
func (l *line) secure() {
	l.tls, l.tookClear, l.saidClear = true, len(l.took), len(l.said)
	l.host.secure = true
	l.serving.Go(l.serveTLS)
}

// serveTLS lets the server hear and speak inside TLS until the end.
func (l *line) serveTLS() {
	conn := tls.Server(serverEnd{l}, serverTLS())
	defer l.hangUp()
	if conn.Handshake() != nil {
		return
	}
	if len(l.plainSaid) == 0 {
		l.speak(conn, l.host.greet())
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.plainTook = append(l.plainTook, buf[:n]...)
		deaf := l.isDeaf() || l.ended
		l.mu.Unlock()
		if deaf {
			continue
		}
		out, _, end := l.host.hear(buf[:n])
		l.speak(conn, out)
		if end {
			conn.Close()
			l.hangUp()
		}
	}
}

// hangUp ends what the server says.
func (l *line) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wake()
}

// speak writes replies inside TLS, and cuts them where the cell has it.
func (l *line) speak(conn *tls.Conn, out []byte) {
	for _, at := range []int{l.cell.record, l.cell.at} {
		if at == l.cell.at && l.cell.where != inside {
			continue
		}
		if n := at - len(l.plainSaid); n >= 0 && n <= len(out) {
			l.seal(conn, out[:n])
			out = out[n:]
			if at == l.cell.at && l.cell.where == inside {
				l.mu.Lock()
				l.cell.where, l.cell.at = down, len(l.said)
				l.wake()
				l.mu.Unlock()
			}
		}
	}
	l.seal(conn, out)
}

func (l *line) seal(conn *tls.Conn, out []byte) {
	if len(out) == 0 {
		return
	}
	// What fails is seen by whoever waits for it.
	_, _ = conn.Write(out)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isDeaf() {
		l.noteSaid(out, true)
	}
}

// seams are where TLS records end in what went one way, of which the first bytes were
// in plaintext.
func seams(wire []byte, clear int) (ends []int) {
	const header = 5
	for at := clear; at+header <= len(wire); {
		at += header + int(wire[at+3])<<8 + int(wire[at+4])
		ends = append(ends, at)
	}
	return ends
}
