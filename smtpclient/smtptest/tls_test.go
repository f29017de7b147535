package smtptest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestServerSTARTTLS(t *testing.T) {
	for name, w := range map[string]Wire{"no window": {}, "one byte": {Window: 1}, "window": {Window: 1 << 16},
		"short": {MaxWrite: 5, MaxRead: 3}, "delay": {Window: 1 << 16, Delay: time.Second}} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Wire: w}
			defer s.Close()
			cache := tls.NewLRUClientSessionCache(1)
			for i := range 2 {
				d := dial(t, s)
				d.hello()
				d.ask("STARTTLS", "220")
				conn := tls.Client(d.conn, &tls.Config{ServerName: "any.example", RootCAs: s.Roots(), ClientSessionCache: cache})
				d = &dialogist{t, conn, textproto.NewConn(conn)}
				d.ask("EHLO client.example", "250 CHUNKING")
				d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
				d.want("250", "250", "354")
				d.send(".", "QUIT")
				d.want("250", "221")
				d.wantEnd(io.EOF)
				conn.Close()
				if resumed := conn.ConnectionState().DidResume; resumed != (i == 1) {
					t.Errorf("session %d: resumed %v", i, resumed)
				}
				if m := s.Messages()[i]; m.TLS == nil || m.TLS.ServerName != "any.example" {
					t.Errorf("message came by %+v", m.TLS)
				}
			}
			wantViolations(t, s)
		})
	}
	bubble(t, "injected reply", func(t *testing.T) {
		s := &Server{Script: at("STARTTLS", Action{Raw: []byte("220 go\r\n250 injected\r\n")})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("STARTTLS", "220 go")
		d.want("250 injected")
		conn := tls.Client(d.conn, &tls.Config{ServerName: "any.example", RootCAs: s.Roots()})
		if err := conn.Handshake(); err != nil {
			t.Errorf("handshake after what was injected: %v", err)
		}
	})
	bubble(t, "injected command", func(t *testing.T) {
		s := &Server{}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("STARTTLS", "RSET")
		d.want("220")
		d.wantEnd(io.EOF)
		wantViolations(t, s, `did not wait for the reply to "STARTTLS": sent "RSET\r\n"`)
	})
	bubble(t, "only 220 starts it", func(t *testing.T) {
		s := &Server{Script: at("STARTTLS", Action{Reply: "250 ok"})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("STARTTLS", "250 ok")
		d.ask("NOOP", "250 2.0.0")
	})
	bubble(t, "EHLO is forgotten", func(t *testing.T) {
		s := &Server{}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("STARTTLS", "220")
		conn := tls.Client(d.conn, &tls.Config{ServerName: "any.example", RootCAs: s.Roots()})
		d = &dialogist{t, conn, textproto.NewConn(conn)}
		d.ask("MAIL FROM:<>", "503")
		wantViolations(t, s, "MAIL before EHLO")
	})
	bubble(t, "closed without waiting", func(t *testing.T) {
		s := &Server{ImplicitTLS: true, Extensions: []string{}}
		defer s.Close()
		conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: "any.example", RootCAs: s.Roots()})
		d := &dialogist{t, conn, textproto.NewConn(conn)}
		d.hello()
		d.send("RSET")
		synctest.Wait() // for the reply to be written
		conn.Close()
		synctest.Wait()
		wantViolations(t, s)
	})
	bubble(t, "implicit", func(t *testing.T) {
		s := &Server{ImplicitTLS: true, Certificate: Certificate{Names: []string{"mx.example"}}}
		defer s.Close()
		conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: "mx.example", RootCAs: s.Roots()})
		d := &dialogist{t, conn, textproto.NewConn(conn)}
		d.hello()
		d.ask("STARTTLS", "503")
	})
}

func TestServerCertificates(t *testing.T) {
	for name, tc := range map[string]struct {
		certificate Certificate
		serverName  string
		want        string // in the error
	}{
		"any name":    {Certificate{}, "what.example", ""},
		"address":     {Certificate{}, "192.0.2.25", ""}, // Go sends no SNI for it
		"names":       {Certificate{Names: []string{"a.example", "b.example", "192.0.2.9"}}, "b.example", ""},
		"wrong name":  {Certificate{Names: []string{"a.example"}}, "b.example", "not b.example"},
		"expired":     {Certificate{NotAfter: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)}, "a.example", "expired"},
		"self-signed": {Certificate{SelfSigned: true}, "a.example", "unknown authority"},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{ImplicitTLS: true, Certificate: tc.certificate}
			defer s.Close()
			conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: tc.serverName, RootCAs: s.Roots()})
			err := conn.Handshake()
			if tc.want == "" && err != nil || tc.want != "" && !strings.Contains(fmt.Sprint(err), tc.want) {
				t.Errorf("handshake: %v, want %q", err, tc.want)
			}
		})
	}
	bubble(t, "configuration without certificate", func(t *testing.T) {
		s := &Server{ImplicitTLS: true, TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS12}}
		defer s.Close()
		conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: "a.example", RootCAs: s.Roots()})
		if err := conn.Handshake(); err != nil || conn.ConnectionState().Version != tls.VersionTLS12 {
			t.Errorf("handshake: %v, version %x", err, conn.ConnectionState().Version)
		}
	})
}
