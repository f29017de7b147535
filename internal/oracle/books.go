// Package oracle is for tests: it holds what a client reports against what servers
// have, whatever the test is about. It takes nothing from the client but its reports.
package oracle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Books hold the deliveries of a test. The zero value is ready. Hold may be called
// from many goroutines.
type Books struct {
	// Altered: content does not arrive as it was handed in, as with filters; what it
	// is then, is left to the test. Renamed: recipients neither, and then also which
	// copy is whose.
	Altered, Renamed bool

	mu    sync.Mutex
	calls []call
}

// call is a delivery.
type call struct {
	env    smtpclient.Envelope
	text   []byte // of the content; nil: it is not known
	report smtpclient.Report
	ended  bool // there is none
}

// Hold makes a delivery and enters it. text is what was handed in; nil leaves the
// content to the test. Where a hook of the test ends the goroutine there is no report,
// and what was accepted is not counted.
func (b *Books) Hold(env smtpclient.Envelope, text []byte, deliver func() (smtpclient.Report, error)) (report smtpclient.Report, err error) {
	ended := true
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.calls = append(b.calls, call{env, text, report, ended})
	}()
	report, err = deliver()
	ended = false
	return report, err
}

// account is what there is about one recipient.
type account struct {
	delivered, twice, unknown int // outcomes; twice: the same recipient again in one envelope
	yes, open                 int // copies at servers: accepted, and whole without an answer
	texts                     [][]byte
	anyText                   bool
}

// Check holds the deliveries against the records of servers that are closed:
//
//  1. Every recipient has one outcome.
//  2. Delivered: a server has accepted the message for the recipient, with the bytes
//     that were handed in.
//  3. Accepted, or whole without an answer: the outcome is Delivered or Unknown, and
//     no other one. So nothing is there more often than the reports say (4).
//
// A recipient of whom a server was told by nobody who is in the books is a delivery
// that the test hides.
func (b *Books) Check(t *testing.T, servers ...*smtptest.Server) {
	t.Helper()
	for _, fault := range b.faults(servers) {
		t.Error(fault)
	}
}

// audit is one closing of the books.
type audit struct {
	*Books
	accounts map[string]*account
	strange  bool // there are addresses that may look different at the server
	found    []string
}

func (a *audit) errorf(format string, args ...any) {
	a.found = append(a.found, fmt.Sprintf(format, args...))
}

// faults is what is wrong.
func (b *Books) faults(servers []*smtptest.Server) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &audit{Books: b, accounts: make(map[string]*account), strange: b.Renamed}
	for _, c := range b.calls {
		t.enter(c)
	}
	for _, s := range servers {
		t.count(s)
	}
	for path, a := range t.accounts {
		switch {
		case t.strange:
			// Which copy is whose cannot be told.
		case a.delivered > a.yes:
			t.errorf("%s is delivered %d times, but servers accepted it %d times", path, a.delivered, a.yes)
		case a.yes+a.open > a.delivered+a.twice+a.unknown:
			t.errorf("%s was accepted %d times and whole without an answer %d times, but is delivered %d times and unknown %d times", path, a.yes, a.open, a.delivered+a.twice, a.unknown)
		}
	}
	return t.found
}

// enter puts a call into the accounts.
func (t *audit) enter(c call) {
	if c.ended {
		for _, to := range c.env.To {
			c.report.Outcomes = append(c.report.Outcomes, smtpclient.Outcome{Address: to.Address, Status: smtpclient.Unknown})
		}
	}
	if len(c.report.Outcomes) != len(c.env.To) {
		t.errorf("%d outcomes for %d recipients", len(c.report.Outcomes), len(c.env.To))
		return
	}
	seen := make(map[smtpclient.Recipient]bool)
	for i, o := range c.report.Outcomes {
		to := c.env.To[i]
		if o.Address != to.Address {
			t.errorf("outcome %d is for %s, want %s", i, o.Address, to.Address)
		}
		path, plain := pathOf(to.Address)
		t.strange = t.strange || !plain
		to.Address = path
		a := t.accounts[path]
		if a == nil {
			a = &account{}
			t.accounts[path] = a
		}
		switch {
		case c.env.Verify != smtpclient.VerifyNo:
		case o.Status == smtpclient.Unknown:
			a.unknown++
		case o.Status == smtpclient.Delivered && seen[to]:
			a.twice++
		case o.Status == smtpclient.Delivered:
			a.delivered++
		}
		seen[to] = true
		a.texts = append(a.texts, c.text)
		a.anyText = a.anyText || c.text == nil || c.converted()
	}
}

// count takes what a server has into the accounts.
func (t *audit) count(s *smtptest.Server) {
	for _, r := range s.Refused() {
		if path, _ := pathOf(r.Path); r.Verb == "RCPT" && t.accounts[path] == nil && !t.strange {
			t.errorf("%s was sent to a server by a delivery that is not in the books", r.Path)
		}
	}
	for _, m := range s.Messages() {
		for i, to := range m.To {
			path, _ := pathOf(to)
			a := t.accounts[path]
			if a == nil && !t.strange {
				t.errorf("%s was sent to a server by a delivery that is not in the books", to)
			}
			if a == nil {
				continue
			}
			switch reply := m.Replies[min(i, len(m.Replies)-1)]; {
			case reply == "":
				a.open++
			case reply[0] == '2':
				a.yes++
				if !t.Altered && !a.knows(m.Data) {
					t.errorf("%s got %.2000q, which nobody has sent", to, m.Data)
				}
			}
		}
	}
}

// knows tells that content was handed in for the recipient.
func (a *account) knows(data []byte) bool {
	if a.anyText {
		return true
	}
	for _, text := range a.texts {
		if bytes.Equal(data, text) || bytes.Equal(data, []byte(arrives(string(text)))) {
			return true
		}
	}
	return false
}

// converted tells that what arrives may look different: by a header in front, or
// since not every server takes 8-bit or long lines.
func (c *call) converted() bool {
	env := &c.env
	return env.Header != "" || env.Stamps != 0 || env.TLS == tlspolicy.NotRequired || bytes.ContainsFunc(c.text, func(r rune) bool { return r > '~' }) ||
		slices.ContainsFunc(bytes.Split(c.text, []byte("\n")), func(line []byte) bool { return len(line) > 998 })
}

// pathOf is an address as a server gets it; plain tells that this is sure.
func pathOf(address string) (path string, plain bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, strings.EqualFold(address, "postmaster")
	}
	plain = !strings.ContainsFunc(address, func(r rune) bool { return r > '~' || r <= ' ' || r == '"' || r == '\\' || r == '[' })
	return address[:at] + strings.ToLower(strings.TrimSuffix(address[at:], ".")), plain
}

// arrives is what a message becomes on its way, written from the rule: lines end
// in CRLF, a CR alone is a space, and a line of more than 998 bytes is folded.
func arrives(message string) string {
	message = strings.ReplaceAll(message, "\r\n", "\n")
	message = strings.ReplaceAll(message, "\r", " ")
	var b strings.Builder
	for line := range strings.Lines(message) {
		for line = strings.TrimSuffix(line, "\n"); len(line) > 998; line = " " + line[998:] {
			b.WriteString(line[:998] + "\r\n")
		}
		b.WriteString(line + "\r\n")
	}
	return b.String()
}
