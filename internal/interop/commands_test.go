package interop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// command is one that is sent outside of a transaction.
type command struct {
	name string
	send func(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error)
	code int
}

func noop(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) { return s.Noop(ctx) }
func rset(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) { return s.Rset(ctx) }
func help(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) {
	return s.Help(ctx, "")
}

func vrfy(mailbox string) func(*smtpclient.Session, context.Context) (smtpclient.Reply, error) {
	return func(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) {
		return s.Vrfy(ctx, mailbox)
	}
}

func expn(list string) func(*smtpclient.Session, context.Context) (smtpclient.Reply, error) {
	return func(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) { return s.Expn(ctx, list) }
}

func etrn(queue string) func(*smtpclient.Session, context.Context) (smtpclient.Reply, error) {
	return func(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) { return s.Etrn(ctx, queue) }
}

// Every command gets its own reply, refused or not, and the session goes on.
func TestCommands(t *testing.T) {
	for _, c := range []struct {
		name     string
		start    func(t *testing.T) server
		door     string
		commands []command
	}{
		{"Postfix", flushingPostfix, PostfixFull, []command{
			{"NOOP", noop, 250}, {"RSET", rset, 250}, {"HELP", help, 500},
			{"VRFY", vrfy(mailbox(1, "example.test")), 252}, {"VRFY of nobody", vrfy("missing@example.test"), 550},
			{"EXPN", expn("staff"), 500},
			{"ETRN", etrn("example.test"), 250}, {"ETRN of a stranger", etrn("example.net"), 459},
		}},
		{"Exim", talkativeExim, EximFull, []command{
			{"NOOP", noop, 250}, {"RSET", rset, 250}, {"HELP", help, 214},
			{"VRFY", vrfy(mailbox(1, "example.test")), 250}, {"VRFY of nobody", vrfy("missing@example.test"), 550},
			{"EXPN", expn(mailbox(1, "example.test")), 250},
			{"ETRN", etrn("#example.test"), 250}, {"ETRN of a stranger", etrn("#example.net"), 458},
		}},
		{"OpenSMTPD", openSMTPDServer, OpenSMTPDFull, []command{
			{"NOOP", noop, 250}, {"RSET", rset, 250}, {"HELP", help, 214},
			{"VRFY", vrfy(mailbox(1, "example.test")), 500}, {"EXPN", expn("staff"), 500},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.start(t)
			session := dial(t, s.Addr(c.door), tlspolicy.Policy{Level: tlspolicy.None})
			for _, command := range c.commands {
				reply, err := command.send(session, t.Context())
				wantReply(t, command, reply, err)
			}
			to := s.NewMailbox("example.test")
			if _, err := session.Send(t.Context(), envelope(to), smtpclient.Bytes(simple("after all commands"))); err != nil {
				t.Error(err)
			}
			stored(t, s, to)
			if err := session.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func wantReply(t *testing.T, c command, reply smtpclient.Reply, err error) {
	t.Helper()
	var refused *smtpclient.Error
	switch {
	case c.code < 400 && err == nil:
	case c.code >= 400 && errors.As(err, &refused) && refused.Stage == smtpclient.StageCommand:
		reply = refused.Reply
	default:
		t.Errorf("%s: %v, %v; want %d", c.name, reply, err, c.code)
		return
	}
	if reply.Code != c.code {
		t.Errorf("%s: %v, want %d", c.name, reply, c.code)
	}
}

func dial(t *testing.T, addr string, policy tlspolicy.Policy) *smtpclient.Session {
	t.Helper()
	d := &smtpclient.Dialer{LocalName: "client.example.org"}
	session, err := d.Dial(t.Context(), smtpclient.Target{Addr: addr, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// flushingPostfix takes ETRN for example.test.
func flushingPostfix(t *testing.T) server {
	return ownPostfix(t, PostfixSettings{
		Main:   "fast_flush_domains = example.test\n",
		Master: "flush unix n - n 1000? 0 flush\n",
	})
}

// talkativeExim takes VRFY, EXPN, and ETRN for example.test.
func talkativeExim(t *testing.T) server {
	return ownExim(t, EximSettings{
		Main: "acl_smtp_vrfy = acl_any\nacl_smtp_expn = acl_any\nacl_smtp_etrn = acl_etrn\n",
		ACL: `acl_any:
  accept
acl_etrn:
  accept condition = ${if eq{$smtp_command_argument}{#example.test}}
  deny   message = 5.7.1 no flushing for you
`,
	})
}

// Postfix trusts this client, and so writes down whom it speaks for.
func TestXClientAndXForward(t *testing.T) {
	p := ownPostfix(t, PostfixSettings{Main: "smtpd_authorized_xclient_hosts = 127.0.0.1\nsmtpd_authorized_xforward_hosts = 127.0.0.1\n"})
	info := smtpclient.ClientInfo{Name: "spike.example.net", Helo: "spike", Proto: "ESMTP", Addr: netip.MustParseAddrPort("192.0.2.7:4711")}

	t.Run("XCLIENT", func(t *testing.T) {
		session := dial(t, p.Addr(PostfixFull), tlspolicy.Policy{Level: tlspolicy.None})
		if _, err := session.Xclient(t.Context(), info); err != nil {
			t.Fatal(err)
		}
		to := p.NewMailbox("example.test")
		if _, err := session.Send(t.Context(), envelope(to), smtpclient.Bytes(simple("on behalf"))); err != nil {
			t.Fatal(err)
		}
		front, _ := stored(t, p, to)
		if !strings.Contains(front, "(spike.example.net [192.0.2.7])") {
			t.Errorf("another client in %s", front)
		}
	})
	t.Run("XFORWARD", func(t *testing.T) {
		to := p.NewMailbox("example.test")
		env := envelope(to)
		env.XForward = &info
		wantDelivered(t, deliverTo(t, clientTo(p, PostfixFull), env, smtpclient.Bytes(simple("forwarded"))))
		front, _ := stored(t, p, to)
		if _, err := p.WaitForLog(queueID(t, front)+": client=", fmt.Sprintf("orig_client=%s[%s]", info.Name, info.Addr.Addr())); err != nil {
			t.Error(err)
		}
	})
}
