// Send delivers a message from its standard input to the mail servers of its
// recipients, and says what became of each:
//
//	send ann@example.org bob@example.net carol@example.com < message
//
// Without arguments it sends one to a server of its own on this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "send:", err)
	}
	os.Exit(exitCode(err))
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	switch len(args) {
	case 0:
		return demo(ctx, out)
	case 1:
		return errors.New("usage: send FROM TO... < message")
	}
	message, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	// The zero Client finds servers by DNS, and uses the best TLS that they publish.
	return send(ctx, &smtpclient.Client{}, message, out, args[0], args[1:]...)
}

// send delivers one message. Its error is nil if all recipients have got it.
func send(ctx context.Context, client *smtpclient.Client, message []byte, out io.Writer, from string, to ...string) error {
	env := smtpclient.Envelope{From: from, To: smtpclient.To(to...)}
	report, err := client.Deliver(ctx, env, smtpclient.Bytes(message))
	for _, o := range report.Outcomes { // one for each recipient, in order, whatever happened
		switch o.Status {
		case smtpclient.Delivered:
			fmt.Fprintf(out, "%s: %s has it: %v\n", o.Address, o.Host, o.Reply)
		case smtpclient.Deferred:
			fmt.Fprintf(out, "%s: try again later: %v\n", o.Address, o.Err())
		case smtpclient.Failed:
			fmt.Fprintf(out, "%s: give it up: %v\n", o.Address, o.Err())
		case smtpclient.Unknown:
			fmt.Fprintf(out, "%s: may have arrived: %v\n", o.Address, o.Err())
		}
	}
	return err
}

// exitCode is one of sysexits.h: 75 if trying again may help, and 69 if not.
func exitCode(err error) int {
	var e *smtpclient.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e) && e.Temporary():
		return 75
	}
	return 69
}

// demo sends to example.net, whose server is here and does not know everybody.
func demo(ctx context.Context, out io.Writer) error {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && c.Args == "TO:<nobody@example.net>":
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		case c.Verb == "RCPT" && c.Args == "TO:<carol@example.net>":
			return smtptest.Action{Reply: "452 4.2.2 mailbox is full"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	names := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN example.net.\n@ MX 10 mx\nmx A 127.0.0.1\n"}}}
	defer names.Close()
	client := &smtpclient.Client{
		Resolver: &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: names.DialContext},
		Routing:  resolve.Routing{Local: true, Port: addr.(*net.TCPAddr).AddrPort().Port()},
	}
	return send(ctx, client, []byte("Subject: Hello\r\n\r\nHello.\r\n"), out,
		"ann@example.org", "bob@example.net", "carol@example.net", "nobody@example.net")
}
