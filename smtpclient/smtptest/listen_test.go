package smtptest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// In memory a dial takes the delay of the server's Profile, or ends with its
// context.
func TestAcceptDelayInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Profile: Profile{AcceptDelay: time.Minute}}
		defer s.Close()
		began := time.Now()
		dial(t, s).want("220")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the greeting came after %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := s.DialContext(ctx, "tcp", "192.0.2.25:25"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a dial of 30 s: %v", err)
		}
		if s.Sessions() != 1 {
			t.Errorf("%d sessions, want 1", s.Sessions())
		}
	})
}

// A listener takes its connections one after another, each after the delay; what
// waits when the server is closed is closed.
func TestAcceptDelayOfAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		l := listener{make(chan net.Conn, 3), make(chan struct{})}
		if err := s.serveOn(l, Profile{AcceptDelay: time.Minute}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // nobody comes, and nothing is saved up
		began := time.Now()
		var clients []*Conn
		for range 3 {
			client, server := Pipe(Wire{Window: 4096})
			clients = append(clients, client)
			l.queue <- server
		}
		for i, client := range clients[:2] {
			p := make([]byte, 3)
			if _, err := io.ReadFull(client, p); err != nil || string(p) != "220" {
				t.Fatalf("greeting %q, %v", p, err)
			}
			if took, want := time.Since(began), time.Duration(i+1)*time.Minute; took != want {
				t.Errorf("greeting %d after %v, want %v", i, took, want)
			}
		}
		s.Close()
		if n, err := clients[2].Read(make([]byte, 1)); n > 0 || err != io.EOF {
			t.Errorf("the one that waited read %d bytes, %v", n, err)
		}
	})
}

// listener accepts what is in its queue.
type listener struct {
	queue  chan net.Conn
	closed chan struct{}
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.queue:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error   { close(l.closed); return nil }
func (l listener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// One server has a port where TLS comes first, and one where it does not.
func TestListenWithImplicitTLS(t *testing.T) {
	s := &Server{}
	defer s.Close()
	plain, err := s.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := s.ListenAs("tcp", "127.0.0.1:0", Profile{ImplicitTLS: true})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", plain.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tlsConn, err := tls.Dial("tcp", secure.String(), &tls.Config{RootCAs: s.Roots(), ServerName: "mx.example.net"})
	if err != nil {
		t.Fatal(err)
	}
	defer tlsConn.Close()
	for name, c := range map[string]net.Conn{"plaintext": conn, "TLS": tlsConn} {
		p := make([]byte, 3)
		if _, err := io.ReadFull(c, p); err != nil || string(p) != "220" {
			t.Errorf("%s: greeting %q, %v", name, p, err)
		}
	}
}

// Scripts and limits take the client for whom it is said to be.
func TestFakePeerAddr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.7:4711"))
		var seen net.Addr
		s := &Server{FakePeerAddr: peer, Profile: Profile{Limits: Limits{PerAddress: 1}}, Script: func(c Command) Action {
			seen = c.Remote
			return Action{}
		}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		if seen != peer {
			t.Errorf("the Script saw %v, want %v", seen, peer)
		}
		second, err := s.DialContext(t.Context(), "tcp", "[2001:db8::25]:25")
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 3)
		if _, err := io.ReadFull(second, p); err != nil || string(p) != "421" {
			t.Errorf("greeting %q, %v: the second connection is of the same peer", p, err)
		}
	})
}
