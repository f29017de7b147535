// Tlsrpt is the whole way of TLS reports (RFC 8460) on this machine: mail is sent, a
// Collector counts how TLS went, and a Reporter tells the domains that want to know, by
// mail that is signed with DKIM, and by HTTPS.
//
//	go run .
//
// What a program needs is in setUp; the rest is the world that it lives in.
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tlsrpt:", err)
		os.Exit(1)
	}
}

// signer puts the signature of our domain on a report. In the DNS is, at
// tlsrpt._domainkey.example.org: "v=DKIM1; k=ed25519; s=email:tlsrpt; p=..."
type signer struct{ key crypto.Signer }

func (s signer) sign(_ context.Context, message []byte) ([]byte, error) {
	var signed bytes.Buffer
	err := dkim.Sign(&signed, bytes.NewReader(message), &dkim.SignOptions{
		Domain: "example.org", Selector: "tlsrpt", Signer: s.key,
		HeaderKeys: []string{"From", "To", "Date", "Subject", "Message-ID", "MIME-Version", "Content-Type", "TLS-Report-Domain", "TLS-Report-Submitter"},
	})
	return signed.Bytes(), err
}

// setUp has the client count and gives what sends the reports. A program that runs for
// long calls reporter.Run(ctx) in a goroutine of its own, and is done.
func setUp(client *smtpclient.Client, key crypto.Signer) *tlspolicy.Reporter {
	collector := &tlspolicy.Collector{
		Organization: "Example",
		Contact:      "tlsrpt@example.org",
		Resolver:     client.Resolver,
		Cache:        client.Cache, // one that outlives the process, as boltcache
	}
	client.TLSResults = collector

	// Reports have to arrive whatever is wrong with TLS, which is what they are about.
	courier := *client
	courier.TLS = tlspolicy.May
	send := func(ctx context.Context, from, to string, message []byte) error {
		_, err := courier.Deliver(ctx, smtpclient.Envelope{
			From: from,
			To:   smtpclient.To(to),
			TLS:  tlspolicy.NotRequired, // so that it is in no report itself
		}, smtpclient.Bytes(message))
		return err
	}
	return &tlspolicy.Reporter{Collector: collector, Sign: signer{key}.sign, Send: send}
}

// run sends some mail, and then the reports on it, and says what came of that.
func run(ctx context.Context, out io.Writer) error {
	w, err := newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	client := w.client()
	reporter := setUp(client, key)
	reporter.Poster = w.poster()
	reporter.Tried = func(r tlspolicy.Report, uri string, err error) {
		fmt.Fprintf(out, "report on %s: %d sessions were good, %d were not; to %s: %v\n", r.Domain, r.Successes, r.Failures, uri, outcome(err))
	}
	for _, to := range []string{"bob@good.example", "bob@good.example", "carol@expired.example", "dave@silent.example"} {
		report, err := client.Deliver(ctx, smtpclient.Envelope{From: "ann@example.org", To: smtpclient.To(to)}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
		if len(report.Outcomes) == 0 {
			return err
		}
		o := report.Outcomes[0]
		fmt.Fprintf(out, "%s: %v, TLS %v, %v\n", to, o.Status, o.TLS.Reached, outcome(err))
	}
	if err := reporter.SendDay(ctx, w.now()); err != nil {
		return err
	}
	return w.show(out, key.Public())
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}
