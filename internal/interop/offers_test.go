package interop

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// The tests stand on this: that each server offers what it is here for, and not
// what it is here to be without.
func TestOffers(t *testing.T) {
	for _, c := range []struct {
		name        string
		start       func(t *testing.T) server
		door        string
		has, hasNot []string
	}{
		{"Postfix", postfixServer, PostfixFull,
			[]string{"PIPELINING", "SIZE", "VRFY", "ETRN", "STARTTLS", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"},
			[]string{"BINARYMIME", "REQUIRETLS", "DELIVERBY", "MT-PRIORITY", "RRVS", "FUTURERELEASE", "XFORWARD"}},
		{"Postfix, lockstep", postfixServer, PostfixLockstep, []string{"CHUNKING"}, []string{"PIPELINING"}},
		{"Postfix, 7-bit", postfixServer, PostfixSevenBit, []string{"PIPELINING"}, []string{"8BITMIME", "SMTPUTF8"}},
		{"Exim", eximServer, EximFull,
			[]string{"PIPELINING", "PIPECONNECT", "SIZE", "AUTH", "STARTTLS", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "PRDR"},
			[]string{"BINARYMIME", "REQUIRETLS", "DELIVERBY", "MT-PRIORITY", "RRVS", "FUTURERELEASE", "ETRN"}},
		{"OpenSMTPD", openSMTPDServer, OpenSMTPDFull,
			[]string{"SIZE", "8BITMIME", "DSN"},
			[]string{"PIPELINING", "STARTTLS", "SMTPUTF8", "CHUNKING"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			session := dial(t, c.start(t).Addr(c.door), tlspolicy.Policy{Level: tlspolicy.None})
			for _, keyword := range c.has {
				wantOffer(t, session, keyword, true)
			}
			for _, keyword := range c.hasNot {
				wantOffer(t, session, keyword, false)
			}
		})
	}
}

func wantOffer(t *testing.T, session *smtpclient.Session, keyword string, want bool) {
	t.Helper()
	if _, offered := session.Extension(keyword); offered != want {
		t.Errorf("%s offered: %v, want %v; %q", keyword, offered, want, session.Hello().Lines)
	}
}

// Exim's other port begins with TLS.
func TestImplicitTLS(t *testing.T) {
	e := exim(t)
	client := clientAt(hostPort(EximFull, e.TLSPort))
	client.TLS = tlspolicy.Policy{Level: tlspolicy.Encrypt, Implicit: true}
	to := e.NewMailbox("example.test")
	report := deliver(t, client, simple("TLS first"), to)
	wantDelivered(t, report)
	front, _ := stored(t, e, to)
	if o := report.Outcomes[0]; o.TLS.Reached != tlspolicy.Encrypt || !strings.Contains(front, "with esmtps ") {
		t.Errorf("reached %v\n%s", o.TLS.Reached, front)
	}
}
