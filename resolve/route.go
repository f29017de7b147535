package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/address"
)

// Errors of Routing.Route that will not go away by waiting. Those who run the
// domain have to change something.
var (
	// ErrNotFound: there is no address to send to. The enhanced status code is
	// 5.4.4 (RFC 3463), but 5.1.2 with ErrNoDomain.
	ErrNotFound = errors.New("no address found")
	// ErrNoDomain: the domain does not exist at all. It is an ErrNotFound, too.
	ErrNoDomain = fmt.Errorf("no such domain, %w", ErrNotFound)
	// ErrNullMX: the domain says that it takes no mail (RFC 7505).
	ErrNullMX = errors.New("the domain takes no mail (null MX)")
	// ErrForbidden: there are only addresses that no other machine can have.
	ErrForbidden = errors.New("only loopback, link-local or multicast addresses, which Routing.Local would allow")
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
	// Prefer is the address family to try first among hosts of equal
	// preference and among the addresses of a host. Zero, or both: neither;
	// the addresses of a host alternate.
	Prefer Families
	// Port is used where the next hop names none. Zero: 25.
	Port uint16
	// Local allows addresses that are loopback, unspecified, link-local,
	// multicast or broadcast. Without it they are dropped, so that the DNS of
	// a stranger cannot turn mail to services of this machine.
	Local bool
}

// Families is a set of address families.
type Families uint8

// The address families.
const (
	IPv4 Families = 1 << iota
	IPv6
)

// Route is an ordered list of hosts for one next hop.
type Route struct {
	NextHop NextHop
	Hosts   []Host // best first; at least one has addresses, or it is a socket
	// Secure: the names of the hosts were found by validated answers, or
	// without any, since the next hop named them.
	Secure bool
}

// Host is one host of a Route.
type Host struct {
	Name       string // in A-labels, or an IP address; for ViaSocket the path
	Preference uint16 // of its MX record; zero if there is none
	Port       uint16 // never zero, but for ViaSocket
	// Addrs are in the order in which to try them. There are none if Err is
	// set, or for ViaSocket. IPv4-mapped addresses have become IPv4.
	Addrs     []netip.Addr
	Canonical string // the name at the end of the aliases; "" where nothing was looked up
	Secure    bool   // the addresses were found by validated answers
	// Err says why there are no Addrs: ErrNotFound or ErrForbidden (errors.Is);
	// any other is temporary.
	Err error
}

// Route finds the hosts for hop, with their addresses. It asks r, or a zero DNS
// if r is nil, from several goroutines, all of which end before it returns.
//
// The Route is returned if at least one host has addresses; Host.Err says why
// others have none. The error is ErrNotFound, ErrNoDomain, ErrNullMX or
// ErrForbidden (errors.Is) if waiting will not help. Any other is temporary: a
// Resolver failed, or ctx ended. A domain that has MX records is never reached
// by its own addresses.
func (o Routing) Route(ctx context.Context, r Resolver, hop NextHop) (*Route, error) {
	if hop.Name == "" {
		return nil, errors.New("the next hop has no name; make it with ParseNextHop")
	}
	if r == nil {
		r = &DNS{}
	}
	route := &Route{NextHop: hop, Secure: true}
	switch hop.Kind {
	case ViaSocket:
		route.Hosts = []Host{{Name: hop.Name}}
		return route, nil
	case ViaHost:
		route.Hosts = []Host{{Name: hop.Name}}
	default:
		if err := route.lookupMX(ctx, r); err != nil {
			return nil, err
		}
	}
	o.lookupHosts(ctx, r, route.Hosts)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("looking up %s: %w", hop.Name, err)
	}
	if err := route.failure(); err != nil {
		return nil, err
	}
	o.setPorts(route)
	o.preferFamily(route.Hosts)
	return route, nil
}

// lookupMX finds the names of the hosts (RFC 5321, Section 5.1).
func (r *Route) lookupMX(ctx context.Context, resolver Resolver) error {
	domain := r.NextHop.Name
	answer, err := ask(ctx, resolver, Question{domain, TypeMX})
	switch {
	case err != nil:
		// Also for SERVFAIL and REFUSED: there may be MX records, so the
		// domain's own addresses must not be used.
		return fmt.Errorf("looking up the MX records of %s: %w", domain, err)
	case answer.NoName:
		return fmt.Errorf("%s: %w", domain, ErrNoDomain)
	}
	r.Secure = answer.Secure
	if len(answer.MX) == 0 {
		r.Hosts = []Host{{Name: domain}} // the implicit MX
		return nil
	}
	r.Hosts, err = sortMX(answer.MX)
	if err != nil {
		return fmt.Errorf("%s: %w", domain, err)
	}
	return nil
}

// sortMX makes hosts of MX records: best first, those of equal preference in
// random order, each only once.
func sortMX(records []MX) ([]Host, error) {
	var hosts []Host
	null := false
	for _, mx := range records {
		if mx.Host == "" || mx.Host == "." {
			null = true
			continue
		}
		if name, ok := mxName(mx.Host); ok {
			hosts = append(hosts, Host{Name: name, Preference: mx.Preference})
		}
	}
	switch {
	case len(hosts) > 0:
		// A null MX beside others breaks RFC 7505; the others count.
	case null && !slices.ContainsFunc(records, func(mx MX) bool { return mx.Host != "" && mx.Host != "." }):
		return nil, ErrNullMX
	default:
		return nil, fmt.Errorf("no MX record has a valid host name: %w", ErrNotFound)
	}
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	slices.SortStableFunc(hosts, func(a, b Host) int { return cmp.Compare(a.Preference, b.Preference) })
	hosts = uniqueHosts(hosts)
	return hosts[:min(len(hosts), maxHosts)], nil
}

// mxName takes names of hosts, and addresses: an MX record must not have them,
// but mail gets through to those who wrote one.
func mxName(s string) (name string, ok bool) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(s, ".")); err == nil {
		return addr.WithZone("").Unmap().String(), true
	}
	name, err := address.Domain(s)
	return name, err == nil
}

// uniqueHosts keeps the first, and so the best, of those with the same name.
func uniqueHosts(hosts []Host) []Host {
	seen := make(map[string]bool, len(hosts))
	return slices.DeleteFunc(hosts, func(h Host) bool {
		known := seen[h.Name]
		seen[h.Name] = true
		return known
	})
}

// failure tells why no host has an address; nil if one has.
func (r *Route) failure() error {
	var worst error
	for _, h := range r.Hosts {
		if h.Err == nil {
			return nil
		}
		if worst == nil || severity(h.Err) > severity(worst) {
			worst = h.Err
		}
	}
	if len(r.Hosts) == 1 && r.Hosts[0].Name == r.NextHop.Name {
		return worst
	}
	if errors.Is(worst, ErrNoDomain) {
		// The hosts do not exist, but the domain does.
		return fmt.Errorf("none of the MX hosts of %s exists: %w", r.NextHop.Name, ErrNotFound)
	}
	return fmt.Errorf("no MX host of %s can be used: %w", r.NextHop.Name, worst)
}

// severity orders the reasons for having no address: as long as one host may get
// one, mail waits.
func severity(err error) int {
	switch {
	case errors.Is(err, ErrNoDomain):
		return 0
	case errors.Is(err, ErrNotFound):
		return 1
	case errors.Is(err, ErrForbidden):
		return 2
	}
	return 3
}

func (o Routing) setPorts(r *Route) {
	port := cmp.Or(r.NextHop.Port, o.Port, defaultPort)
	for i := range r.Hosts {
		r.Hosts[i].Port = port
	}
}
