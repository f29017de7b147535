package interop

import (
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
)

// The best MX is asked by UDP and gets the mail.
func TestMXByUDP(t *testing.T) {
	p, q := postfix(t), questions(t)
	to := p.NewMailbox("backups.example.test")
	report := deliver(t, clientFor(p, q), simple("by MX"), to)
	wantDelivered(t, report)
	wantServer(t, report.Outcomes[0], "full.example.test", p.Addr(PostfixFull))
	_, got := stored(t, p, to)
	wantBytes(t, got, asStored(simple("by MX")))

	asked := q.Asked("backups.example.test", uint16(resolve.TypeMX))
	if len(asked) != 1 || asked[0].Network != "udp" || asked[0].Truncated {
		t.Errorf("MX was asked %+v, want once by UDP", asked)
	}
}

// Sixty-one MX do not fit into a datagram: what came is thrown away, and
// the whole answer is fetched by TCP.
func TestMXByTCP(t *testing.T) {
	p, q := postfix(t), questions(t)
	to := p.NewMailbox("many.example.test")
	report := deliver(t, clientFor(p, q), simple("by TCP"), to)
	wantDelivered(t, report)
	wantServer(t, report.Outcomes[0], "full.example.test", p.Addr(PostfixFull))

	asked := q.Asked("many.example.test", uint16(resolve.TypeMX))
	if len(asked) != 2 || asked[0].Network != "udp" || !asked[0].Truncated || asked[1].Network != "tcp" || asked[1].Truncated {
		t.Errorf("MX was asked %+v, want by UDP, truncated, then by TCP", asked)
	}
}

func TestTheWholeAnswerComesByTCP(t *testing.T) {
	q := questions(t)
	r := &resolve.DNS{Servers: []string{q.Addr}}
	answer, err := r.Lookup(t.Context(), resolve.Question{Name: "many.example.test", Type: resolve.TypeMX})
	if err != nil || len(answer.MX) != 61 {
		t.Errorf("got %d MX, %v; want 61", len(answer.MX), err)
	}
}

// A domain without MX is its own mail host (RFC 5321, Section 5.1).
func TestNoMXIsTheDomainItself(t *testing.T) {
	p, q := postfix(t), questions(t)
	report := deliver(t, clientFor(p, q), simple("no MX"), p.NewMailbox("addressed.example.test"))
	wantDelivered(t, report)
	wantServer(t, report.Outcomes[0], "addressed.example.test", p.Addr(PostfixFull))
}

// What the DNS says for good fails, what it cannot say waits, and the recipient
// of another domain is served.
func TestDomainsWithoutMail(t *testing.T) {
	p, q := postfix(t), questions(t)
	served := p.NewMailbox("example.test")
	report := deliver(t, clientFor(p, q), simple("no mail"),
		"bob@null.example.test", "bob@missing.example.test", "bob@nothing.example.test", "bob@broken.test", served)

	wantOutcome(t, report.Outcomes[0], smtpclient.Failed, "5.1.10", smtpclient.StageResolve)
	wantOutcome(t, report.Outcomes[1], smtpclient.Failed, "5.1.2", smtpclient.StageResolve)
	wantOutcome(t, report.Outcomes[2], smtpclient.Failed, "5.4.4", smtpclient.StageResolve)
	wantOutcome(t, report.Outcomes[3], smtpclient.Deferred, "4.4.3", smtpclient.StageResolve)
	if o := report.Outcomes[4]; o.Status != smtpclient.Delivered {
		t.Errorf("%s: %v, %v", o.Address, o.Status, o.Err())
	}
	stored(t, p, served)
}

func wantServer(t *testing.T, o smtpclient.Outcome, host, addr string) {
	t.Helper()
	if o.Host != host || o.Addr != addr {
		t.Errorf("%s: decided at %s, %s; want %s, %s", o.Address, o.Host, o.Addr, host, addr)
	}
}
