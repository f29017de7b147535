package smtpclient_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Some servers need to be treated in their own way: one offers PIPELINING and
// then loses commands; another is our own, and takes content by BDAT in the same
// write as the envelope.
func ExampleQuirks() {
	quirks := func(t smtpclient.Target) smtpclient.Quirks {
		switch t.Addr {
		case "192.0.2.25:25":
			return smtpclient.Quirks{Discard: []string{"PIPELINING", "SIZE"}}
		case "192.0.2.26:25":
			return smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}
		}
		return smtpclient.Quirks{}
	}
	for _, host := range []string{"192.0.2.25", "192.0.2.26"} {
		server := &smtptest.Server{Extensions: []string{"PIPELINING", "SIZE", "CHUNKING"}}
		client := &smtpclient.Client{
			LocalName: "mail.example.org",
			NextHops:  []string{"[" + host + "]"},
			Dialer:    &smtpclient.Dialer{DialContext: server.DialContext, Quirks: quirks},
		}
		ctx := smtpclient.WithTrace(context.Background(), &smtpclient.Trace{
			Line: func(_ context.Context, line string) {
				if strings.HasPrefix(line, "C: ") {
					fmt.Println(line)
				}
			},
		})
		_, err := client.Deliver(ctx, smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
		fmt.Println(host, err)
		server.Close()
	}
	// Output:
	// C: EHLO mail.example.org
	// C: MAIL FROM:<ann@example.org>
	// C: RCPT TO:<bob@example.net>
	// C: DATA
	// C: <30 bytes>
	// C: .
	// C: QUIT
	// 192.0.2.25 <nil>
	// C: EHLO mail.example.org
	// C: MAIL FROM:<ann@example.org> SIZE=30
	// C: RCPT TO:<bob@example.net>
	// C: BDAT 30 LAST
	// C: <30 bytes>
	// C: QUIT
	// 192.0.2.26 <nil>
}
