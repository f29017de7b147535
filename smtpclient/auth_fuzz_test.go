package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// lineByLine is a connection whose other end has a line to say whenever it is
// asked.
type lineByLine struct {
	net.Conn
	said  []byte
	heard bytes.Buffer
}

func (c *lineByLine) Read(p []byte) (int, error) {
	if len(c.said) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(c.said, '\n') + 1
	if end == 0 {
		end = len(c.said)
	}
	n := copy(p, c.said[:end])
	c.said = c.said[n:]
	return n, nil
}

func (c *lineByLine) Write(p []byte) (int, error) { return c.heard.Write(p) }
func (c *lineByLine) Close() error                { return nil }
func (c *lineByLine) SetDeadline(time.Time) error { return nil }
func (c *lineByLine) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }
func (c *lineByLine) Buffered() int               { return 0 }

// FuzzAuth has a server say anything to AUTH. Whatever it is: the exchange ends,
// within the lengths of RFC 4954, Section 4; a session comes about only after a 235;
// SCRAM never trusts it, since it does not know the password; and no secret is
// told.
func FuzzAuth(f *testing.F) {
	mechanisms := []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER", "EXTERNAL"}
	for i := range mechanisms {
		f.Add([]byte("334 \r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n"), uint8(i))
		f.Add([]byte("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n535-5.7.8 no\r\n535 5.7.8 no\r\n"), uint8(i))
		f.Add([]byte("235 2.7.0 ok\r\n"), uint8(i))
		f.Add([]byte("334 cj1mb28scz1iYXIsaT00MDk2\r\n334 dj1iYXI=\r\n235 ok\r\n"), uint8(i))
		f.Add([]byte("334 =\r\n501 cancelled\r\n"), uint8(i))
		f.Add(bytes.Repeat([]byte("334 bGE=\r\n"), 40), uint8(i))
	}
	f.Fuzz(func(t *testing.T, said []byte, which uint8) {
		mechanism := mechanisms[int(which)%len(mechanisms)]
		conn := &lineByLine{said: append([]byte("220 mx\r\n250-mx\r\n250 AUTH "+mechanism+"\r\n"), said...)}
		d := &smtpclient.Dialer{LocalName: "c.example", DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		c := &smtpclient.Credential{User: "ann", Password: thePassword, Channel: tlspolicy.None, Mechanisms: []string{mechanism}}
		if strings.HasSuffix(mechanism, "OAUTH2") || mechanism == "OAUTHBEARER" {
			c.Password, c.Token = "", tokenOf(theToken)
		}
		heard := eavesdrop.New(thePassword, theToken)
		s, err := d.Dial(heard.Context(t.Context()), smtpclient.Target{Addr: "192.0.2.1:25", Policy: tlspolicy.Policy{Level: tlspolicy.None}, Credential: c})
		if err != nil {
			heard.Value(err)
		}
		if len(heard.Leaks()) > 0 {
			t.Errorf("a secret was told: %q", heard.Leaks())
		}
		lines := strings.Split(conn.heard.String(), "\r\n")
		for _, line := range lines[1:] {
			if most := map[bool]int{true: 512, false: 12288}[strings.HasPrefix(line, "AUTH")]; len(line)+2 > most {
				t.Errorf("a line of %d bytes: %.60q", len(line)+2, line)
			}
		}
		if len(lines) > 30 {
			t.Errorf("%d lines were said", len(lines))
		}
		var failed *smtpclient.Error
		switch {
		case err != nil && (!errors.As(err, &failed) || failed.Status != smtpclient.Deferred || failed.Login != ""):
			t.Errorf("the error is %+v", err)
		case err == nil && (!bytes.Contains(said, []byte("235")) || strings.HasPrefix(mechanism, "SCRAM")):
			t.Errorf("%s: a session after %q", mechanism, said)
		case err == nil && s.Peer().Login != "ann":
			t.Errorf("logged in as %q", s.Peer().Login)
		}
	})
}
