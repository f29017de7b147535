package smtptest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The client of the standard library shares nothing with this package.
func TestServerWithTheStandardClient(t *testing.T) {
	message := []byte("From: a@client.example\r\n\r\nhi\r\n.dot\r\n")
	s := &Server{Passwords: map[string]string{"ann": "sesame"}}
	defer s.Close()
	connect := func(network, addr string) *smtp.Client {
		listening, err := s.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial(network, listening.String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := smtp.NewClient(conn, "mx.example.net")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	send := func(c *smtp.Client) {
		if err := errors.Join(c.Mail("a@client.example"), c.Rcpt("b@mx.example")); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		w.Write(message)
		if err := errors.Join(w.Close(), c.Quit()); err != nil {
			t.Fatal(err)
		}
	}

	c := connect("tcp", "127.0.0.1:0")
	if err := errors.Join(c.Hello("client.example"),
		c.StartTLS(&tls.Config{ServerName: "mx.example.net", RootCAs: s.Roots()}),
		c.Auth(smtp.PlainAuth("", "ann", "sesame", "mx.example.net"))); err != nil {
		t.Fatal(err)
	}
	send(c)
	send(connect("unix", filepath.Join(t.TempDir(), "s")))

	wantViolations(t, s)
	got := s.Messages()
	if len(got) != 2 {
		t.Fatalf("%d messages, want 2", len(got))
	}
	for _, m := range got {
		if !bytes.Equal(m.Data, message) || !slices.Equal(m.To, []string{"b@mx.example"}) {
			t.Errorf("message: %+v", m)
		}
	}
	if got[0].Login != "ann" || got[0].TLS == nil || got[1].TLS != nil {
		t.Error("the first came by TLS from ann, the second in plaintext")
	}
}

func TestServerCloseEndsEverything(t *testing.T) {
	stuck := map[string]Action{"stall": {Fault: Stall}, "delay": {Delay: time.Hour}, "drip": {Fault: Drip, Delay: time.Hour},
		"unread reply": {Reply: strings.Repeat("250-x\n", 1000) + "250 x"}}
	for name, action := range stuck {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Script: at("NOOP", action)}
			d := dial(t, s)
			d.hello()
			d.send("NOOP")
			synctest.Wait()
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Error(err)
			}
			_, err := s.DialContext(t.Context(), "tcp", "192.0.2.25:25")
			wantErr(t, "DialContext after Close", err, syscall.ECONNREFUSED)
		})
	}
	t.Run("sockets", func(t *testing.T) {
		connected := make(chan struct{})
		s := &Server{Script: func(Command) Action {
			close(connected)
			return Action{Fault: Stall}
		}}
		addr, err := s.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		<-connected
		s.Close()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection outlived Close")
		}
		if _, err := s.Listen("tcp", "127.0.0.1:0"); err == nil {
			t.Error("Listen worked after Close")
		}
	})
}

// A reset is one on sockets too, where there is such a thing.
func TestServerResetsSockets(t *testing.T) {
	s := &Server{Script: at("NOOP", Action{Fault: Reset})}
	defer s.Close()
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		listening, err := s.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial(network, listening.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		d := &dialogist{t, conn, textproto.NewConn(conn)}
		d.want("220")
		d.send("NOOP")
		_, err = conn.Read(make([]byte, 1))
		if err == nil || network == "tcp" && err == io.EOF {
			t.Errorf("%s: Read: %v", network, err)
		}
	}
}

func TestServerClientAddresses(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.25:25": "192.0.2.1:49152", "[2001:db8::25]:25": "[2001:db8::1]:49152",
		"/run/lmtp": ""} {
		bubble(t, remote, func(t *testing.T) {
			s := &Server{}
			defer s.Close()
			network := "tcp"
			if remote[0] == '/' {
				network = "unix"
			}
			conn, err := s.DialContext(t.Context(), network, remote)
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.LocalAddr().String(); got != want || conn.RemoteAddr().String() != remote {
				t.Errorf("from %s to %s, want from %s", got, conn.RemoteAddr(), want)
			}
		})
	}
}

func TestDialContextEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Wire: Wire{Delay: time.Minute}}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.DialContext(ctx, "tcp", "192.0.2.25:25")
		wantErr(t, "DialContext", err, context.DeadlineExceeded)
		if s.Sessions() != 0 {
			t.Error("the connection came about")
		}
	})
}

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &Server{Name: "a"}, &Server{Name: "b"}
		n := Network{"192.0.2.1:25": a, "192.0.2.2:25": b, "192.0.2.3:25": nil}
		defer n.Close()
		conn, err := n.DialContext(t.Context(), "tcp", "192.0.2.2:25")
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().String(); got != "192.0.2.2:25" {
			t.Errorf("remote address %s", got)
		}
		line, _ := textproto.NewConn(conn).ReadLine()
		if line != "220 b ESMTP" {
			t.Errorf("greeting %q", line)
		}
		_, err = n.DialContext(t.Context(), "tcp", "192.0.2.9:25")
		wantErr(t, "unknown address", err, syscall.ECONNREFUSED)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err = n.DialContext(ctx, "tcp", "192.0.2.3:25")
		wantErr(t, "silent host", err, context.DeadlineExceeded)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %v", took)
		}
		for _, s := range []*Server{a, b} {
			client := tls.Config{RootCAs: n.Roots(), ServerName: "x.example"}
			s.ImplicitTLS = true
			conn, _ := s.DialContext(t.Context(), "tcp", "192.0.2.1:465")
			if err := tls.Client(conn, &client).Handshake(); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	})
}
