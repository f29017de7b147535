package classes

// Class is why a message was not taken.
type Class uint8

// The classes.
const (
	// Unclassified: it was taken, or no row of the table knows why not.
	Unclassified Class = iota
	// BadMailbox: the address takes no mail, or its domain: it does not exist, was
	// closed, has moved.
	BadMailbox
	// Full: the recipient has no room left.
	Full
	// Spam: our address, our domain or the words of the message are taken for a source
	// of spam or malware.
	Spam
	// RateLimit: too much at once: messages, connections, recipients, errors. A
	// limit of our own, too.
	RateLimit
	// Greylist: who is not known yet has to come a second time.
	Greylist
	// Auth: who sends is not proved: by a password, or by SPF, DKIM, DMARC or reverse
	// DNS, as RFC 7372 counts them.
	Auth
	// Policy: the receiver does not want it by other rules: no relaying, not from this
	// sender, not to this list.
	Policy
	// TLS: the channel is not as secure as one of the two sides wants it.
	TLS
	// Network: there was no connection, it was lost, or the DNS did not say where to.
	Network
	// Message: it cannot go as it is: too large, or of a wrong form.
	Message
	// Server: trouble at the receiver, or on this machine.
	Server
	// Protocol: a command was not understood, or came out of order.
	Protocol
)

var names = [...]string{"unclassified", "bad-mailbox", "full", "spam", "rate-limit", "greylist", "auth", "policy",
	"tls", "network", "message", "server", "protocol"}

// String gives the name in the table, as "bad-mailbox".
func (c Class) String() string {
	if int(c) < len(names) {
		return names[c]
	}
	return "Class(?)"
}

func classNamed(name string) (Class, bool) {
	for i, n := range names {
		if n == name {
			return Class(i), true
		}
	}
	return Unclassified, false
}
