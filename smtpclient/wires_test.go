package smtpclient_test

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// wires holds against the rules what clients wrote as anybody on the way could read
// it (invariant 6): nothing that can be used again is said in plaintext.
type wires struct {
	open bool // a test wants it to be said

	mu      sync.Mutex
	written []*bytes.Buffer // the begin, for each connection
}

// wireBegin is how much is kept: AUTH comes early.
const wireBegin = 16 << 10

type wiretap struct {
	*smtptest.Conn
	wires *wires
	said  *bytes.Buffer
}

func (c *wiretap) Write(p []byte) (int, error) {
	c.wires.mu.Lock()
	c.said.Write(p[:min(len(p), wireBegin-c.said.Len())])
	c.wires.mu.Unlock()
	return c.Conn.Write(p)
}

// tapping dials connections in memory whose bytes are seen.
func (w *wires) tapping(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		tap := &wiretap{conn.(*smtptest.Conn), w, &bytes.Buffer{}}
		w.written = append(w.written, tap.said)
		return tap, nil
	}
}

// showing is a command of AUTH after which the server can say who we are to others.
var showing = regexp.MustCompile(`(?m)^AUTH (PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|X-SONG)\b`)

func (w *wires) check(t *testing.T) {
	t.Helper()
	for _, said := range w.shown() {
		t.Errorf("a secret went over the wire in plaintext: %.500q", said)
	}
}

// shown is what was said on connections that had a secret to hear.
func (w *wires) shown() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, said := range w.written {
		if w.open || !bytes.Contains(said.Bytes(), []byte("AUTH ")) {
			continue
		}
		l := eavesdrop.New(thePassword, wrongPassword, theToken, staleToken)
		if l.Check(said.String()) || showing.Match(said.Bytes()) {
			all = append(all, said.String())
		}
	}
	return all
}

// A wire that nobody reads would have no secrets.
func TestWires(t *testing.T) {
	for said, secret := range map[string]bool{
		"EHLO x\r\nAUTH PLAIN\r\n":                          true,
		"AUTH X " + b64("\x00ann\x00"+thePassword) + "\r\n": true,
		"AUTH X\r\n" + thePassword:                          true,
		"MAIL FROM:<auth@plain>\r\n":                        false,
	} {
		ours := &wires{}
		server := &smtptest.Server{}
		defer server.Close()
		conn, err := ours.tapping(server.DialContext)(t.Context(), "tcp", "192.0.2.1:25")
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Unix(1, 0)) // nobody needs to read it
		conn.Write([]byte(said))
		if got := ours.shown(); (len(got) > 0) != secret {
			t.Errorf("%q: found %q", said, got)
		}
		conn.Close()
	}
}
