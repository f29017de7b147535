package interop

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Verdict is what a client said about a recipient, in our words whoever said it.
type Verdict struct {
	Status   string // delivered, deferred, failed or unknown
	Enhanced string // as "4.4.2"
	Code     int    // of the reply that decided; 0: none did
	Text     string // the client's own words, for failures of a test
}

func (v Verdict) String() string {
	if v.Code == 0 {
		return fmt.Sprintf("%s %s", v.Status, v.Enhanced)
	}
	return fmt.Sprintf("%s %s (%d)", v.Status, v.Enhanced, v.Code)
}

// A line of Postfix's log about a recipient, as
//
//	... postfix/smtp[15]: 4Fx: to=<bob@a.test>, relay=127.0.0.1[127.0.0.1]:2525, delay=0.1,
//	delays=0/0/0/0.1, dsn=5.1.1, status=bounced (host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no (in reply to RCPT TO command))
var (
	statusLine = regexp.MustCompile(`: to=<([^>]*)>, .*relay=.*, dsn=([0-9.]+), status=(\w+) \((.*)\)$`)
	replyCode  = regexp.MustCompile(`^(?:host \S+ (?:said|refused to talk to me): |.* refused to start TLS: |SASL authentication failed; server \S+ said: )?([1-5][0-9][0-9])(?:[ -]|$)`)
)

// statuses are Postfix's words for a verdict. It has none for unknown.
var statuses = map[string]string{"sent": "delivered", "deferred": "deferred", "bounced": "failed"}

// parseStatus reads a line of Postfix's log; ok tells that it is about the end of
// an attempt for a recipient.
func parseStatus(line string) (to string, v Verdict, ok bool) {
	m := statusLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
	if m == nil {
		return "", Verdict{}, false
	}
	v = Verdict{Status: statuses[m[3]], Enhanced: m[2], Text: m[4]}
	if v.Status == "" {
		v.Status = m[3]
	}
	if code := replyCode.FindStringSubmatch(m[4]); code != nil {
		v.Code, _ = strconv.Atoi(code[1])
	}
	return m[1], v, true
}
