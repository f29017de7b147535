package smtpclient

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/internal/ascii"
	"github.com/postrider/postrider/internal/wire"
)

// header is that of the notice.
func (n Notice) header(b *bytes.Buffer, to string, told []tidings, boundary string) {
	from := n.From
	if from == "" {
		from = "postmaster@" + n.ReportingMTA
	}
	fmt.Fprintf(b, "From: Mail delivery <%s>\r\n", from)
	fmt.Fprintf(b, "To: <%s>\r\n", to)
	fmt.Fprintf(b, "Subject: %s\r\n", subject(told))
	fmt.Fprintf(b, "Date: %s\r\n", time.Now().Format(mailDate))
	fmt.Fprintf(b, "Message-ID: <%s@%s>\r\n", rand.Text(), strings.Trim(n.ReportingMTA, "[]"))
	b.WriteString("Auto-Submitted: auto-replied\r\n") // RFC 3834, Section 5.2
	b.WriteString("MIME-Version: 1.0\r\n")
	fmt.Fprintf(b, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n", boundary)
}

// mailDate is the date of RFC 5322, Section 3.3.
const mailDate = "Mon, 02 Jan 2006 15:04:05 -0700"

func subject(told []tidings) string {
	switch all := events(told); all {
	case NotifyFailure:
		return "Your message was not delivered"
	case NotifyDelay:
		return "Your message is delayed"
	case NotifySuccess:
		return "Your message was delivered"
	}
	return "What became of your message"
}

// events are all that the notice tells of.
func events(told []tidings) (all Notify) {
	for _, t := range told {
		all |= t.event
	}
	return all
}

// words is the part for people.
func (n Notice) words(b *bytes.Buffer, told []tidings) {
	var text strings.Builder
	if n.Text != "" {
		text.WriteString(strings.TrimRight(n.Text, "\r\n") + "\n")
	} else {
		fmt.Fprintf(&text, "This is the mail system at %s.\n", n.ReportingMTA)
	}
	for _, kind := range []struct {
		event Notify
		title string
	}{
		{NotifyFailure, "Your message could not be delivered to"},
		{NotifyDelay, "Your message has not been delivered yet, and will be tried again, to"},
		{NotifySuccess, "Your message was delivered, or passed on to a server that tells no more, to"},
	} {
		first := true
		for _, t := range told {
			if t.event != kind.event {
				continue
			}
			if first {
				fmt.Fprintf(&text, "\n%s\n", kind.title)
				first = false
			}
			fmt.Fprintf(&text, "\n<%s>\n    %s\n", plainLine(t.to.Address), reason(t.outcome))
		}
	}
	if !n.RetryUntil.IsZero() && events(told)&NotifyDelay != 0 {
		fmt.Fprintf(&text, "\nIt will be tried until %s.\n", n.RetryUntil.Format(mailDate))
	}
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(b)
	io.WriteString(w, text.String()) // a bytes.Buffer takes everything
	w.Close()
}

// reason says in one line why an outcome is what it is.
func reason(o *Outcome) string {
	said := plainLine(o.Reply.String())
	if said == "" && o.Cause != nil {
		said = plainLine(o.Cause.Error())
	}
	if o.Host == "" {
		return said
	}
	return fmt.Sprintf("%s: %s", plainLine(o.Host), said)
}

// plainLine makes text of strangers fit for one line of a report.
func plainLine(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x2028 || c == 0x2029 {
			return ' '
		}
		return c
	}, s)
	return strings.TrimSpace(s)
}

// status is the part for programs (RFC 3464, Section 2.1). It is always ASCII, so
// that it needs no other content type and every program can read it.
func (n Notice) status(b *bytes.Buffer, env *Envelope, told []tidings) {
	b.WriteString("Content-Type: message/delivery-status\r\n\r\n")
	if env.EnvID != "" {
		fmt.Fprintf(b, "Original-Envelope-Id: %s\r\n", env.EnvID)
	}
	field(b, "Reporting-MTA", mtaName(n.ReportingMTA))
	if !env.Arrival.IsZero() {
		field(b, "Arrival-Date", env.Arrival.Format(mailDate))
	}
	for _, t := range told {
		n.recipient(b, t)
	}
}

// recipient writes the fields of one (RFC 3464, Section 2.3).
func (n Notice) recipient(b *bytes.Buffer, t tidings) {
	o := t.outcome
	b.WriteString("\r\n")
	if kind, addr, ok := strings.Cut(t.to.ORCPT, ";"); ok {
		if strings.EqualFold(kind, "utf-8") {
			addr = string(wire.AppendUTF8Address(nil, addr, wire.ASCIIOnly))
		}
		field(b, "Original-Recipient", kind+"; "+addr)
	}
	field(b, "Final-Recipient", finalRecipient(t.to.Address))
	field(b, "Action", t.action)
	field(b, "Status", o.Enhanced)
	if o.Reply.Code != 0 && o.Host != "" {
		field(b, "Remote-MTA", mtaName(o.Host))
	}
	switch {
	case o.Reply.Code != 0:
		field(b, "Diagnostic-Code", "smtp; "+o.Reply.String())
	case o.Cause != nil:
		field(b, "Diagnostic-Code", "x-postrider; "+o.Cause.Error())
	}
	if t.event == NotifyDelay && !n.RetryUntil.IsZero() {
		field(b, "Will-Retry-Until", n.RetryUntil.Format(mailDate))
	}
}

// mtaName is a host with the type of its name (RFC 3461, Section 6.3).
func mtaName(host string) string {
	if name, err := address.Domain(host); err == nil {
		return "dns; " + name
	}
	return "x-local-hostname; " + host
}

// finalRecipient is the address with its type; one that is not ASCII is written
// in ASCII (RFC 6533, Section 3).
func finalRecipient(addr string) string {
	if ascii.Is(addr) {
		return "rfc822; " + addr
	}
	return "utf-8; " + string(wire.AppendUTF8Address(nil, addr, wire.ASCIIOnly))
}

// field writes one field. A long one is folded at a space, and text that no
// address or reply has in the middle of a word.
func field(b *bytes.Buffer, name, value string) {
	line := name + ": " + strings.Map(func(c rune) rune {
		if c > '~' {
			return '?'
		}
		return c
	}, plainLine(value))
	for len(line) > maxFieldLine {
		at := strings.LastIndexByte(line[:maxFieldLine], ' ')
		if at > len(name)+1 {
			b.WriteString(line[:at] + "\r\n")
			line = line[at:]
		} else {
			b.WriteString(line[:maxFieldLine] + "\r\n")
			line = " " + line[maxFieldLine:]
		}
	}
	b.WriteString(line + "\r\n")
}

// maxFieldLine is where fields are folded: RFC 5322, Section 2.1.1, has 998 at
// most.
const maxFieldLine = 500
