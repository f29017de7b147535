package smtpclient_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A sender who wants to hear what became of each recipient asks for delivery
// status notifications. The first server offers DSN. The second does not, and
// gets the message without; Notes say so, and the program knows that no notice
// will come.
func ExampleEnvelope_dsn() {
	envelope := smtpclient.Envelope{
		From:   "ann@example.org",
		EnvID:  "order-4711", // comes back in the notices
		Return: smtpclient.ReturnHeaders,
		To: []smtpclient.Recipient{{
			Address: "bob@example.net",
			Notify:  smtpclient.NotifySuccess | smtpclient.NotifyFailure,
			ORCPT:   "rfc822;sales@example.org", // whom the sender wrote to
		}},
	}
	for _, extensions := range [][]string{{"DSN"}, {}} {
		server := &smtptest.Server{Extensions: extensions}
		client := &smtpclient.Client{
			LocalName: "mail.example.org",
			NextHops:  []string{"[192.0.2.25]"},
			Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
		}
		report, _ := client.Deliver(context.Background(), envelope,
			smtpclient.Bytes([]byte("Subject: Your order\r\n\r\nIs on its way.\r\n")))

		message := server.Messages()[0]
		fmt.Println(strings.TrimSpace("MAIL " + message.FromArgs))
		fmt.Println(strings.TrimSpace("RCPT " + message.ToArgs[0]))
		bob := report.Outcomes[0]
		fmt.Println(bob.Address, bob.Status)
		for _, note := range bob.Notes {
			fmt.Println("note:", note)
		}
		server.Close()
	}
	// Output:
	// MAIL ENVID=order-4711 RET=HDRS
	// RCPT ORCPT=rfc822;sales@example.org NOTIFY=SUCCESS,FAILURE
	// bob@example.net delivered
	// MAIL
	// RCPT
	// bob@example.net delivered
	// note: RET or ENVID was left out: the server does not offer DSN
	// note: NOTIFY or ORCPT was left out: the server does not offer DSN
}
