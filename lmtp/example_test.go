package lmtp_test

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// In LMTP the server answers for each recipient after the content, so a mailbox
// that is full concerns nobody else (RFC 2033, Section 4.2).
func ExampleDial() {
	store := &smtptest.Server{Mode: smtptest.LMTP, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && c.Args == "full@example.net" {
			return smtptest.Action{Reply: "452 4.2.2 mailbox is full"}
		}
		return smtptest.Action{}
	}}
	defer store.Close()
	addr, err := store.Listen("tcp", "127.0.0.1:0") // or "unix:/run/dovecot/lmtp" for Dial
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	session, err := lmtp.Dial(ctx, "inet:"+addr.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	report, _ := session.Send(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net", "full@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
	for _, o := range report.Outcomes {
		fmt.Println(o.Address, o.Status, o.Enhanced)
	}
	if err := session.Quit(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// bob@example.net delivered 2.0.0
	// full@example.net deferred 4.2.2
}

// A Client delivers into a store; behind Final there are mailboxes.
func ExampleClient() {
	store := &smtptest.Server{Mode: smtptest.LMTP}
	defer store.Close()
	addr, err := store.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &lmtp.Client{Servers: []string{"inet:" + addr.String()}, Final: true} // or unix:/run/dovecot/lmtp

	report, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
	for _, o := range report.Outcomes {
		fmt.Println(o.Address, o.Status, o.Action)
	}
	fmt.Println(err)
	// Output:
	// bob@example.net delivered delivered
	// <nil>
}
