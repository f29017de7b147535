package smtpclient

import (
	"context"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// Client delivers messages. It is only configuration: the zero value is ready,
// a copy with a field changed is another client, and there is nothing to close.
// It is safe for many goroutines. Servers are found by DNS, the TLS policy is
// tlspolicy.Default, and each transaction has a connection of its own.
type Client struct {
	// LocalName is our name in EHLO where Dialer has none: a domain name or an
	// address literal. "": the host name of this machine, or the address of
	// the connection as a literal if that is no full name.
	LocalName string
	// NextHops are tried in order, as "[smtp.example.net]:587"; a later one
	// takes the recipients who are still open. nil: the recipients' domains.
	// See resolve.ParseNextHop for the forms.
	NextHops []string
	Resolver resolve.Resolver // nil: &resolve.DNS{}
	Routing  resolve.Routing  // how hosts are found; zero: RFC 5321
	TLS      tlspolicy.Source // nil: tlspolicy.Default()
	Dialer   *Dialer          // nil: a zero Dialer
	Limits   Limits           // what one call tries
	Protocol Protocol         // zero: SMTP
}

// Limits bound what is tried for each next hop. Zero is the default in
// brackets, Postfix's smtp_mx_address_limit and smtp_mx_session_limit; a
// negative number is no limit.
type Limits struct {
	Addresses int // addresses that are dialled (5)
	Sessions  int // sessions that reach MAIL (2)
}

// Deliver sends content to the recipients of env. The Report has an Outcome for
// each, whatever happens. The error is nil if all were delivered, else an
// *Error: of the first recipient that is Unknown, else Deferred, else Failed.
func (c *Client) Deliver(ctx context.Context, env Envelope, content Content) (Report, error) {
	panic("stub")
}
