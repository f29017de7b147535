package smtpclient_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// T4: STARTTLS that was not offered is not asked for, not even where TLS is
// required.
func TestSTARTTLSNotOfferedIsNotAsked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: pipelined})
		w.client.TLS = tlspolicy.Encrypt
		w.another(t, "deferred starttls 4.7.4")
		w.settle()
		if lines := strings.Join(clientLines(mx, 0), "\n"); strings.Contains(lines, "STARTTLS") || !strings.Contains(lines, "QUIT") {
			t.Errorf("the client said %q", lines)
		}
	})
}

// cutting is a server that resets the connection in place of the reply to verb,
// without close_notify.
func cutting(server *smtptest.Server, verb string) *smtptest.Server {
	server.Script = on(verb, action{Fault: smtptest.Reset})
	return server
}

// T23: the connection ends without close_notify. Before the commit point nothing
// has happened; in the place of the reply to the dot nobody knows.
func TestCutInsideTLS(t *testing.T) {
	for verb, want := range map[string]string{
		"MAIL":             "deferred mail 4.4.2",
		"DATA":             "deferred data-init 4.4.2",
		smtptest.EndOfData: "unknown data-done 4.4.2",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, cutting(&smtptest.Server{}, verb))
			w.client.TLS = tlspolicy.Encrypt
			w.another(t, want)
		})
	}
}

// T24: the server closes TLS with the reply to the dot. It has taken the message.
func TestClosedWithTheLastReply(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Script: on(smtptest.EndOfData, action{Reply: "250 2.0.0 ok", Fault: smtptest.DropAfter})})
		w.client.TLS = tlspolicy.Encrypt
		w.another(t, delivered)
	})
}

// T25: bytes that are no TLS record, or records without end and without content,
// within TLS. The session ends, within its time.
func TestGarbageBelowTLS(t *testing.T) {
	for name, record := range map[string][]byte{
		"no record":     []byte("250 2.1.0 ok\r\n250 2.1.0 ok\r\n"),
		"too long":      {23, 3, 3, 0xff, 0xff},
		"not encrypted": {23, 3, 3, 0, 4, '2', '5', '0', ' '},
		"an alert":      {21, 3, 3, 0, 2, 1, 0},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			mx := w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16}, Script: on("MAIL", action{Fault: smtptest.Stall})})
			w.client.TLS = tlspolicy.Encrypt
			w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := w.net.DialContext(ctx, network, addr)
				return &answered{Conn: conn, with: record, after: 30 * time.Second}, err
			}
			start := time.Now()
			o := w.another(t, "deferred mail 4.4.2")
			if took := time.Since(start); took > 31*time.Second || len(mx.Messages()) != 0 {
				t.Errorf("%s: took %v, %v", name, took, o.Err())
			}
		})
	}
}

// answered is a connection on which something else comes where a server is silent
// for too long.
type answered struct {
	net.Conn
	with  []byte
	after time.Duration
	limit time.Time
}

func (a *answered) SetDeadline(t time.Time) error     { a.limit = t; return a.Conn.SetDeadline(t) }
func (a *answered) SetReadDeadline(t time.Time) error { a.limit = t; return a.Conn.SetReadDeadline(t) }

func (a *answered) Read(p []byte) (int, error) {
	if a.with == nil {
		return a.Conn.Read(p)
	}
	a.Conn.SetReadDeadline(time.Now().Add(a.after))
	n, err := a.Conn.Read(p)
	if n == 0 && err != nil && time.Now().Before(a.limit) {
		n, err = copy(p, a.with), nil
		a.with = a.with[n:]
		if len(a.with) == 0 {
			a.with = nil
		}
	}
	a.Conn.SetReadDeadline(a.limit)
	return n, err
}

// T29: a second greeting inside TLS is a reply too many; it is not taken for the
// reply to EHLO.
func TestGreetingInsideTLS(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		mx := w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == "EHLO" && c.TLS {
				return action{Raw: []byte("220 mx10.example.net ESMTP\r\n250-mx10.example.net\r\n250 PIPELINING\r\n")}
			}
			return action{}
		}})
		w.client.TLS = tlspolicy.Encrypt
		if o := w.another(t, "deferred hello 4.5.0"); len(mx.Messages()) != 0 {
			t.Errorf("%v", o.Err())
		}
	})
}

// T32: a chain of certificates without end is refused by what crypto/tls reads.
func TestHugeChain(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{tlspolicy.May: delivered, tlspolicy.Encrypt: "deferred starttls 4.7.5"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			cert := newAuthority(t).leaf("mx10.example.net", time.Hour)
			for range 1000 {
				cert.Certificate = append(cert.Certificate, cert.Certificate[0])
			}
			w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}}})
			w.client.TLS = level
			if o := w.another(t, want); level == tlspolicy.May && o.TLS.Fallback == nil {
				t.Errorf("%+v", o.TLS)
			}
		})
	}
}
