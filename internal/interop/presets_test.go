package interop

import (
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// conversations are commands in their order and out of it. A line that begins with
// "=" is sent without its first octet and has no reply of its own.
var conversations = map[string][]string{
	"in order": {
		"EHLO client.example.org", "MAIL FROM:<ann@example.org> SIZE=100 BODY=8BITMIME", "RCPT TO:<MAILBOX>", "RCPT TO:<reject@example.test>",
		"RCPT TO:<tempfail@example.test>", "DATA", "=Subject: x", "=", "=..", ".", "RSET", "NOOP", "QUIT",
	},
	"HELO": {"HELO client.example.org", "MAIL FROM:<>", "RCPT TO:<MAILBOX>", "DATA", "=Subject: x", "=", ".", "QUIT"},
	"out of order": {
		"DATA", "RCPT TO:<MAILBOX>", "EHLO client.example.org", "RCPT TO:<MAILBOX>", "DATA", "MAIL FROM:<ann@example.org>", "MAIL FROM:<ann@example.org>", "DATA",
		"RCPT TO:<reject@example.test>", "DATA", "RCPT TO:<MAILBOX>", "MAIL FROM:<ann@example.org>", "RSET", "DATA", "RSET", "QUIT",
	},
	"EHLO in a transaction": {
		"EHLO client.example.org", "MAIL FROM:<ann@example.org>", "RCPT TO:<MAILBOX>", "EHLO client.example.org", "DATA", "RCPT TO:<MAILBOX>", "QUIT",
	},
	"no mail":           {"GET / HTTP/1.1", "QUIT"},
	"no EHLO":           {"MAIL FROM:<ann@example.org>", "RCPT TO:<MAILBOX>", "RSET", "NOOP", "QUIT"},
	"other verbs":       {"EHLO client.example.org", "VRFY", "VRFY MAILBOX", "EXPN staff", "HELP", "NOOP with an argument", "noop", "WIZ", "TURN", "ETRN", "QUIT"},
	"bad arguments":     {"EHLO", "HELO", "EHLO client.example.org", "RSET now", "QUIT now", "QUIT"},
	"arguments of DATA": {"EHLO client.example.org", "MAIL FROM:<ann@example.org>", "RCPT TO:<MAILBOX>", "DATA now", "RSET", "STARTTLS now", "QUIT"},
	"bad reverse paths": {
		"EHLO client.example.org", "MAIL", "MAIL FROM:", "MAIL FROM:<ann@example.org", "mail from:<ann@example.org>", "QUIT",
	},
	"bad forward paths": {
		"EHLO client.example.org", "MAIL FROM:<>", "RCPT TO:", "RCPT", "RCPT TO:<MAILBOX", "rcpt to:<MAILBOX>", "RCPT FROM:<MAILBOX>", "QUIT",
	},
	"bad parameters of MAIL": {
		"EHLO client.example.org", "MAIL FROM:<ann@example.org> NONSENSE=1", "MAIL FROM:<ann@example.org> SIZE=many", "RSET",
		"MAIL FROM:<ann@example.org> BODY=9BIT", "RSET", "MAIL FROM:<ann@example.org> SIZE=999999999", "RSET", "QUIT",
	},
	"DSN": {
		"EHLO client.example.org", "MAIL FROM:<ann@example.org> RET=SOME", "MAIL FROM:<ann@example.org> RET=FULL ENVID=x",
		"RCPT TO:<MAILBOX> NOTIFY=SOMETIMES", "RCPT TO:<MAILBOX> NOTIFY=NEVER ORCPT=rfc822;x", "QUIT",
	},
	"bad parameters of RCPT": {"EHLO client.example.org", "MAIL FROM:<ann@example.org>", "RCPT TO:<MAILBOX> NONSENSE=1", "RCPT TO:<MAILBOX>", "QUIT"},
	"BDAT": {
		"EHLO client.example.org", "BDAT 3 LAST", "=x", "MAIL FROM:<ann@example.org>", "RCPT TO:<MAILBOX>", "BDAT 14", "=Subject: x", "=", "DATA", "RSET",
		"MAIL FROM:<ann@example.org>", "RCPT TO:<MAILBOX>", "BDAT 14 LAST", "=Subject: x", "=", "QUIT",
	},
	"BDAT without a size": {"EHLO client.example.org", "MAIL FROM:<ann@example.org>", "RCPT TO:<MAILBOX>", "BDAT x", "NOOP", "QUIT"},
	"AUTH":                {"EHLO client.example.org", "AUTH PLAIN", "*", "QUIT"},
}

// The presets say what the real servers say.
func TestPresets(t *testing.T) {
	for _, peer := range []struct {
		name   string
		start  func(t *testing.T) server
		door   string
		preset smtptest.Profile
		users  map[string]string
		later  string // its reply to who is told to come later
	}{
		{"Postfix", usualPostfix, PostfixFull, smtptest.Postfix(), nil, "450 4.2.1 try later"},
		{"Exim", eximServer, EximFull, busyExim(), map[string]string{"user": "pencil"}, "451 4.2.1 try later"},
	} {
		t.Run(peer.name, func(t *testing.T) {
			real := peer.start(t)
			to := real.NewMailbox("example.test")
			preset := &smtptest.Server{Name: "mx.example.test", Profile: peer.preset, Passwords: peer.users, Script: refuse("550 5.1.1 no such user", peer.later)}
			defer preset.Close()
			at, err := preset.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			commands := 0
			for name, lines := range conversations {
				want, got := converse(t, real.Addr(peer.door), to, lines), converse(t, at.String(), to, lines)
				commands += len(got)
				if strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("%s: the preset says\n%s\nthe server said\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			if commands < 40 {
				t.Errorf("%d commands are too few to compare", commands)
			}
			t.Logf("%d commands", commands)
		})
	}
}

// usualPostfix has a limit of size, as those have who leave it as it is.
func usualPostfix(t *testing.T) server {
	return ownPostfix(t, PostfixSettings{Main: "message_size_limit = 10240000\nsmtpd_recipient_limit = 1000\n"})
}

// busyExim has what the Exim of these tests has on top of its usual settings.
func busyExim() smtptest.Profile {
	p := smtptest.Exim()
	p.Extensions = append(p.Extensions, "DSN", "SMTPUTF8")
	return p
}

// refuse refuses those whom the real servers refuse.
func refuse(rejected, later string) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<reject@"):
			return smtptest.Action{Reply: rejected}
		case c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<tempfail@"):
			return smtptest.Action{Reply: later}
		}
		return smtptest.Action{}
	}
}

// converse gives each command with the code of its reply, up to the end of the
// connection.
func converse(t *testing.T, addr, mailbox string, lines []string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	text := textproto.NewConn(conn)
	said := []string{"connect " + code(text)}
	pending := ""
	for i, line := range lines {
		data, more := strings.CutPrefix(line, "=")
		pending += strings.ReplaceAll(data, "MAILBOX", mailbox) + "\r\n"
		if more || i+1 < len(lines) && strings.HasPrefix(lines[i+1], "=") && strings.HasPrefix(line, "BDAT") {
			if more && bdatEnds(lines, i) {
				_, _ = io.WriteString(conn, pending)
				said = append(said, fmt.Sprintf("chunk %s", code(text)))
				pending = ""
			}
			continue
		}
		if _, err := io.WriteString(conn, pending); err != nil {
			break
		}
		pending = ""
		reply := code(text)
		said = append(said, fmt.Sprintf("%s: %s", line, reply))
		if reply == "end" {
			break
		}
	}
	return said
}

// bdatEnds reports whether the line is the last of a chunk.
func bdatEnds(lines []string, i int) bool {
	if strings.HasPrefix(lines[i+1], "=") || lines[i+1] == "." {
		return false
	}
	for ; i >= 0 && strings.HasPrefix(lines[i], "="); i-- {
	}
	return strings.HasPrefix(lines[i], "BDAT")
}

// code reads a whole reply.
func code(text *textproto.Conn) string {
	for {
		line, err := text.ReadLine()
		if err != nil {
			return "end"
		}
		if len(line) < 4 || line[3] == ' ' {
			return line[:min(3, len(line))]
		}
	}
}
