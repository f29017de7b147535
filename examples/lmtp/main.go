// Lmtp delivers to the mailboxes of a local store, as Dovecot's: its server answers
// for each recipient by itself, after it has the content. The store is one on a socket
// in a folder for the time of the program.
//
//	go run ./examples/lmtp
//	go run ./examples/lmtp unix:/run/dovecot/lmtp bob@example.net < message
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lmtp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	switch len(args) {
	case 0:
		return demo(ctx, out)
	case 1:
		return errors.New("usage: lmtp SERVER TO... < message")
	}
	message, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return store(ctx, args[0], message, out, args[1:]...)
}

// store delivers into the mailboxes behind a server, which is "unix:/path" or
// "inet:host:24". A mailbox that is full is no matter of the others.
func store(ctx context.Context, server string, message []byte, out io.Writer, to ...string) error {
	client := &lmtp.Client{
		Servers: []string{server},
		Final:   true, // behind the server is the mailbox: "delivered", and not "relayed"
	}
	env := smtpclient.Envelope{
		From:   "ann@example.org",
		To:     smtpclient.To(to...),
		Stamps: smtpclient.StampReturnPath | smtpclient.StampDeliveredTo, // as the last hop adds them
	}
	report, err := client.Deliver(ctx, env, smtpclient.Bytes(message))
	for _, o := range report.Outcomes {
		fmt.Fprintf(out, "%s: %s: %v\n", o.Address, o.Action, o.Reply)
	}
	return err
}

// demo has a store in which Carol's mailbox is full.
func demo(ctx context.Context, out io.Writer) error {
	folder, err := os.MkdirTemp("", "lmtp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	server := &smtptest.Server{Mode: smtptest.LMTP, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && c.Args == "carol@example.net" {
			return smtptest.Action{Reply: "452 4.2.2 mailbox is full"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	socket := filepath.Join(folder, "lmtp")
	if _, err := server.Listen("unix", socket); err != nil {
		return err
	}
	err = store(ctx, "unix:"+socket, []byte("Subject: Hello\r\n\r\nHello.\r\n"), out, "bob@example.net", "carol@example.net", "dave@example.net")
	for _, m := range server.Messages() {
		fmt.Fprintf(out, "%s\n", m.Data)
	}
	var deferred *smtpclient.Error
	if errors.As(err, &deferred) && deferred.Reply.Code == 452 {
		return nil // which is what it was to show
	}
	return err
}
