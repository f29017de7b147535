package smtpclient_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// An Exim on the other side of the world, to which mail goes now and then: from the
// second connection on the envelope does not wait for the greeting.
func ExampleQuirks_pipeConnect() {
	server := &smtptest.Server{Extensions: []string{"PIPELINING", "PIPECONNECT"}, Wire: smtptest.Wire{Window: 64 << 10}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.1]"},
		Cache:     &cache.Memory{},
		Dialer: &smtpclient.Dialer{
			DialContext: server.DialContext,
			Quirks: func(t smtpclient.Target) smtpclient.Quirks {
				return smtpclient.Quirks{PipeConnect: t.Host == "192.0.2.1"}
			},
		},
	}
	for session := range 2 {
		client.Deliver(context.Background(), smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
		for _, c := range server.Transcript(session) {
			if c.FromClient {
				fmt.Println(strings.ReplaceAll(strings.TrimSpace(string(c.Data)), "\r\n", ", "))
				break
			}
		}
	}
	// Output:
	// EHLO mail.example.org
	// EHLO mail.example.org, MAIL FROM:<ann@example.org>, RCPT TO:<bob@example.net>, DATA
}
