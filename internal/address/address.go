// Package address reads and writes the names that stand in SMTP commands:
// mailboxes (RFC 5321, Section 4.1.2), domains, and address literals
// (RFC 5321, Section 4.1.3).
//
// What it returns holds only printable ASCII, and in local parts UTF-8, so that
// it can stand in a command line as it is. Nothing is repaired: no blanks are trimmed, no display names,
// comments or angle brackets are taken off. The errors quote what was given
// with everything but printable ASCII escaped, and are safe to log.
package address

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/ascii"
)

// Limits in octets (RFC 5321, Section 4.5.3.1). That of the path counts its
// angle brackets.
const (
	maxLocal = 64
	maxPath  = 256
)

// Mailbox is an addr-spec taken apart. Two that are equal (==) name the same
// mailbox as far as a client can tell: local parts differ by every byte, while
// domains were brought to one form.
type Mailbox struct {
	Local  string // the meaning: quotes and backslashes of a quoted string are taken off
	Domain string // A-labels in lower case, or an address literal with its brackets; "" only for postmaster
}

// Parse reads an addr-spec, as "ann@example.org" or "\"ann b\"@[192.0.2.1]". The
// error says what is wrong, and where.
func Parse(s string) (Mailbox, error) {
	if m, ok := plain(s, ""); ok {
		return m, nil
	}
	return parse(s)
}

func parse(s string) (Mailbox, error) {
	if s == "" {
		return Mailbox{}, errors.New("the address is empty; write it as user@example.org")
	}
	local, rest, err := cutLocal(s)
	if err != nil {
		return Mailbox{}, err
	}
	domain, err := mailDomain(rest)
	if err != nil {
		return Mailbox{}, err
	}
	m := Mailbox{Local: local, Domain: domain}
	written := len(local) // as it stands, if it had no quotes
	if s[0] == '"' {
		written = len(wireLocal(local))
	}
	if err := m.checkLength(written); err != nil {
		return Mailbox{}, err
	}
	return m, nil
}

// ParseRecipient is Parse, but also takes "postmaster" alone, in any case of
// letters, which RCPT allows (RFC 5321, Section 4.1.1.3). Its Domain is "".
func ParseRecipient(s string) (Mailbox, error) {
	m, _, err := NextRecipient("", s)
	return m, err
}

// NextRecipient is ParseRecipient for one of many, with its wire form. Most have the
// domain of the one before, which is then not looked at again; "" is none.
func NextRecipient(domain, s string) (m Mailbox, path string, err error) {
	if m, ok := plain(s, domain); ok {
		return m, s, nil
	}
	if len(s) == len("postmaster") && strings.EqualFold(s, "postmaster") {
		return Mailbox{Local: s}, s, nil
	}
	if m, err = parse(s); err != nil {
		return m, "", err
	}
	return m, m.Written(s), nil
}

// String is the wire form, without angle brackets. The local part is quoted only
// where it must be, as RFC 5321, Section 4.1.2 asks of a sender. Parse reads
// back what String wrote.
func (m Mailbox) String() string {
	if m.Domain == "" {
		return wireLocal(m.Local)
	}
	return wireLocal(m.Local) + "@" + m.Domain
}

// Written is String for a Mailbox that was read from s. Most addresses are in their
// wire form already: then it is s itself.
func (m Mailbox) Written(s string) string {
	if at := len(m.Local); at > 0 && s[0] != '"' && len(s) == at+1+len(m.Domain) && s[at+1:] == m.Domain {
		return s
	}
	return m.String()
}

// ASCII tells that the mailbox can do without SMTPUTF8 (RFC 6531).
func (m Mailbox) ASCII() bool { return ascii.Is(m.Local) }

// checkLength holds the bounds, where the local part takes so many octets.
func (m Mailbox) checkLength(n int) error {
	if n > maxLocal {
		return fmt.Errorf("the local part %s has %d octets, which is more than %d", quote(m.Local), n, maxLocal)
	}
	if n += len("<@>") + len(m.Domain); n > maxPath {
		return fmt.Errorf("the address %s has %d octets with its angle brackets, which is more than %d", quote(m.String()), n, maxPath)
	}
	return nil
}

// mailDomain reads what follows the @.
func mailDomain(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("the domain is empty: nothing follows the @")
	case s[0] == '[':
		return literalDomain(s)
	case strings.Contains(s, "@"):
		return "", fmt.Errorf("there is more than one @; the domain would be %s", quote(s))
	}
	domain, err := aLabels(s)
	if err == nil && strings.HasSuffix(domain, ".") {
		return "", fmt.Errorf("the domain %s ends in a dot", quote(s))
	}
	return domain, err
}

func literalDomain(s string) (string, error) {
	addr, ok := Literal(s)
	if !ok {
		return "", fmt.Errorf("the address literal %s must look like [192.0.2.1] or [IPv6:2001:db8::1]", quote(s))
	}
	return FormatLiteral(addr), nil
}

// quote makes a foreign string fit for an error: ASCII, escaped and short.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
