package smtpclient_test

import (
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// A connection that is lost at EHLO is followed by one with HELO, in case that the
// server knows no other. What HELO does not offer is then no reason to fail anybody:
// perhaps it was the network, and the server offers it all.
func TestNothingFailsByHELOAfterALoss(t *testing.T) {
	lost := func(c smtptest.Command) (a action) {
		if c.Session == 0 && c.Verb == "EHLO" {
			a.Fault = smtptest.Drop
		}
		return a
	}
	utf8 := fromAnn("bob@example.net")
	utf8.UTF8 = true
	held := fromAnn("bob@example.net")
	held.HoldFor = 3600e9
	for name, tt := range map[string]struct {
		env  smtpclient.Envelope
		want string
	}{
		"SMTPUTF8":            {utf8, "bob@example.net deferred mail 4.6.7"},
		"FUTURERELEASE":       {held, "bob@example.net deferred mail 4.3.3"},
		"an address in UTF-8": {fromAnn("jürgen@example.net"), "jürgen@example.net deferred mail 4.6.7"},
		"nothing":             {fromAnn("bob@example.net"), "bob@example.net delivered data-done 2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{Extensions: []string{"SMTPUTF8", "8BITMIME", "FUTURERELEASE 100000 2030-01-01T00:00:00Z"}, Script: lost})
				w.client.TLS = tlspolicy.None
				expect(t, w.deliver(t.Context(), tt.env, hello), tt.want)
			})
		})
	}
}
