package interop

import (
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// Some recipients are refused, the others get the mail in the one transaction.
func TestRefusedAmongAccepted(t *testing.T) {
	eachChannel(t, func(t *testing.T, p peer, s server, ch channel) {
		first, last := s.NewMailbox("example.test"), s.NewMailbox("example.test")
		to := slices.Concat([]string{first}, p.refused(), []string{last})
		report := deliver(t, ch.client(s, p.door), simple("refused among accepted"), to...)

		for _, o := range []smtpclient.Outcome{report.Outcomes[0], report.Outcomes[len(to)-1]} {
			wantOutcome(t, o, smtpclient.Delivered, "2.0.0", smtpclient.StageDataDone)
		}
		wantRefusals(t, p, report.Outcomes[1:len(to)-1])

		firstFront, _ := stored(t, s, first)
		lastFront, _ := stored(t, s, last)
		if a, b := queueID(t, firstFront), queueID(t, lastFront); a != b {
			t.Errorf("two transactions: %s and %s", a, b)
		}
	})
}

func TestAllRefused(t *testing.T) {
	eachChannel(t, func(t *testing.T, p peer, s server, ch channel) {
		report := deliver(t, ch.client(s, p.door), simple("all refused"), p.refused()...)
		wantRefusals(t, p, report.Outcomes)
	})
}

func (p peer) refused() []string {
	var to []string
	for _, r := range p.refuse {
		to = append(to, r.to)
	}
	return to
}

func wantRefusals(t *testing.T, p peer, outcomes []smtpclient.Outcome) {
	t.Helper()
	for i, r := range p.refuse {
		wantOutcome(t, outcomes[i], r.status, r.enhanced, smtpclient.StageRcpt)
		if code := outcomes[i].Reply.Code; code != r.code {
			t.Errorf("%s: reply %d, want %d", r.to, code, r.code)
		}
	}
}

// Where the first host does not take the mail for now, the second gets it, and
// the report remembers both.
func TestNextHost(t *testing.T) {
	p, q := postfix(t), questions(t)
	for _, c := range []struct {
		domain string
		host   string
		addr   string
		stage  smtpclient.Stage
	}{
		{"closed-first.example.test", "closed.example.test", Closed, smtpclient.StageConnect},
		{"unwilling-first.example.test", "unwilling.example.test", PostfixUnwilling, smtpclient.StageGreeting},
		{"refusing-first.example.test", "refusing.example.test", PostfixRefusing, smtpclient.StageRcpt},
	} {
		t.Run(c.domain, func(t *testing.T) {
			to := p.NewMailbox(c.domain)
			report := deliver(t, clientFor(p, q), simple("next host"), to)
			wantDelivered(t, report)
			o := report.Outcomes[0]
			wantServer(t, o, "full.example.test", p.Addr(PostfixFull))
			if len(o.Earlier) != 1 {
				t.Fatalf("%d earlier attempts, want one: %+v", len(o.Earlier), o.Earlier)
			}
			if e := o.Earlier[0]; e.Host != c.host || e.Addr != p.Addr(c.addr) || e.Stage != c.stage {
				t.Errorf("earlier attempt at %s, %s, %v; want %s, %s, %v", e.Host, e.Addr, e.Stage, c.host, p.Addr(c.addr), c.stage)
			}
			stored(t, p, to)
		})
	}
}

// Where TLS is required, a server without it gets nothing, for now.
func TestTLSRequiredButNotOffered(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) server
		door  string
	}{
		{"Postfix", postfixServer, PostfixPlaintext},
		{"OpenSMTPD", openSMTPDServer, OpenSMTPDFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.start(t)
			client := clientTo(s, c.door)
			client.TLS = tlspolicy.Encrypt
			report := deliver(t, client, simple("in the clear"), s.NewMailbox("example.test"))
			wantOutcome(t, report.Outcomes[0], smtpclient.Deferred, "4.7.4", smtpclient.StageStartTLS)
		})
	}
}

// 5yz to the greeting says nothing about a recipient.
func TestUnwillingServerDefers(t *testing.T) {
	p := postfix(t)
	report := deliver(t, clientTo(p, PostfixUnwilling), simple("unwilling"), "bob@example.test")
	o := report.Outcomes[0]
	if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageGreeting || o.Reply.Code != 554 || o.Enhanced[0] != '4' {
		t.Errorf("got %v %s at %v, %v; want deferred with a code of class 4 at the greeting", o.Status, o.Enhanced, o.Stage, o.Err())
	}
}

// Postfix has the message and has said so, but the client cannot know: it must
// not send it to the next host as well.
func TestLostAfterTheDotIsUnknown(t *testing.T) {
	p, q := postfix(t), questions(t)
	f, err := NewFront(p.Addr(Lost), CutAfterDot(p.Addr(PostfixFull)))
	lost := listen(t, f, err)
	f, err = NewFront(p.Addr(Counted), PassTo(p.Addr(PostfixFull)))
	second := listen(t, f, err)

	to := p.NewMailbox("lost-first.example.test")
	report := deliver(t, clientFor(p, q), simple("lost"), to)
	o := report.Outcomes[0]
	if o.Status != smtpclient.Unknown || o.Stage != smtpclient.StageDataDone {
		t.Errorf("got %v at %v, want unknown at data-done: %v", o.Status, o.Stage, o.Err())
	}
	wantServer(t, o, "lost.example.test", p.Addr(Lost))
	if n := second.Connections.Load(); n != 0 {
		t.Errorf("the second host was called %d times", n)
	}
	if n := lost.Connections.Load(); n != 1 {
		t.Errorf("the first host was called %d times, want once", n)
	}
	stored(t, p, to)
}

// What is larger than the SIZE that the server announces is not offered to it.
func TestTooLargeFailsBeforeMail(t *testing.T) {
	p := postfix(t)
	wire := watch(t, p, PostfixSmall)
	content := body("too large", bulk(20_000))
	report := deliver(t, clientTo(p, Watched), content, "bob@example.test")
	if o := report.Outcomes[0]; o.Status != smtpclient.Failed || o.Enhanced != "5.3.4" {
		t.Errorf("got %v %s, want failed 5.3.4: %v", o.Status, o.Enhanced, o.Err())
	}
	wire.want(t, "EHLO", "QUIT")

	to := p.NewMailbox("example.test")
	wantDelivered(t, deliver(t, clientTo(p, PostfixSmall), simple("small enough"), to))
}

// 8-bit content goes as 7-bit to a server that has not offered 8BITMIME. What is
// signed would be broken by that and is refused.
func TestEightBitToSevenBitServer(t *testing.T) {
	p := postfix(t)
	to := p.NewMailbox("example.test")
	wantDelivered(t, deliver(t, clientTo(p, PostfixSevenBit), body("8-bit", "gr\xc3\xbcn\r\n"), to))
	_, got := stored(t, p, to)
	if strings.ContainsFunc(string(got), func(c rune) bool { return c > '~' }) || !strings.Contains(string(got), "gr=C3=BCn") {
		t.Errorf("stored as\n%s", got)
	}
	signed := to
	wire := watch(t, p, PostfixSevenBit)
	report := deliver(t, clientTo(p, Watched), append([]byte("DKIM-Signature: v=1; d=example.test\r\n"), body("8-bit", "gr\xc3\xbcn\r\n")...), signed)
	if o := report.Outcomes[0]; o.Status != smtpclient.Failed || o.Enhanced != "5.6.3" {
		t.Errorf("a signed one: got %v %s, want failed 5.6.3: %v", o.Status, o.Enhanced, o.Err())
	}
	if wire.saw("DATA") {
		t.Error("DATA was sent for a signed one")
	}
}

func (w *wire) saw(step string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.steps, step) || slices.Contains(w.steps, step+"+")
}
