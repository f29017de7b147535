package smtpclient

import (
	"errors"
	"net"
	"net/netip"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

const sendMailPassword = "open-sesame-of-ann"

// sending is what is asked of SendMail, here and in net/smtp.
type sending struct {
	server *smtptest.Server
	host   string // of addr and of PlainAuth; "": 127.0.0.1
	auth   smtp.Auth
	from   string
	to     []string
	msg    string
}

type sendMailFunc func(addr string, a smtp.Auth, from string, to []string, msg []byte) error

// by sends to a new server.
func (s sending) by(t *testing.T, send sendMailFunc) ([]smtptest.Message, error) {
	t.Helper()
	server := &smtptest.Server{Extensions: s.server.Extensions, Passwords: s.server.Passwords, Script: s.server.Script}
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_, port, _ := net.SplitHostPort(addr.String())
	if s.host == "" {
		s.host = "127.0.0.1"
	}
	err = send(net.JoinHostPort(s.host, port), s.auth, s.from, s.to, []byte(s.msg))
	server.Close()
	for i := range server.Sessions() {
		for _, chunk := range server.Transcript(i) {
			if s.auth != nil && chunk.FromClient && len(s.server.Passwords) == 0 && strings.Contains(string(chunk.Data), "AUTH") {
				t.Errorf("the server heard %q", chunk.Data)
			}
		}
	}
	return server.Messages(), err
}

// plainOf is a server without TLS.
func plainOf(extensions ...string) *smtptest.Server {
	return &smtptest.Server{Extensions: append([]string{"PIPELINING", "8BITMIME"}, extensions...)}
}

func withPassword(s *smtptest.Server) *smtptest.Server {
	s.Passwords = map[string]string{"ann": sendMailPassword}
	return s
}

// Where net/smtp does the right thing, the server gets the same from both, or both
// give an error.
func TestSendMailAsNetSMTP(t *testing.T) {
	plain := smtp.PlainAuth("", "ann", sendMailPassword, "127.0.0.1")
	bob := []string{"bob@example.net", "carol@example.com"}
	for name, s := range map[string]sending{
		"a message":        {server: plainOf(), from: "ann@example.org", to: bob, msg: "Subject: x\r\n\r\n.\r\n..dots\r\n"},
		"bare line feeds":  {server: plainOf(), from: "ann@example.org", to: bob, msg: "Subject: x\n\nHello\n"},
		"no last line end": {server: plainOf(), from: "ann@example.org", to: bob, msg: "Subject: x\r\n\r\nHello"},
		"a null sender":    {server: plainOf(), to: bob[:1], msg: "Subject: x\r\n\r\n"},
		"PLAIN":            {server: withPassword(plainOf("AUTH PLAIN")), auth: plain, from: "ann@example.org", to: bob, msg: "\r\n"},
		"at localhost":     {server: withPassword(plainOf("AUTH PLAIN")), host: "localhost", auth: smtp.PlainAuth("", "ann", sendMailPassword, "localhost"), from: "ann@example.org", to: bob, msg: "\r\n"},
		"CRAM-MD5":         {server: withPassword(plainOf("AUTH EXTERNAL CRAM-MD5")), auth: smtp.CRAMMD5Auth("ann", sendMailPassword), from: "ann@example.org", to: bob, msg: "\r\n"},
		"LOGIN":            {server: withPassword(plainOf("AUTH LOGIN")), auth: &loginAuth{}, from: "ann@example.org", to: bob, msg: "\r\n"},

		"a wrong password":   {server: withPassword(plainOf("AUTH PLAIN")), auth: smtp.PlainAuth("", "ann", "wrong", "127.0.0.1"), from: "ann@example.org", to: bob, msg: "\r\n"},
		"another host":       {server: plainOf("AUTH PLAIN"), auth: smtp.PlainAuth("", "ann", sendMailPassword, "mx.example.org"), from: "ann@example.org", to: bob, msg: "\r\n"},
		"no AUTH":            {server: plainOf(), auth: plain, from: "ann@example.org", to: bob, msg: "\r\n"},
		"an Auth that fails": {server: withPassword(plainOf("AUTH LOGIN")), auth: &loginAuth{broken: true}, from: "ann@example.org", to: bob, msg: "\r\n"},
		"a sender's CRLF":    {server: plainOf(), from: "ann@example.org>\r\nDATA", to: bob, msg: "\r\n"},
		"a recipient's LF":   {server: plainOf(), from: "ann@example.org", to: []string{"bob@example.net", "carol@example.com\nDATA"}, msg: "\r\n"},
		"nobody takes it":    {server: refusing("bob", "carol"), from: "ann@example.org", to: bob, msg: "\r\n"},
		"nobody":             {server: plainOf(), from: "ann@example.org", msg: "\r\n"},
	} {
		theirs, theirErr := s.by(t, smtp.SendMail)
		ours, err := s.by(t, SendMail)
		if (err == nil) != (theirErr == nil) || len(ours) != len(theirs) || len(ours) != 1 && err == nil {
			t.Errorf("%s: %d messages, %v; net/smtp: %d messages, %v", name, len(ours), err, len(theirs), theirErr)
			continue
		}
		for i := range ours {
			if o, n := ours[i], theirs[i]; o.From != n.From || !slices.Equal(o.To, n.To) || string(o.Data) != string(n.Data) || o.Login != n.Login {
				t.Errorf("%s: from %q to %q as %q: %q; net/smtp: from %q to %q as %q: %q", name, o.From, o.To, o.Login, o.Data, n.From, n.To, n.Login, n.Data)
			}
		}
		if err != nil && strings.Contains(err.Error(), sendMailPassword) {
			t.Errorf("%s: the password is told: %v", name, err)
		}
	}
}

// refusing refuses some recipients.
func refusing(names ...string) *smtptest.Server {
	s := plainOf()
	s.Script = func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && slices.ContainsFunc(names, func(name string) bool { return strings.Contains(c.Args, name) }) {
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	}
	return s
}

// A recipient who is refused does not keep the others from getting the message; the
// error says who.
func TestSendMailOthersGetIt(t *testing.T) {
	s := sending{server: refusing("bob", "dora"), from: "ann@example.org", to: []string{"bob@example.net", "carol@example.com", "dora@example.com"}, msg: "Subject: x\r\n\r\n"}
	if got, err := s.by(t, smtp.SendMail); len(got) != 0 || err == nil {
		t.Errorf("net/smtp: %d messages, %v", len(got), err)
	}
	got, err := s.by(t, SendMail)
	var e *Error
	if len(got) != 1 || !slices.Equal(got[0].To, []string{"carol@example.com"}) || !errors.As(err, &e) || e.Reply.Code != 550 || e.Others != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// loginAuth is an Auth of a caller's own.
type loginAuth struct{ broken bool }

func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !slices.Contains(server.Auth, "LOGIN") {
		return "", nil, errors.New("no LOGIN")
	}
	return "LOGIN", nil, nil
}

func (a *loginAuth) Next(challenge []byte, more bool) ([]byte, error) {
	switch {
	case a.broken:
		return nil, errors.New("cannot")
	case !more:
		return nil, nil
	case strings.HasPrefix(string(challenge), "User"):
		return []byte("ann"), nil
	}
	return []byte(sendMailPassword), nil
}

// An Auth is begun only with a server that has proved its name: not without TLS, not
// with a certificate of somebody else.
func TestSendMailShowsNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		server *smtptest.Server
		want   bool
	}{
		"proved":       {withPassword(&smtptest.Server{}), true},
		"another name": {withPassword(&smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}}), false},
		"not signed":   {withPassword(&smtptest.Server{Certificate: smtptest.Certificate{SelfSigned: true}}), false},
		"without TLS":  {withPassword(plainOf("AUTH PLAIN")), false},
		"TLS but refused": {&smtptest.Server{Extensions: []string{"STARTTLS", "AUTH PLAIN"}, Passwords: map[string]string{"ann": sendMailPassword}, Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "STARTTLS" {
				return smtptest.Action{Reply: "454 not now"}
			}
			return smtptest.Action{}
		}}, false},
	} {
		c := &Client{
			Resolver: resolve.Static{{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}},
			Dialer:   &Dialer{DialContext: tt.server.DialContext},
			TLS:      tlspolicy.Policy{Level: tlspolicy.Secure, Roots: tt.server.Roots()}, // the level is that of a Client without one
		}
		if err := c.meant("mx.example.net:587", smtp.PlainAuth("", "ann", sendMailPassword, "mx.example.net")); err != nil {
			t.Fatal(err)
		}
		err := c.hand("ann@example.org", []string{"bob@example.net"}, []byte("\r\n"))
		got := tt.server.Messages()
		if ok := err == nil && len(got) == 1 && got[0].Login == "ann"; ok != tt.want {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
		for i := range tt.server.Sessions() {
			for _, chunk := range tt.server.Transcript(i) {
				if !tt.want && chunk.FromClient && strings.Contains(string(chunk.Data), "AUTH") {
					t.Errorf("%s: the server heard %q", name, chunk.Data)
				}
			}
		}
		tt.server.Close()
	}
}

// The address of the server has a port, as in net/smtp.
func TestSendMailAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"mx.example.org:25": "[mx.example.org]:25", ":25": "[127.0.0.1]:25", "localhost:smtp": "[127.0.0.1]:smtp", "[::1]:587": "[::1]:587",
		"mx.example.org": "", "": "",
	} {
		var c Client
		if err := c.meant(addr, nil); (err == nil) != (want != "") || err == nil && c.NextHops[0] != want {
			t.Errorf("%q: %q, %v", addr, c.NextHops, err)
		}
	}
}
