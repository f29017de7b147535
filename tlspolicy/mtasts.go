package tlspolicy

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

// MTASTS is the Source of the policies that domains publish by HTTPS (RFC 8461).
// The zero value is ready; make one with &MTASTS{}, share it, and do not copy it.
//
// A policy in mode enforce has every host be one that it names, with a
// certificate for its name from a trusted authority; other hosts are skipped, and
// mail waits. In mode testing the next Source decides, and the policy is only in
// Policy.Published, for reports. The same goes for a domain whose policy cannot be
// had or read: Published.Failure then says which. A domain that has none, or one in
// mode none, is no opinion; nor is there one about next hops that are hosts,
// addresses or sockets.
//
// A policy that was found binds for its max_age, whatever becomes of its record
// and its server; it is fetched again every day, and when its id changes. A domain
// is asked at most every 5 minutes, by one call at a time. What a domain without
// a reachable policy can cost a delivery is 20 s, once in 5 minutes.
//
// All of this is in the Cache. If that is lost, a domain counts as one that was
// never met: who can withhold its DNS answers or block its web server then has the
// mail sent as if there were no policy (RFC 8461, Section 10.2). Keep a Cache that
// outlives the process where this matters. What is in it is believed: put one that
// others can write to behind cache.Seal.
type MTASTS struct {
	// Cache keeps the policies. nil: Query.Cache.
	Cache cache.Cache
	// Roots are the authorities that are trusted for MX hosts and, if Client is
	// nil, for policy hosts. nil: those of the system.
	Roots *x509.CertPool
	// Local allows policy hosts whose addresses are loopback, link-local or
	// private. Without it they are not connected to, so that the DNS of a
	// stranger cannot turn requests to services behind a firewall.
	Local bool
	// DialContext connects to policy hosts; addr is an IP address with port 443
	// that may be used. nil: a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Client fetches policies in place of all that, as through a proxy: it then
	// has to find the policy host, and to verify its certificate. Its cookies and
	// its rules for redirects are not used. nil: no proxy, and names are looked
	// up by Query.Resolver.
	Client *http.Client

	mu      sync.Mutex
	loaders map[cache.Cache]*stsLoader // those in use
}

// Decide implements Source. The error is that the host is not one of those that
// the domain allows, or that of ctx.
func (s *MTASTS) Decide(ctx context.Context, q Query) (Policy, error) {
	// RFC 8461, Section 3.4: the policy of a smart host is that of its own
	// domain. A next hop that is no domain has none.
	if q.Route == nil || q.Route.NextHop.Kind != resolve.ViaMX || q.Message == NotRequired {
		return Policy{}, nil
	}
	domain := q.Route.NextHop.Name
	state, err := s.state(ctx, q, domain)
	if err != nil {
		return Policy{}, fmt.Errorf("MTA-STS policy of %s: %w", domain, err)
	}
	p := Policy{
		Names:      []string{q.Host.Name},
		ServerName: q.Host.Name,
		Roots:      s.Roots,
		Published:  Published{Type: "sts", Domain: domain, Lines: state.Policy.Lines, Hosts: state.Policy.MX},
	}
	var stranger error
	if !hostFits(q.Host.Name, state.Policy.MX) {
		stranger = fmt.Errorf("the MTA-STS policy of %s does not allow the host %s, only %q", domain, q.Host.Name, state.Policy.MX)
	}
	switch {
	case state.Policy.Mode == stsEnforce && stranger != nil:
		return Policy{}, &ResultError{Type: "validation-failure", Published: p.Published, Err: stranger}
	case state.Policy.Mode == stsEnforce:
		p.Level = Verify
		return p, nil
	case state.Policy.Mode == stsTesting:
		p.Level, p.floor = May, true
		if stranger != nil {
			p.Published.Failure, p.Published.Reason = "validation-failure", stranger.Error()
		}
		return p, nil
	case state.Failure != "":
		p.Level, p.floor = May, true
		p.Published.Failure, p.Published.Reason = state.Failure, state.Reason
		return p, nil
	}
	return Policy{}, nil
}
