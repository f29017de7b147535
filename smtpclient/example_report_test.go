package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// What a queue does with a report: every recipient has an outcome of its own.
func ExampleReport() {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody@"):
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		case c.Verb == "RCPT" && strings.Contains(c.Args, "full@"):
			return smtptest.Action{Reply: "452 4.2.2 mailbox is full"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}

	report, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To: []smtpclient.Recipient{
			{Address: "bob@example.net"},
			{Address: "nobody@example.net"},
			{Address: "full@example.net"},
			{Address: "not an address"},
		},
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello all.\r\n")))

	for _, o := range report.Outcomes {
		switch o.Status {
		case smtpclient.Delivered:
			fmt.Printf("done:   %s\n", o.Address)
		case smtpclient.Deferred:
			fmt.Printf("later:  %s: %s %s\n", o.Address, o.Stage, o.Reply)
		case smtpclient.Failed:
			fmt.Printf("bounce: %s: %s %s\n", o.Address, o.Stage, o.Enhanced)
		case smtpclient.Unknown:
			fmt.Printf("ask:    %s may have got it\n", o.Address)
		}
	}

	// A program that looks at the error alone errs on the safe side: it is that
	// of the outcome which must not be lost.
	var e *smtpclient.Error
	if errors.As(err, &e) {
		fmt.Println("error: ", e.Status, e.Temporary(), e)
	}
	// Output:
	// done:   bob@example.net
	// bounce: nobody@example.net: rcpt 5.1.1
	// later:  full@example.net: rcpt 452 4.2.2 mailbox is full
	// bounce: not an address: input 5.1.3
	// error:  deferred true smtp 192.0.2.25 rcpt: 452 4.2.2 mailbox is full (and 2 more)
}
