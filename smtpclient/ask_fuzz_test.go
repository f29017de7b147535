package smtpclient_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// FuzzAsk puts any string into the commands that are no mail: the server hears the
// command in one line, with the argument as it is, or nothing.
func FuzzAsk(f *testing.F) {
	for _, s := range []string{"", " ", "bob", "bob\r\nRSET", "a\x00", "a\nb", "\u00e9", "\xff", strings.Repeat("x", 500), strings.Repeat("x", 501), " bob ", "b\u2028c"} {
		for which := range byte(5) {
			f.Add(s, which)
		}
	}
	f.Fuzz(func(t *testing.T, arg string, which byte) {
		server := &yesServer{offers: []string{"ETRN", "XCLIENT NAME ADDR HELO"}, room: 1 << 20}
		d := &smtpclient.Dialer{LocalName: "client.example.org", DialContext: func(context.Context, string, string) (net.Conn, error) { return server.dial() }}
		s, err := d.Dial(t.Context(), smtpclient.Target{Host: "mx.example.net", Addr: "192.0.2.25:25", Policy: tlspolicy.Policy{Level: tlspolicy.None}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		server.lines = nil
		want, ask := asked(s, arg, which)
		reply, err := ask()
		switch got := server.lines; {
		case err != nil && reply.Code == 0 && len(got) == 0: // it was refused
		case len(server.in) > 0 || len(got) != 1 || got[0] != want+"\r\n" || len(got[0]) > 512:
			t.Errorf("%q, %v: the server heard %q, and then %q; want %q", arg, err, got, server.in, want)
		}
	})
}

// asked is a command with an argument, and the line that it is.
func asked(s *smtpclient.Session, arg string, which byte) (line string, ask func() (smtpclient.Reply, error)) {
	bare := func(f func(context.Context, string) (smtpclient.Reply, error)) func() (smtpclient.Reply, error) {
		return func() (smtpclient.Reply, error) { return f(context.Background(), arg) }
	}
	switch which % 5 {
	case 0:
		return "VRFY " + arg, bare(s.Vrfy)
	case 1:
		return "EXPN " + arg, bare(s.Expn)
	case 2:
		return "ETRN " + arg, bare(s.Etrn)
	case 3:
		if arg == "" {
			return "HELP", bare(s.Help)
		}
		return "HELP " + arg, bare(s.Help)
	}
	return "XCLIENT NAME=" + inXtext(arg), func() (smtpclient.Reply, error) {
		return s.Xclient(context.Background(), smtpclient.ClientInfo{Name: arg})
	}
}

// inXtext is a slow encoder of RFC 3461, Section 4.
func inXtext(s string) (text string) {
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			text += fmt.Sprintf("+%02X", c)
		} else {
			text += s[i : i+1]
		}
	}
	return text
}
