package interop

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// Each of these needs SMTPUTF8 (RFC 6531), which then stands in the server's
// trace line (RFC 6531, Section 4.3); plain mail does not say it.
func TestSMTPUTF8(t *testing.T) {
	plain := simple("plain")
	inHeader := body("gr\xc3\xbc\xc3\x9fe", "hello\r\n")
	for _, c := range []struct {
		name, from, domain string
		content            []byte
		utf8               bool
	}{
		{"nothing", "ann@example.org", "example.test", plain, false},
		{"body", "ann@example.org", "example.test", body("8-bit", "gr\xc3\xbc\xc3\x9fe\r\n"), false},
		{"recipient", "ann@example.org", utf8Domain, plain, true},
		{"sender", "\xc3\xa4nn@example.org", "example.test", plain, true},
		{"header", "ann@example.org", "example.test", inHeader, true},
	} {
		for _, p := range peers() {
			t.Run(p.name+"/"+c.name, func(t *testing.T) {
				s := p.start(t)
				to := "b\xc3\xb6b@example.test"
				if p.smtpUTF8 || c.domain != utf8Domain {
					to = s.NewMailbox(c.domain)
				}
				env := smtpclient.Envelope{From: c.from, To: []smtpclient.Recipient{{Address: to}}}
				report := deliverTo(t, clientTo(s, p.door), env, smtpclient.Bytes(c.content))
				if c.utf8 && !p.smtpUTF8 {
					wantOutcome(t, report.Outcomes[0], smtpclient.Failed, "5.6.7", smtpclient.StageMail)
					return
				}
				wantDelivered(t, report)
				front, got := stored(t, s, to)
				wantBytes(t, got, p.stored(c.content))
				if got := strings.Contains(strings.ToLower(front), "with utf8"); got != c.utf8 {
					t.Errorf("SMTPUTF8 %v, want %v:\n%s", got, c.utf8, front)
				}
			})
		}
	}
}
