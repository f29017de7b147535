// Dsn-bounce tells the sender what became of his message (RFC 3461, RFC 3464): it asks
// the servers for notices, sees from the report whom they leave to us, makes the notice
// for those, and delivers it.
//
//	go run ./examples/dsn-bounce
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const message = "From: Ann <ann@example.org>\r\nSubject: Hello\r\n\r\nHello.\r\n"

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dsn-bounce:", err)
		os.Exit(1)
	}
}

// deliver sends a message, and a notice to its sender if he is owed one.
func deliver(ctx context.Context, client *smtpclient.Client, env smtpclient.Envelope, content smtpclient.Content, out io.Writer) error {
	report, _ := client.Deliver(ctx, env, content)
	for _, o := range report.Outcomes {
		fmt.Fprintf(out, "%s: %v (%s), we owe the sender %q\n", o.Address, o.Status, o.Action, o.Owed)
	}
	notice := smtpclient.Notice{ReportingMTA: "mail.example.org"}
	back, text, err := notice.Compose(ctx, env, report, content)
	if errors.Is(err, smtpclient.ErrNoNotice) {
		return nil // nothing is owed, or the message was a notice itself
	}
	if err != nil {
		return err
	}
	// From <>, so that a notice which cannot be delivered makes no other.
	fmt.Fprintf(out, "a notice from %s to %s\n", back.From, back.To[0].Address)
	_, err = client.Deliver(ctx, back, text)
	return err
}

func run(ctx context.Context, out io.Writer) error {
	server := &smtptest.Server{Script: refuseBob} // offers DSN
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	client := &smtpclient.Client{LocalName: "mail.example.org", NextHops: []string{"inet:" + addr.String()}}

	err = deliver(ctx, client, smtpclient.Envelope{
		From:   "ann@example.org",
		EnvID:  "order-4711",             // comes back in every notice
		Return: smtpclient.ReturnHeaders, // with the header of the message only
		To: []smtpclient.Recipient{
			{Address: "bob@example.net"},
			{Address: "carol@example.net", Notify: smtpclient.NotifySuccess | smtpclient.NotifyFailure},
			{Address: "dave@example.net", Notify: smtpclient.NotifyNever},
		},
	}, smtpclient.Bytes([]byte(message)), out)
	if err != nil {
		return err
	}
	messages := server.Messages()
	fmt.Fprintf(out, "\nThe notice:\n\n%s", messages[len(messages)-1].Data)
	return nil
}

// refuseBob is the script of a server that does not know him.
func refuseBob(c smtptest.Command) smtptest.Action {
	if c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<bob@") {
		return smtptest.Action{Reply: "550 5.1.1 no such user"}
	}
	return smtptest.Action{}
}
