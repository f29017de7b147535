package smtpclient_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// letterToFilter is delivered by FuzzFilters. The address at its end is in no header.
const letterToFilter = "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello.\r\n.ann@example.org\r\n"

// FuzzFilters has hooks give any strings for an address, a field and a line: the
// message is refused and nothing of it arrives, or exactly what they gave stands in
// its place, and nothing else has changed.
func FuzzFilters(f *testing.F) {
	f.Add("cat@example.com", "Subject: other", "Bye.", byte(0x1b))
	f.Add("ann@example.org> SIZE=1\r\nRSET", "Subject: a\r\nBcc: b@c.example", ".\r\nQUIT", byte(0x1b))
	f.Add("\"a>\\\"b\"@b\u00fccher.example", "X: "+strings.Repeat("long ", 300), ".", byte(0x24))
	f.Add("<>", "\u00e9: x", "\x00", byte(0x1b))
	f.Add("postmaster", ": x", "", byte(0x26))
	f.Add("a@[192.0.2.1]", "X : y", "\u00e9", byte(0x35))
	f.Fuzz(func(t *testing.T, addr, field, line string, choice byte) {
		server := &smtptest.Server{Extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8"}, Wire: smtptest.Wire{Window: 64 << 10}}
		defer server.Close()
		head, body := smtpclient.Check{Action: smtpclient.CheckAction(choice & 7), Text: field}, smtpclient.Check{Action: smtpclient.CheckAction(choice >> 3 & 7), Text: line}
		client := holdClient(t, smtpclient.Client{LocalName: "client.example.org", Resolver: resolve.Static{}, NextHops: []string{"[192.0.2.25]"}, TLS: tlspolicy.None,
			Dialer: &smtpclient.Dialer{DialContext: server.DialContext, Filters: &smtpclient.Filters{
				Address: func(string) string { return addr },
				Header: func(h smtpclient.HeaderField) smtpclient.Check {
					if h.Text == "Subject: hello" {
						return head
					}
					return smtpclient.Check{}
				},
				Body: func(l string) smtpclient.Check {
					if l == "Hello." {
						return body
					}
					return smtpclient.Check{}
				},
			}}}, server)
		client.books.Altered, client.books.Renamed = true, true
		report, err := client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(letterToFilter)))
		checkError(t, report, err)
		messages := server.Messages()
		if len(server.Violations()) != 0 {
			t.Fatalf("%q, %q, %q: %v", addr, field, line, server.Violations())
		}
		if err != nil {
			if o := report.Outcomes[0]; len(messages) != 0 || o.Status == smtpclient.Unknown {
				t.Errorf("%q, %q, %q: %v, and %d arrived", addr, field, line, err, len(messages))
			}
			return
		}
		if len(messages) != 1 {
			t.Fatalf("%d messages", len(messages))
		}
		checkFiltered(t, &messages[0], addr, head, body)
	})
}

// checkFiltered holds a message against what the hooks gave.
func checkFiltered(t *testing.T, m *smtptest.Message, addr string, head, body smtpclient.Check) {
	t.Helper()
	path := func(old string) string {
		if addr == "" || addr == old {
			return old
		}
		p, err := address.Parse(addr)
		if err != nil {
			t.Fatalf("%q was taken, but %v", addr, err)
		}
		return p.String()
	}
	if m.From != path("ann@example.org") || len(m.To) != 1 || m.To[0] != path("bob@example.net") {
		t.Errorf("%q: from %q to %q", addr, m.From, m.To)
	}
	want := []string{"From: Ann <" + path("ann@example.org") + ">", "To: " + path("bob@example.net")}
	want = append(want, edited("Subject: hello", head)...)
	gotHead, gotBody, ok := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	if got := unfoldedLines(string(gotHead)); !ok || !slices.Equal(got, unfoldedLines(strings.Join(want, "\r\n"))) {
		t.Errorf("%q, %q: the header is %q, want %q", addr, head.Text, gotHead, want)
	}
	lines := append(edited("Hello.", body), ".ann@example.org", "")
	if got := string(gotBody); got != strings.Join(lines, "\r\n") {
		t.Errorf("%q: the body is %q, want %q", body.Text, got, lines)
	}
}

// edited is what stands for a line after a check.
func edited(line string, c smtpclient.Check) []string {
	switch c.Action {
	case smtpclient.CheckReplace:
		return []string{c.Text}
	case smtpclient.CheckPrepend:
		return []string{c.Text, line}
	case smtpclient.CheckStrip, smtpclient.CheckIgnore:
		return nil
	}
	return []string{line}
}

// unfoldedLines are the fields without folds, and without blanks at their ends, which
// folding may take.
func unfoldedLines(head string) []string {
	head = strings.NewReplacer("\r\n ", " ", "\r\n\t", "\t").Replace(head)
	lines := strings.Split(head, "\r\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t")
	}
	return lines
}
