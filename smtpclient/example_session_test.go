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
			To:   smtpclient.To(to),
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

// A session can also just ask. A refusal is an error that holds the reply, and
// the session goes on. Most servers do not tell, and answer 252.
func ExampleSession_Vrfy() {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "VRFY" && c.Args == "bob":
			return smtptest.Action{Reply: "250 Bob <bob@example.net>"}
		case c.Verb == "VRFY" && c.Args == "nobody":
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	ctx := context.Background()

	dialer := &smtpclient.Dialer{LocalName: "mail.example.org", DialContext: server.DialContext}
	session, err := dialer.Dial(ctx, smtpclient.Target{Addr: "192.0.2.25:25"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	for _, mailbox := range []string{"bob", "nobody", "carol"} {
		reply, err := session.Vrfy(ctx, mailbox)
		switch {
		case err != nil:
			fmt.Println(mailbox, "is refused:", err)
		case reply.Code == 252:
			fmt.Println(mailbox, "may exist:", reply)
		default:
			fmt.Println(mailbox, "exists:", reply)
		}
	}
	if err := session.Quit(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// bob exists: 250 Bob <bob@example.net>
	// nobody is refused: smtp 192.0.2.25 command: 550 5.1.1 no such user
	// carol may exist: 252 2.5.0 send some mail and see
}
