package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Errors of Routing.Route and Routes. All but the last will not go away by
// waiting: those who run the domain, or this machine, have to change something.
var (
	// ErrNotFound: there is no address to send to. The enhanced status code is
	// 5.4.4 (RFC 3463), but 5.1.2 with ErrNoDomain.
	ErrNotFound = errors.New("no address found")
	// ErrNoDomain: the domain does not exist at all. It is an ErrNotFound, too.
	ErrNoDomain = fmt.Errorf("no such domain, %w", ErrNotFound)
	// ErrNullMX: the domain says that it takes no mail (RFC 7505).
	ErrNullMX = errors.New("the domain takes no mail (null MX)")
	// ErrNoService: the domain says that it does not offer Routing.Service
	// (RFC 2782: the target of the SRV record is the root). 5.1.0, as a null MX
	// of old.
	ErrNoService = errors.New("the domain does not offer this service (SRV record without a target)")
	// ErrForbidden: there are only addresses that no other machine can have.
	ErrForbidden = errors.New("only loopback, link-local or multicast addresses, which Routing.Local would allow")
	// ErrLoop: this machine is the best host for the mail, which would come back
	// for ever. 5.4.6.
	ErrLoop = errors.New("the mail would loop back to this machine, which Routing.Self names; " +
		"deliver the mail of this domain here, or correct its MX records or Routing.Self")
	// ErrNotNow: there is no address to send to, but the mail waits: this machine
	// is a backup and no better host has an address, or Routing asks for it. 4.4.4.
	ErrNotNow = errors.New("no address to send to now")
)

// Bounds on what one domain can make us do (faults of its DNS, or malice).
const (
	maxHosts = 100 // in a Route
	maxAddrs = 30  // of a Host
)

// defaultPort is that of SMTP.
const defaultPort = 25

// Routing says how hosts are found. Zero follows RFC 5321, Section 5.1. It is
// only configuration, and safe for many goroutines.
type Routing struct {
	// Families are the address families that are looked up and used. Zero:
	// both.
	Families Families
	// Prefer is the address family to try first among hosts of equal
	// preference and among the addresses of a host. Zero, or both: neither;
	// the addresses of a host alternate.
	Prefer Families
	// Port is used where the next hop names none. Zero: that of Service, and
	// without one 25.
	Port uint16
	// Service is looked up by SRV records (RFC 2782) in place of MX records,
	// as "submission" or "submissions", where the next hop is a domain without
	// a port, or with that of the service, as example.org:submission. "": no SRV
	// lookup.
	Service string
	// MXInstead says when the MX records are used after all, as if Service were
	// not set. Zero: never. A domain that does not offer the service
	// (ErrNoService) is never asked for its MX records.
	MXInstead SRVFailure
	// Self are the names and IP addresses under which the world knows this
	// machine, against loops: a host with one of them, and all hosts that are
	// not better, are left out where the port is 25. nil: none. See Interfaces.
	Self []string
	// IgnoreMXErrors uses the domain's own addresses where its MX records cannot
	// be looked up, without DNSSEC. Mail may then go to a host that was never
	// meant to take it. Answers that DNSSEC proves to be wrong still stop mail.
	IgnoreMXErrors bool
	// DeferNoAddress lets mail wait (ErrNotNow) where none of the MX hosts has
	// an address, in place of ErrNotFound.
	DeferNoAddress bool
	// Local allows addresses that are loopback, unspecified, link-local,
	// multicast or broadcast. Without it they are dropped, so that the DNS of
	// a stranger cannot turn mail to services of this machine.
	Local bool
	// Provider names who runs a host, as "outlook.com" for all the names below
	// mail.protection.outlook.com, or is "" for others. Where all hosts of a
	// Route have the same provider it is the Site. nil: by the hosts alone. It
	// is called from many goroutines.
	Provider func(host string) string
}

// Fault tells which field cannot be used, and why; nil if all can. Route finds
// the same fault when it comes to the field.
func (o Routing) Fault() error {
	if o.Service != "" && !isService(o.Service) {
		return fmt.Errorf("Routing.Service: %s is no name of a service; write submission or submissions", quote(o.Service))
	}
	return nil
}

// Families is a set of address families.
type Families uint8

// The address families.
const (
	IPv4 Families = 1 << iota
	IPv6
)

// Route is an ordered list of hosts for one next hop. It belongs to one caller.
type Route struct {
	NextHop NextHop
	Hosts   []Host // best first; at least one has addresses, or it is a socket
	// Secure: the names of the hosts were found by validated answers, or
	// without any, since the next hop named them.
	Secure bool
	// Self: this machine is one of the hosts; it and all that are not better were
	// left out. Mail must not go to a fallback relay then.
	Self bool

	share  share   // of the families
	end    int     // of all: those behind are not tried
	routes *Routes // finds more; nil: this is all
	all    []Host  // every host in the order of this Route; Hosts are the first of them
	facts          // what is known of the next hop
}

// Host is one host of a Route.
type Host struct {
	Name       string // in A-labels, or an IP address; for ViaSocket the path
	Preference uint16 // of its MX record, or priority of its SRV record; zero if there is none
	Port       uint16 // never zero, but for ViaSocket
	weight     uint16 // of its SRV record
	state      hostState
	Secure     bool // the addresses were found by validated answers
	// Addrs are in the order in which to try them. There are none if Err is
	// set, or for ViaSocket. IPv4-mapped addresses have become IPv4.
	Addrs     []netip.Addr
	Canonical string // the name at the end of the aliases; "" where nothing was looked up
	// Err says why there are no Addrs: ErrNotFound, ErrForbidden or ErrNotNow
	// (errors.Is); any other is temporary, too.
	Err error
}

// hostState is what is known of the addresses of a host.
type hostState uint8

const (
	unknown hostState = iota // not looked up, or it failed; see Err
	known                    // looked up
	noName                   // the name does not exist
)

// Route finds the hosts for hop, with the addresses of all of them. It asks r, or
// Default() if r is nil, from several goroutines, all of which end before it
// returns. Routes does the same with a cache, and step by step.
//
// The Route is returned if at least one host has addresses; Host.Err says why
// others have none. The error is ErrNotFound, ErrNoDomain, ErrNullMX,
// ErrNoService, ErrForbidden or ErrLoop (errors.Is) if waiting will not help. Any
// other is temporary: a Resolver failed, or ctx ended. A domain that has MX
// records is never reached by its own addresses.
func (o Routing) Route(ctx context.Context, r Resolver, hop NextHop) (*Route, error) {
	return (&Routes{Routing: o, Resolver: r}).Route(ctx, hop)
}
