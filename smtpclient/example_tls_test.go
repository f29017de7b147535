package smtpclient_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// TLS sessions are resumed where there is a place to keep them. A TicketCache
// seals them, so that they can lie in a Cache that others can read.
func ExampleTicketCache() {
	server := &smtptest.Server{}
	defer server.Close()

	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		TLS:       tlspolicy.Policy{Level: tlspolicy.Verify, Roots: server.Roots()},
		Dialer: &smtpclient.Dialer{
			DialContext: server.DialContext,
			TLSConfig: &tls.Config{ClientSessionCache: &smtpclient.TicketCache{
				Cache: &cache.Memory{},
				Key:   []byte("32 bytes that only we do know..."),
			}},
		},
	}
	for range 2 {
		report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
		bob := report.Outcomes[0]
		fmt.Println(bob.Status, bob.TLS.Reached, "resumed:", bob.TLS.Resumed)
	}
	// Output:
	// delivered verify resumed: false
	// delivered verify resumed: true
}
