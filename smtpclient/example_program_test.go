package smtpclient_test

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/postrider/postrider/smtpclient"
)

// A message goes to the local sendmail, which takes it on its standard input.
func ExampleProgram() {
	sendmail := &smtpclient.Program{Args: []string{"/usr/sbin/sendmail", "-bs"}}
	client := &smtpclient.Client{
		NextHops: []string{"unix:/usr/sbin/sendmail"}, // any path: it only shows in the report
		Dialer:   &smtpclient.Dialer{DialContext: sendmail.DialContext},
	}
	report, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
	fmt.Println(report.Outcomes[0].Status, err)
}

// Two messages are written to a file, for a server that reads it later.
func ExampleBatch() {
	ctx := context.Background()
	var file bytes.Buffer
	batch, err := smtpclient.NewBatch(&file, "mail.example.org", "8BITMIME")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, to := range []string{"bob@example.net", "carol@example.net"} {
		err := batch.Add(ctx, smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To(to),
		}, smtpclient.Bytes([]byte("Subject: Hello\n\nHello.\n")))
		if err != nil {
			fmt.Println(err)
		}
	}
	if err := batch.Close(); err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(bytes.ReplaceAll(file.Bytes(), []byte("\r\n"), []byte("\n")))

	// What the server answered.
	replies := "220 mx\n250 mx\n250 ok\n250 ok\n354 go\n250 ok\n250 ok\n250 ok\n550 5.1.1 no such user\n554 no recipients\n"
	reports, err := batch.Replies(ctx, bytes.NewBufferString(replies))
	if err != nil {
		fmt.Println(err)
	}
	for _, report := range reports {
		o := report.Outcomes[0]
		fmt.Println(o.Address, o.Status, o.Reply)
	}
	// Output:
	// EHLO mail.example.org
	// MAIL FROM:<ann@example.org>
	// RCPT TO:<bob@example.net>
	// DATA
	// Subject: Hello
	//
	// Hello.
	// .
	// RSET
	// MAIL FROM:<ann@example.org>
	// RCPT TO:<carol@example.net>
	// DATA
	// Subject: Hello
	//
	// Hello.
	// .
	// QUIT
	// bob@example.net delivered 250 ok
	// carol@example.net failed 550 5.1.1 no such user
}
