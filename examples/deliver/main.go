// Deliver sends one message from the command line and says what became of it:
//
//	deliver -from ann@example.org -to bob@example.net < message
//	deliver -from ann@example.org -to bob@example.net -nexthop '[smtp.example.net]:587' -trace -json -file message.eml
//
// It is a small program over the public API of Postrider: flags.go turns the
// command line into a smtpclient.Client and an Envelope, send.go delivers,
// text.go and json.go print the Report. "deliver -h" lists the flags.
//
// The exit code is the first of these that holds:
//
//	64  the command line is at fault, or the message cannot be read
//	76  a recipient is unknown: the message may have been delivered
//	75  a recipient is deferred: try again later
//	65  a recipient or the message was refused as input
//	69  a recipient has failed
//	0   all were delivered
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/postrider/postrider/smtpclient"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program; it gives the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		printHelp(stdout)
		return exitDelivered
	}
	if err != nil {
		fmt.Fprintln(stderr, "deliver:", err)
		return exitUsage
	}
	content, err := cfg.content(stdin)
	if err != nil {
		fmt.Fprintln(stderr, "deliver:", err)
		return exitUsage
	}

	// Only from here on is there a report that an interrupt must not lose. A
	// second signal ends the program as usual.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	out := &printer{stdout: stdout, stderr: stderr, json: cfg.json}
	deliverAll(ctx, cfg, content, out)
	cfg.closePool()
	if cfg.repeat > 0 {
		out.summary()
	}
	return out.total.exitCode()
}

// content is the message. None is needed to ask about the recipients only.
func (c *config) content(stdin io.Reader) (smtpclient.Content, error) {
	if c.envelope.Verify != smtpclient.VerifyNo && c.file == "" {
		return nil, nil
	}
	message, err := readMessage(c.file, stdin)
	return smtpclient.Bytes(message), err
}

// readMessage reads the named file, or standard input if there is no name.
func readMessage(file string, stdin io.Reader) ([]byte, error) {
	if file == "" {
		message, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return message, nil
	}
	message, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-file: %w", err)
	}
	return message, nil
}
