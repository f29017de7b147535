package smtpclient_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A probe asks whether addresses would be accepted, and sends nothing: the
// transaction ends after RCPT. Delivered then means that the server would take a
// message; it may still refuse the next one.
func ExampleVerify() {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.Contains(c.Args, "nobody@") {
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}

	report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
		From:   "ann@example.org",
		To:     smtpclient.To("bob@example.net", "nobody@example.net"),
		Verify: smtpclient.VerifyRcpt,
	}, nil) // no content is needed

	for _, o := range report.Outcomes {
		fmt.Println(o.Address, "would be taken:", o.Status == smtpclient.Delivered, "-", o.Reply)
	}
	fmt.Println("messages sent:", len(server.Messages()))
	// Output:
	// bob@example.net would be taken: true - 250 2.1.5 ok
	// nobody@example.net would be taken: false - 550 5.1.1 no such user
	// messages sent: 0
}
