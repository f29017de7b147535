package interop

import (
	"net/smtp"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// What Postfix 3.7 writes about a recipient.
func TestParseStatus(t *testing.T) {
	const front = "Nov 21 10:36:12 client postfix/smtp[24693]: E9B7A98CAC8: to=<a@b.test>, "
	const relay = "relay=127.0.0.2[127.0.0.2]:38777, delay=0.05, delays=0/0/0.05/0, "
	for _, c := range []struct {
		line string
		want string
	}{
		{front + relay + "dsn=2.0.0, status=sent (250 2.0.0 ok)\n", "delivered 2.0.0 (250)"},
		{front + relay + "dsn=2.0.0, status=sent (250)\n", "delivered 2.0.0 (250)"},
		{front + relay + "dsn=2.0.0, status=sent (fine)", "delivered 2.0.0"},
		{front + relay + "dsn=5.1.1, status=bounced (host 127.0.0.2[127.0.0.2] said: 550-5.1.1 no 550 5.1.1 user (in reply to RCPT TO command))", "failed 5.1.1 (550)"},
		{front + relay + "dsn=4.7.1, status=deferred (host 127.0.0.2[127.0.0.2] refused to talk to me: 554 5.7.1 no)", "deferred 4.7.1 (554)"},
		{front + relay + "dsn=4.7.0, status=deferred (TLS is required, but host 127.0.0.2[127.0.0.2] refused to start TLS: 454 4.7.0 no)", "deferred 4.7.0 (454)"},
		{front + relay + "dsn=4.4.2, status=deferred (lost connection with 127.0.0.2[127.0.0.2] while sending RCPT TO)", "deferred 4.4.2"},
		{front + "relay=none, delay=0.05, delays=0/0/0.05/0, dsn=4.4.1, status=deferred (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)", "deferred 4.4.1"},
		{front + "orig_to=<x@b.test>, relay=none, delay=1, delays=0/0/0.05/0, dsn=5.0.0, status=undeliverable (odd)", "undeliverable 5.0.0"},
	} {
		to, v, ok := parseStatus(c.line)
		if !ok || to != "a@b.test" || v.String() != c.want {
			t.Errorf("got %q, %v, %v, want %v:\n%s", to, v, ok, c.want, c.line)
		}
	}
	// A host that is not the last one has its words logged without a status.
	if to, v, ok := parseStatus("Nov 21 10:36:12 client postfix/smtp[24693]: E9B7A98CAC8: host 127.0.0.2[127.0.0.2] said: 451 4.3.0 later (in reply to MAIL FROM command)"); ok {
		t.Errorf("got %q, %v from a line without a status", to, v)
	}
}

func TestRefuses(t *testing.T) {
	for reply, want := range map[string]bool{
		"":                     false,
		"250 ok":               false,
		"550 no":               true,
		"451-no\n451 later":    true,
		"550-no\r\n250 ok\r\n": false,
		"250-ok\r\n550 no\r\n": false,
		"?SYNTAX":              false,
	} {
		if got := refuses(reply); got != want {
			t.Errorf("refuses(%q) = %v", reply, got)
		}
	}
}

func TestKernelAddr(t *testing.T) {
	if got, err := kernelAddr("0200007F:1F90"); err != nil || got != "127.0.0.2:8080" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, s := range []string{"", "0200007F", "0200007F:1F", "x200007F:1F90"} {
		if got, err := kernelAddr(s); err == nil {
			t.Errorf("%q: got %q", s, got)
		}
	}
}

// The comparison finds what it is there for.
func TestFaultsAreFound(t *testing.T) {
	deferred, unknown := Verdict{Status: "deferred", Enhanced: "4.4.2"}, Verdict{Status: "unknown", Enhanced: "4.4.2"}
	delivered := Verdict{Status: "delivered", Enhanced: "2.0.0", Code: 250}
	for _, c := range []struct {
		name         string
		because      string
		theirs, ours Verdict
		theirCopies  int
		ourCopies    int
		want         string // "": no fault
	}{
		{name: "the same", theirs: delivered, ours: delivered, theirCopies: 1, ourCopies: 1},
		{name: "a reason for nothing", because: "of old", theirs: deferred, ours: deferred, want: "does not differ any more"},
		{name: "another verdict", theirs: deferred, ours: unknown, want: "differs without a reason"},
		{name: "another verdict, with a reason", because: "of this", theirs: deferred, ours: unknown},
		{name: "other copies", theirs: unknown, ours: unknown, theirCopies: 1, want: "differs without a reason"},
		{name: "a copy of a deferred message", because: "of this", theirs: delivered, ours: deferred, ourCopies: 1, want: "may hold 1 copies"},
		{name: "delivered to nobody", because: "of this", theirs: deferred, ours: delivered, want: "may hold 0 copies"},
		{name: "two copies", because: "of this", theirs: deferred, ours: delivered, ourCopies: 2, want: "may hold 2 copies"},
		{name: "no verdict", because: "of this", theirs: deferred, want: "no verdict"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &performance{scenario: scenario{name: c.name, because: c.because}}
			to := p.addresses()[0]
			p.theirCast, p.ourCast = holding(t, to, c.theirCopies), holding(t, to, c.ourCopies)
			p.theirWords, p.ourWords = map[string]Verdict{to: c.theirs}, map[string]Verdict{}
			if c.ours.Status != "" {
				p.ourWords[to] = c.ours
			}
			got := strings.Join(p.faults(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// holding is a server that has taken a message for an address so many times.
func holding(t *testing.T, to string, copies int) *cast {
	t.Helper()
	c := scenario{}.listenAll(t, smtptest.SMTP)
	for range copies {
		if err := smtp.SendMail(c.addrs[0], nil, "ann@example.org", []string{to}, simple("copy")); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
