// Quickstart delivers one message on this machine and shows all there is to
// see: how servers are found, the dialogue, TLS, and a report in which one of
// three recipients was refused.
//
//	go run ./examples/quickstart
//
// It needs no arguments, no network beyond loopback and no privileges. The DNS
// server and the mail server are those that Postrider has for tests: programs
// that send mail are tested in the same way.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

//go:embed message.eml
var message []byte

// zone says that mail for example.net goes to mx.example.net, which is here.
const zone = `
$ORIGIN example.net.
@    MX  10 mx
mx   A   127.0.0.1
`

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run delivers the message, prints what happened, and returns an error if that
// is not what should have happened.
func run(ctx context.Context, out io.Writer) error {
	names := &dnstest.Server{Zones: []dnstest.Zone{{Text: zone}}}
	defer names.Close()
	dns, err := names.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mail := &smtptest.Server{Name: "mx.example.net", Script: refuseNobody} // offers STARTTLS
	defer mail.Close()
	smtp, err := mail.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}

	// Against the real world a zero Client is enough. Here it has to ask our
	// DNS server, and may go to a loopback address and a port that is not 25.
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		Resolver:  &resolve.DNS{Servers: []string{dns.String()}},
		Routing:   resolve.Routing{Local: true, Port: smtp.(*net.TCPAddr).AddrPort().Port()},
		TLS:       tlspolicy.Encrypt, // rather no delivery than one in plaintext
	}

	// A Trace in ctx is told each line. Log it, or leave it out.
	fmt.Fprintln(out, "Dialogue")
	ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{
		Line: func(_ context.Context, line string) { fmt.Fprintln(out, "  "+line) },
	})

	report, err := client.Deliver(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To: []smtpclient.Recipient{
			{Address: "bob@example.net"},
			{Address: "nobody@example.net"},
			{Address: "carol@example.net"},
		},
	}, smtpclient.Bytes(message))

	fmt.Fprintln(out, "\nReport")
	printReport(out, report)
	if err := check(report, err, mail); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nAs expected: two delivered, one refused, and the server has every byte as it was sent.")
	return nil
}

// refuseNobody is the script of the mail server: a zero Action accepts.
func refuseNobody(c smtptest.Command) smtptest.Action {
	if c.Verb == "RCPT" && strings.Contains(c.Args, "nobody@") {
		return smtptest.Action{Reply: "550 5.1.1 no such user here"}
	}
	return smtptest.Action{}
}

// printReport prints a line for each recipient. An Outcome says by itself where
// the message went and why it was refused.
func printReport(out io.Writer, report smtpclient.Report) {
	for _, o := range report.Outcomes {
		fmt.Fprintf(out, "  %-19s %s %s over %s, at %s: %s\n",
			o.Address, colour(out, o.Status), o.Host, tls.VersionName(o.TLS.Version), o.Stage, o.Reply)
	}
	fmt.Fprintln(out, "  All in", report.Duration)
}

// colour paints a status if it goes to a terminal.
func colour(out io.Writer, s smtpclient.Status) string {
	text := fmt.Sprintf("%-9s", s)
	file, ok := out.(*os.File)
	if !ok {
		return text
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return text
	}
	if s == smtpclient.Delivered {
		return "\x1b[32m" + text + "\x1b[0m"
	}
	return "\x1b[31m" + text + "\x1b[0m"
}

// check compares what happened with what should have happened.
func check(report smtpclient.Report, err error, mail *smtptest.Server) error {
	want := []smtpclient.Status{smtpclient.Delivered, smtpclient.Failed, smtpclient.Delivered}
	if len(report.Outcomes) != len(want) {
		return fmt.Errorf("%d outcomes for %d recipients", len(report.Outcomes), len(want))
	}
	for i, o := range report.Outcomes {
		if o.Status != want[i] {
			return fmt.Errorf("%s is %v and should be %v: %v", o.Address, o.Status, want[i], o.Err())
		}
		if o.TLS.Reached != tlspolicy.Encrypt {
			return fmt.Errorf("%s: TLS was not reached", o.Address)
		}
	}
	// The error is that of the gravest outcome, for programs that look no further.
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Reply.Code != 550 || e.Enhanced != "5.1.1" {
		return fmt.Errorf("the error should be the 550 5.1.1 of nobody@example.net and is: %v", err)
	}
	stored := mail.Messages()
	if len(stored) != 1 || !bytes.Equal(stored[0].Data, message) {
		return errors.New("the server did not store what was sent")
	}
	if faults := mail.Violations(); len(faults) > 0 {
		return fmt.Errorf("the dialogue broke the standards: %q", faults)
	}
	return nil
}
