// Package address is stubbed.
package address

// Mailbox is an addr-spec taken apart.
type Mailbox struct {
	Local  string // as given, unquoted form decoded
	Domain string // A-labels in lower case, or an address literal with its brackets
}

// Parse reads an addr-spec (RFC 5321, Section 4.1.2) without angle brackets.
func Parse(s string) (Mailbox, error) { panic("stub") }

// String is the wire form: local part quoted where it must be.
func (m Mailbox) String() string { panic("stub") }

// Domain turns a domain name into A-labels.
func Domain(s string) (string, error) { panic("stub") }
