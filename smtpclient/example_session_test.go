package smtpclient_test

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// A session by hand: what the server offers, two transactions on one
// connection, and a goodbye.
func ExampleSession() {
	server := &smtptest.Server{}
	defer server.Close()
	ctx := context.Background()

	dialer := &smtpclient.Dialer{LocalName: "mail.example.org", DialContext: server.DialContext}
	session, err := dialer.Dial(ctx, smtpclient.Target{
		Addr:   "192.0.2.25:25",
		Host:   "mx.example.net",
		Policy: tlspolicy.Policy{Level: tlspolicy.Encrypt},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	size, ok := session.Extension("SIZE")
	fmt.Println("SIZE", size, ok)
	fmt.Println("TLS on:", session.ConnectionState() != nil)

	for _, to := range []string{"bob@example.net", "carol@example.net"} {
		report, err := session.Send(ctx, smtpclient.Envelope{
			From: "ann@example.org",
			To:   []smtpclient.Recipient{{Address: to}},
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
		if err != nil {
			fmt.Println(err)
			return
		}
		o := report.Outcomes[0]
		fmt.Println(o.Address, o.Status, "transactions before:", o.Reused)
	}
	if err := session.Quit(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("connections:", server.Sessions())
	// Output:
	// SIZE 10485760 true
	// TLS on: true
	// bob@example.net delivered transactions before: 0
	// carol@example.net delivered transactions before: 1
	// connections: 1
}
