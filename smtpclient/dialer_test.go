package smtpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// A local address that is refused rules out its own family only, and at once for
// all other servers of the family.
func TestBindRefusedByFamily(t *testing.T) {
	for refused, want := range map[string]string{
		"tcp4": "192.0.2.10:25 [2001:db8::10]:25",
		"tcp6": "[2001:db8::9]:25 192.0.2.11:25",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			w.client.Routing.Prefer = resolve.IPv4
			list := addrs("192.0.2.10", "192.0.2.12", "2001:db8::10")
			if refused == "tcp6" {
				w.client.Routing.Prefer = resolve.IPv6
				list = addrs("2001:db8::9", "2001:db8::8", "192.0.2.11")
			}
			for _, q := range []resolve.Type{resolve.TypeA, resolve.TypeAAAA} {
				var of []netip.Addr
				for _, a := range list {
					if a.Is4() == (q == resolve.TypeA) {
						of = append(of, a)
					}
				}
				w.dns[resolve.Question{Name: "mx10.example.net", Type: q}] = resolve.Answer{Addrs: of}
			}
			var dialled []string
			w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled = append(dialled, addr)
				if network == refused {
					return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}
				}
				return nil, errors.New("nobody is there")
			}
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			if got := strings.Join(dialled, " "); got != want {
				t.Errorf("%s refused: dialled %s, want %s", refused, got, want)
			}
			expect(t, report, "bob@example.net deferred connect 4.4.1")
			if e := report.Outcomes[0].Earlier; len(e) != 1 || e[0].Enhanced != "4.3.5" {
				t.Errorf("earlier attempts %+v", e)
			}
		})
	}
}

// A name in Target.Addr is dialled by the family of the local address, which is
// what the connection is bound to.
func TestLocalAddressOfNames(t *testing.T) {
	server := &smtptest.Server{}
	defer server.Close()
	at, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(at.String())
	books := booksOf(t, server)
	for _, addr := range []string{"localhost:" + port, "127.0.0.1:" + port} {
		d := &smtpclient.Dialer{LocalName: "client.example.org", LocalAddr4: netip.MustParseAddr("127.0.0.1")}
		s, err := d.Dial(t.Context(), smtpclient.Target{Addr: addr, Policy: tlspolicy.Policy{Level: tlspolicy.Encrypt}})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, send(t, &heldSession{s, books}, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
		s.Close()
	}
	// Where the family has no address of ours to bind, nothing is dialled in the
	// other family.
	d := &smtpclient.Dialer{LocalAddr6: netip.MustParseAddr("2001:db8::77")}
	if s, err := d.Dial(t.Context(), smtpclient.Target{Addr: "localhost:" + port}); err == nil {
		t.Errorf("the session came about without the local address: %+v", s.Peer())
	}
}

// At May an old TLS is better than none; where TLS is required it has to be a
// good one (RFC 8996).
func TestOldTLS(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{tlspolicy.May: "delivered data-done 2.0.0", tlspolicy.Encrypt: "deferred starttls 4.7.5"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}})
			w.client.TLS = level
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net "+want)
			if o := report.Outcomes[0]; level == tlspolicy.May && (o.TLS.Version != tls.VersionTLS11 || o.TLS.Fallback != nil) {
				t.Errorf("TLS state %+v", o.TLS)
			}
		})
	}
}

// The handshake has a time of its own behind that of the reply, and what both
// attempts took is in the times.
func TestHandshakeTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		released := make(chan struct{})
		defer close(released)
		w.mx(10, &smtptest.Server{TLSConfig: stalledTLS(released), Script: on("STARTTLS", action{Delay: 4 * time.Minute})})
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if took := time.Since(start); took != 9*time.Minute {
			t.Errorf("took %v, want 4 minutes for the reply and 5 for the handshake", took)
		}
		if took := report.Outcomes[0].Times[smtpclient.StageStartTLS]; took != 9*time.Minute {
			t.Errorf("STARTTLS took %v, want the 9 minutes of the first connection", took)
		}
	})
}

// A cancel within the handshake is no failure of TLS: nothing is dialled again.
func TestCancelWithinHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		released := make(chan struct{})
		defer close(released)
		mx := w.mx(10, &smtptest.Server{TLSConfig: stalledTLS(released)})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred starttls 4.7.5")
		o := report.Outcomes[0]
		if took := time.Since(start); took != 10*time.Second || mx.Sessions() != 1 || o.TLS.Fallback != nil || !errors.Is(o.Cause, context.DeadlineExceeded) {
			t.Errorf("took %v, %d sessions, fallback %v: %v", took, mx.Sessions(), o.TLS.Fallback, o.Err())
		}
	})
}

// Every line of a long reply to EHLO counts.
func TestLongHello(t *testing.T) {
	var lines []string
	for i := range 200 {
		lines = append(lines, "X-"+strings.Repeat("long", 10)+itoa(i))
	}
	server := &smtptest.Server{Extensions: append(lines, "auth PLAIN", "AUTH=LOGIN", "SIZE -1", "PIPELINING")}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		if _, ok := s.Extension("PIPELINING"); !ok {
			t.Error("the last line of a long reply is lost")
		}
		if mechanisms, ok := s.Extension("AUTH"); !ok || mechanisms != "PLAIN LOGIN" {
			t.Errorf("AUTH has %q, want both lines together", mechanisms)
		}
		expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
	})
}
