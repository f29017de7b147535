// Testing-your-sender shows how a program that sends mail is tested: main_test.go has
// its sender meet a server that greylists, one that is lost in the worst moment, and one
// with a bad certificate, in no time and without a network. Started, the program sends
// a message to a server on this machine.
//
//	go test -v ./examples/testing-your-sender
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testing-your-sender:", err)
		os.Exit(1)
	}
}

// receipts is what is to be tested: it sends receipts to customers, and says what has
// to be done about each. That the client is a field is all that tests need.
type receipts struct {
	client *smtpclient.Client
	retry  time.Duration // between tries
	tries  int
}

// verdict is what the shop does next.
type verdict string

const (
	sent    verdict = "sent"
	bad     verdict = "ask the customer for another address"
	unsure  verdict = "may have arrived: do not send it again by yourself"
	gaveUp  verdict = "tried for too long: ask a person"
	stopped verdict = "stopped: try again when the program is started"
)

// send tries until there is a verdict. A real shop has a queue for that, whose entries
// outlive the program.
func (r receipts) send(ctx context.Context, to, order string) verdict {
	env := smtpclient.Envelope{From: "shop@example.org", To: smtpclient.To(to)}
	message := smtpclient.Bytes([]byte("From: Shop <shop@example.org>\r\nSubject: Your order " + order + "\r\n\r\nThank you.\r\n"))
	for range r.tries {
		report, _ := r.client.Deliver(ctx, env, message)
		switch report.Outcomes[0].Status {
		case smtpclient.Delivered:
			return sent
		case smtpclient.Failed:
			return bad
		case smtpclient.Unknown:
			return unsure
		}
		select {
		case <-time.After(r.retry):
		case <-ctx.Done():
			return stopped
		}
	}
	return gaveUp
}

func run(ctx context.Context, out io.Writer) error {
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	shop := receipts{
		client: &smtpclient.Client{NextHops: []string{"inet:" + addr.String()}, TLS: tlspolicy.Encrypt},
		retry:  15 * time.Minute,
		tries:  20,
	}
	fmt.Fprintln(out, "order 1:", shop.send(ctx, "bob@example.net", "1"))
	fmt.Fprintf(out, "%s", server.Messages()[0].Data)
	return nil
}
