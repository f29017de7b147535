package smtpclient

import (
	"context"
	"net"
	"net/netip"

	"github.com/postrider/postrider/tlspolicy"
)

// Dialer is one way out of this machine: local addresses, EHLO name, proxy,
// timeouts. The zero value is ready. It is safe for many goroutines and must
// not change after its first use.
type Dialer struct {
	// LocalName is our name in EHLO: a domain name or an address literal.
	// "": Client.LocalName.
	LocalName string
	// LocalAddr4 and LocalAddr6 are bound for connections of their family.
	// Zero: the system chooses. An address of the wrong family is a fault of
	// the configuration; one that the machine refuses defers (4.3.5).
	LocalAddr4, LocalAddr6 netip.Addr
	// DialContext opens connections, as through a proxy. network is "tcp4",
	// "tcp6" or "unix". It has to end with ctx: one that does not can hold
	// a call. nil: a net.Dialer with the addresses above; both cannot be set.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	Timeouts    Timeouts
	// Quirks says what is special about a server, before it is dialled.
	// nil: nothing.
	Quirks func(t Target) Quirks
}

// Target is a server to dial.
type Target struct {
	Addr     string   // "host:port" or "unix:/path"
	Host     string   // its name for TLS and reports; "": the host in Addr
	Protocol Protocol // zero: SMTP
	Policy   tlspolicy.Policy
}

// Quirks are what has to be done otherwise for one server.
type Quirks struct {
	Discard []string // EHLO keywords to overlook, as "PIPELINING"; in any case of letters
	HELO    bool     // say HELO at once, and use no extension
}

// Protocol is what is spoken.
type Protocol uint8

// The protocols. Only Dialer and Session speak LMTP so far: a Client with it
// is refused as a fault of the configuration.
const (
	SMTP Protocol = iota // RFC 5321
	LMTP                 // RFC 2033
)

// String gives "smtp" or "lmtp".
func (p Protocol) String() string {
	if p == LMTP {
		return "lmtp"
	}
	return "smtp"
}
