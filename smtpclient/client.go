package smtpclient

import (
	"fmt"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/address"
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
	// Routing says how hosts are found. Zero: RFC 5321, Section 5.1. A next hop
	// that was configured here or in the envelope may have loopback and
	// link-local addresses, also where Routing.Local is not set.
	Routing resolve.Routing
	// TLS decides how secure the channel to a host must be. nil:
	// tlspolicy.Default(); where there is a credential, Verify.
	TLS tlspolicy.Source
	// Auth finds what is shown to a host with AUTH. A *Credential is one for
	// every configured next hop. nil: no AUTH.
	Auth Credentials
	// AuthMemory says how a password that was refused is remembered.
	AuthMemory AuthMemory
	Dialer     *Dialer // nil: a zero Dialer
	// Cache keeps what was learned of domains and servers. nil: cache.Default, a
	// bounded memory of this process; cache.None remembers nothing.
	Cache  cache.Cache
	Limits Limits // what one call tries
	// Protocol is SMTP. LMTP is not there yet: it is refused as a fault of the
	// configuration; Dialer.Dial speaks it.
	Protocol Protocol
}

// Limits bound what is tried for each next hop. Zero is the default in
// brackets, Postfix's smtp_mx_address_limit and smtp_mx_session_limit; a
// negative number is no limit.
type Limits struct {
	Addresses int // addresses that are dialled (5)
	Sessions  int // sessions that reach MAIL (2)
}

// resolved puts the defaults in.
func (l Limits) resolved() Limits {
	if l.Addresses == 0 {
		l.Addresses = 5
	}
	if l.Sessions == 0 {
		l.Sessions = 2
	}
	return l
}

// fault is what is wrong with the configuration, or nil.
func (c *Client) fault(d *Dialer) error {
	if c.Protocol != SMTP {
		return fmt.Errorf("Client.Protocol: delivery by %v is not there yet; use Dialer.Dial", c.Protocol)
	}
	if c.LocalName != "" {
		if _, err := address.HeloName(c.LocalName); err != nil {
			return fmt.Errorf("Client.LocalName: %w", err)
		}
	}
	if err := c.AuthMemory.fault(); err != nil {
		return err
	}
	return d.fault()
}

// parseNextHops reads the configured next hops.
func parseNextHops(field string, list []string) ([]resolve.NextHop, error) {
	hops := make([]resolve.NextHop, 0, len(list))
	for i, s := range list {
		hop, err := resolve.ParseNextHop(s)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		hops = append(hops, hop)
	}
	return hops, nil
}
