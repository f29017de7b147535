// Dkim signs a message (RFC 6376) and delivers it. The signature goes into
// Envelope.Header: the message itself is neither copied nor changed, so that one which
// was read and scanned once can be signed for each delivery.
//
//	cd examples/dkim && go run .
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"os"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// The lines end in CRLF, as they are signed. It has no 8-bit characters: a server
// without 8BITMIME gets a message that is coded anew, and no signature outlives that
// (RFC 6376, Section 5.3). Where such messages are to be signed, set
// Dialer.Rules.EightBit to smtpclient.Refuse.
const message = "From: Ann <ann@example.org>\r\n" +
	"To: Bob <bob@example.net>\r\n" +
	"Subject: Hello\r\n" +
	"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n" +
	"Message-ID: <1@example.org>\r\n" +
	"\r\n" +
	"Hello Bob.\r\n"

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dkim:", err)
		os.Exit(1)
	}
}

// sign gives the header field that signs content for a domain. In its DNS is, at
// mail2026._domainkey: "v=DKIM1; k=ed25519; p=..."
func sign(content smtpclient.Content, domain string, key crypto.Signer) (string, error) {
	signer, err := dkim.NewSigner(&dkim.SignOptions{
		Domain:                 domain,
		Selector:               "mail2026",
		Signer:                 key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed,
		BodyCanonicalization:   dkim.CanonicalizationRelaxed,
		HeaderKeys:             []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"},
	})
	if err != nil {
		return "", err
	}
	r, err := content.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	if _, err := io.Copy(signer, r); err != nil {
		return "", err
	}
	if err := signer.Close(); err != nil {
		return "", err
	}
	return signer.Signature(), nil
}

func run(ctx context.Context, out io.Writer) error {
	public, private, err := ed25519.GenerateKey(nil) // a program has its own, in a file
	if err != nil {
		return err
	}
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	client := &smtpclient.Client{LocalName: "mail.example.org", NextHops: []string{"inet:" + addr.String()}}

	content := smtpclient.Bytes([]byte(message))
	signature, err := sign(content, "example.org", private)
	if err != nil {
		return err
	}
	report, err := client.Deliver(ctx, smtpclient.Envelope{
		From:   "ann@example.org",
		To:     smtpclient.To("bob@example.net"),
		Header: signature,
	}, content)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, report.Outcomes[0].Address, report.Outcomes[0].Status)
	return verify(server.Messages()[0].Data, public, out)
}

// verify is the other side: it checks what has arrived.
func verify(data []byte, key ed25519.PublicKey, out io.Writer) error {
	record := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	verdicts, err := dkim.VerifyWithOptions(bytes.NewReader(data), &dkim.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{record}, nil },
	})
	if err != nil {
		return err
	}
	if len(verdicts) != 1 {
		return fmt.Errorf("%d signatures", len(verdicts))
	}
	if verdicts[0].Err == nil {
		fmt.Fprintln(out, "the signature of", verdicts[0].Domain, "is good")
	}
	return verdicts[0].Err
}
