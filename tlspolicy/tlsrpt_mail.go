package tlspolicy

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/address"
)

// Message is the mail that brings the report to an address (RFC 8460, Section 5.3),
// with CRLF and without a line above 998 bytes. It still has to be signed with DKIM, by
// Report.Submitter, without l=, and with TLS-Report-Domain and TLS-Report-Submitter
// among the fields that are signed. The error is that the address is none.
func (r Report) Message(to string) ([]byte, error) {
	box, err := address.Parse(to)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if !box.ASCII() {
		return nil, errors.New("to: an address in ASCII is needed")
	}
	boundary := rand.Text()
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", r.Contact, box, time.Now().UTC().Format(time.RFC1123Z), rand.Text(), r.Submitter)
	fmt.Fprintf(&b, "Subject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s>\r\n", r.Domain, r.Submitter, r.ID)
	fmt.Fprintf(&b, "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n", r.Domain, r.Submitter)
	// Also further servers are to deliver it whatever TLS says (RFC 8689, Section 4.1).
	fmt.Fprintf(&b, "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n")
	fmt.Fprintf(&b, "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"%s\"\r\n\r\n", boundary)
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", boundary)
	fmt.Fprintf(&b, "This is a report of %s\r\non TLS in connections for %s\r\non %s, in UTC: %d were as they should be, %d were not.\r\n\r\n",
		r.Submitter, r.Domain, r.Day.Format(time.DateOnly), r.Successes, r.Failures)
	fmt.Fprintf(&b, "--%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n", boundary)
	fmt.Fprintf(&b, "Content-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n", r.Filename())
	text := base64.StdEncoding.EncodeToString(r.Gzip())
	for ; len(text) > 76; text = text[76:] {
		b.WriteString(text[:76] + "\r\n")
	}
	fmt.Fprintf(&b, "%s\r\n--%s--\r\n", text, boundary)
	return b.Bytes(), nil
}

// Why a report is not sent.
var (
	errUnsigned = errors.New("the report has no DKIM-Signature of the domain that it comes from: receivers ignore such reports (RFC 8460, Section 3); see Reporter.Sign")
	errLength   = errors.New("the DKIM-Signature of the report has l=, which must not be in it (RFC 8460, Section 3)")
)

// checkSigned looks for the signature that a report must have. Whether it is right only
// the key tells.
func checkSigned(message []byte, submitter string) error {
	ok := false
	for _, value := range signatures(message) {
		tags := make(map[string]string)
		for field := range strings.SplitSeq(value, ";") {
			name, text, _ := strings.Cut(field, "=")
			tags[strings.TrimSpace(name)] = strings.TrimSpace(text)
		}
		if _, has := tags["l"]; has {
			return errLength
		}
		domain, err := address.Domain(tags["d"])
		ok = ok || err == nil && tags["b"] != "" && (domain == submitter || strings.HasSuffix(submitter, "."+domain))
	}
	if !ok {
		return errUnsigned
	}
	return nil
}

// signatures are the values of the DKIM-Signature fields.
func signatures(message []byte) []string {
	var found []string
	in := false
	for line := range bytes.Lines(message) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		if text[0] == ' ' || text[0] == '\t' {
			if in {
				found[len(found)-1] += text
			}
			continue
		}
		name, value, _ := strings.Cut(text, ":")
		if in = strings.EqualFold(strings.TrimSpace(name), "DKIM-Signature"); in {
			found = append(found, value)
		}
	}
	return found
}
