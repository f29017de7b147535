package smtpclient

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// Client delivers messages. It is only configuration: the zero value is ready,
// a copy with a field changed is another client, and there is nothing to close.
// It is safe for many goroutines. Servers are found by DNS, the TLS policy is
// tlspolicy.Default, and each delivery has a connection of its own.
type Client struct {
	// LocalName is our name in EHLO where Dialer has none: a domain name or an
	// address literal. "": the host name of this machine, or the address of
	// the connection as a literal if that is no full name.
	LocalName string
	// NextHops are tried in order, as "[smtp.example.net]:587"; a later one
	// takes the recipients who are still open. nil: the recipients' domains.
	// See resolve.ParseNextHop for the forms.
	NextHops []string
	// Fallback are next hops for those whom nobody could be asked about: they
	// come after all others, in order, and only for the recipients that
	// FallbackFor names. A domain that says by a null MX that it takes no mail has
	// answered, and what would come back to this machine never goes there.
	Fallback    []string
	FallbackFor FallbackFor // zero: FallbackUnanswered
	// JoinDomains lets recipients of several domains share transactions. The domains
	// must have the same hosts with the same preferences, and for each host that is
	// used the TLS policy with the names that are verified, the credential and the way
	// out must be the same for all; who differs goes apart. Some receivers take the
	// recipients of one domain in a transaction, and have the others come again.
	// Limiter and TLSResults hear of the first domain only. False: transactions for
	// each domain.
	JoinDomains bool
	Resolver    resolve.Resolver // nil: resolve.Default(), which all calls share
	// Routing says how hosts are found. Zero: RFC 5321, Section 5.1. A next hop
	// that was configured here or in the envelope may have loopback and
	// link-local addresses, also where Routing.Local is not set.
	Routing resolve.Routing
	// TLS decides how secure the channel to a host must be. nil:
	// tlspolicy.Default(); where there is a credential, Secure.
	TLS tlspolicy.Source
	// Auth finds what is shown to a host with AUTH. A *Credential is one for
	// every configured next hop. nil: no AUTH.
	Auth Credentials
	// AuthMemory says how a password that was refused is remembered.
	AuthMemory AuthMemory
	Dialer     *Dialer // nil: a zero Dialer
	// Source picks the way out for each next hop, once its hosts are known: local
	// addresses, EHLO name, proxy, and all else that a Dialer has. Pools know ways by
	// the pointer, so it has to give the same Dialers again and again. What can be
	// said of a message before a server is known, by Rules and Filters, is said by
	// those of Client.Dialer. nil, nil is Client.Dialer. With an error the mail is
	// deferred, by a *RefusedError until its time; no other next hop is tried. Several
	// goroutines call it at the same time. nil: always Client.Dialer. See Ways.
	Source func(ctx context.Context, q SourceQuery) (*Dialer, error)
	// Cache keeps what was learned of domains and servers. nil: cache.Default, a
	// bounded memory of this process; cache.None remembers nothing. Clients that
	// share a Cache of their own must have Resolvers that say the same. In
	// cache.Default no routes are kept where Resolver is set. Who can write to it
	// is believed as the DNS is, DNSSEC and MTA-STS included: put a store that others
	// can write to behind cache.Seal. What was configured, as level secure or a
	// fingerprint, does not depend on it. No answer of it is waited for longer than
	// 2 s.
	Cache cache.Cache
	// TLSResults is told how each attempt at TLS ended, as a tlspolicy.Collector.
	// Messages with TLS-Required: no are left out. nil: nobody is told.
	TLSResults tlspolicy.Recorder
	Pool       *Pool  // nil: a connection for each delivery
	Limits     Limits // what one call tries
	// Limiter is asked before each connection and each transaction. nil: no limit.
	Limiter Limiter
	// Classify may turn Deferred into Failed and back, and gives s otherwise; any
	// other change is ignored. It is asked about a Failed as soon as a server or the
	// DNS has said so: made a Deferred, the next host is tried, as Postfix does with
	// soft_bounce. About a Deferred it is asked when no host is left, or the call
	// ends, and then that is the outcome. The class of a.Enhanced follows the
	// status. It is never asked about Delivered and Unknown, nor twice about one
	// attempt; if it panics the verdict stands, with a note. Several goroutines may
	// call it at the same time. nil: verdicts stand.
	Classify func(a Attempt, s Status) Status
	// Protocol is SMTP, or LMTP to a local store: next hops are then needed, are
	// hosts and never domains with MX records, and their port is 24 where they name
	// none. Package lmtp has its other defaults.
	Protocol Protocol
}

// fault is what is wrong with the configuration, or nil.
func (c *Client) fault(d *Dialer) error {
	if c.Protocol > LMTP {
		return fmt.Errorf("Client.Protocol: %w", errUnknownValue)
	}
	if c.LocalName != "" {
		if _, err := address.HeloName(c.LocalName); err != nil {
			return fmt.Errorf("Client.LocalName: %w", err)
		}
	}
	if err := c.AuthMemory.fault(); err != nil {
		return err
	}
	if err := c.Routing.Fault(); err != nil {
		return fmt.Errorf("Client.%w", err)
	}
	return d.fault()
}

// parseNextHops reads the configured next hops, and appends them to hops.
func (c *Client) parseNextHops(hops []resolve.NextHop, field string, list []string) ([]resolve.NextHop, error) {
	for i, s := range list {
		hop, err := resolve.ParseNextHop(s)
		if err == nil && c.Protocol == LMTP {
			hop, err = storeHop(hop)
		}
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		hops = append(hops, hop)
	}
	return hops, nil
}

// storeHop is a next hop in LMTP: there are no MX lookups, and port 25 is that of
// SMTP (RFC 2033, Section 5).
func storeHop(hop resolve.NextHop) (resolve.NextHop, error) {
	if hop.Kind == resolve.ViaMX {
		hop.Kind = resolve.ViaHost
	}
	if hop.Kind == resolve.ViaHost && hop.Port == 0 {
		hop.Port = 24
	}
	if hop.Port == 25 {
		return hop, fmt.Errorf("%v: port 25 is for SMTP; LMTP servers listen on another, as 24", hop)
	}
	return hop, nil
}
