package smtpclient_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A message fails, and its sender is told so.
func ExampleNotice() {
	ctx := context.Background()
	server := &smtptest.Server{Script: refuse("<bob@example.net>", "550 5.1.1 no such user")}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}
	envelope := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@example.net"}}}
	message := smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n"))

	report, _ := client.Deliver(ctx, envelope, message)
	back, notice, err := smtpclient.Notice{ReportingMTA: "mail.example.org"}.Compose(ctx, envelope, report, message)
	if errors.Is(err, smtpclient.ErrNoNotice) {
		return // everybody got it, or nobody wants to know
	}
	_, err = client.Deliver(ctx, back, notice)
	fmt.Println(back.From, "to", back.To[0].Address, err)
	// Output:
	// <> to ann@example.org <nil>
}
