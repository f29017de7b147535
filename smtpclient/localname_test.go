package smtpclient_test

import (
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// What goes into EHLO is the name in its one form, whoever configured it: a byte
// that is not ASCII would break RFC 5321, Section 4.1.1.1 (C28).
func TestLocalNameOnTheWire(t *testing.T) {
	for name, want := range map[string]string{
		"Bücher.example":       "xn--bcher-kva.example",
		"mail.example.org.":    "mail.example.org",
		"MAIL.example.org":     "mail.example.org",
		"[192.0.2.1]":          "[192.0.2.1]",
		"[IPv6:2001:DB8:0::1]": "[IPv6:2001:db8::1]",
	} {
		for _, owner := range []string{"Client", "Dialer"} {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{})
				if owner == "Dialer" {
					w.client.Dialer.LocalName = name // and not the client's
				} else {
					w.client.LocalName = name
				}
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				if got := clientLines(mx, 0)[0]; got != "EHLO "+want {
					t.Errorf("%s.LocalName %q: the client said %q, want EHLO %s", owner, name, got, want)
				}
			})
		}
	}
}

// A Dialer's own name goes before that of the Client.
func TestLocalNameOfTheDialerComesFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.Dialer = &smtpclient.Dialer{LocalName: "out1.example.org", DialContext: w.net.DialContext}
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		if got := clientLines(mx, 0)[0]; got != "EHLO out1.example.org" {
			t.Errorf("the client said %q", got)
		}
	})
}
