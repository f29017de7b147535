package smtpclient_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Mail that waits at a server for our domains is called for with ETRN.
func ExampleSession_Etrn() {
	server := &smtptest.Server{
		Extensions: []string{"ETRN"},
		Script: func(c smtptest.Command) smtptest.Action {
			switch c.Args {
			case "example.org":
				return smtptest.Action{Reply: "253 OK, 7 pending messages for node example.org started"}
			case "example.com":
				return smtptest.Action{Reply: "459 Node example.com not allowed: not your domain"}
			}
			return smtptest.Action{}
		},
	}
	defer server.Close()
	ctx := context.Background()

	dialer := &smtpclient.Dialer{LocalName: "mail.example.org", DialContext: server.DialContext}
	session, err := dialer.Dial(ctx, smtpclient.Target{Addr: "192.0.2.25:25"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	for _, domain := range []string{"example.org", "example.com"} {
		reply, err := session.Etrn(ctx, domain)
		var refused *smtpclient.Error
		switch {
		case errors.As(err, &refused):
			fmt.Println(domain, "is refused:", refused.Reply)
		case reply.Code == 251:
			fmt.Println(domain, "has no mail")
		default:
			fmt.Println(domain, "is under way:", reply)
		}
	}
	if err := session.Quit(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// example.org is under way: 253 OK, 7 pending messages for node example.org started
	// example.com is refused: 459 Node example.com not allowed: not your domain
}
