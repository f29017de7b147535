package resolve

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/cache"
)

// facts are what the DNS says of a next hop, whatever a Routing makes of it: its
// hosts in the order of sorted, with all their addresses.
type facts struct {
	secure  bool // names of the hosts
	srv     bool // the hosts are those of SRV records
	weak    bool // found otherwise than the domain may have wanted: neither secure nor kept
	shared  bool // others have the hosts, too: they must not be changed
	verdict verdict
	expires int64 // in milliseconds since 1970
	hosts   []Host
	packed  string // the encoding that these were made of; "": none
}

// verdict is the answer about a domain as a whole.
type verdict uint8

const (
	hasHosts verdict = iota
	noDomain
	nullMX
	noValidHost
	noSRV
	noService
	verdicts // how many there are
)

func (v verdict) failure(hop NextHop, service string) error {
	switch v {
	case noDomain:
		return fmt.Errorf("%s: %w", hop.Name, ErrNoDomain)
	case nullMX:
		return fmt.Errorf("%s: %w", hop.Name, ErrNullMX)
	case noValidHost:
		return fmt.Errorf("%s: no MX or SRV record has a valid host name: %w", hop.Name, ErrNotFound)
	case noSRV:
		return fmt.Errorf("%s has no SRV record for %s, which Routing.Service asks for: %w", hop.Name, service, ErrNotFound)
	case noService:
		return fmt.Errorf("%s, %s: %w", hop.Name, service, ErrNoService)
	}
	return nil
}

// Bounds on the time for which facts are kept. The least saves those who publish
// zero from a lookup for each of a thousand messages, and stands for a TTL that
// is not known; what does not exist may soon be put right.
const (
	minLife         = 30 * time.Second
	maxLife         = maxTTL
	maxNegativeLife = 15 * time.Minute
)

func life(ttl time.Duration) time.Duration { return min(max(ttl, minLife), maxLife) }

func negativeLife(ttl time.Duration) time.Duration { return min(life(ttl), maxNegativeLife) }

// until is the time at which what holds for d from now on ends.
func until(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() }

// life is how long the facts hold.
func (f *facts) life() cache.Life {
	return cache.Life{Fresh: time.Until(time.UnixMilli(f.expires))}
}

// negative are the facts where there are no hosts.
func negative(v verdict, a Answer) facts {
	return facts{secure: a.Secure, verdict: v, expires: until(negativeLife(a.TTL))}
}

// own gives the hosts to somebody who changes them.
func (f facts) own() []Host {
	if !f.shared {
		return f.hosts
	}
	hosts := slices.Clone(f.hosts)
	for i := range hosts {
		hosts[i].Addrs = slices.Clone(hosts[i].Addrs)
	}
	return hosts
}

// with gives facts that also have the addresses of the hosts that were found.
//
// It is said of each found host how long its addresses hold.
func (f facts) with(found []*Host, ttls []time.Duration) facts {
	if f.packed != "" {
		f = unpack(f.packed).facts // our own hosts were changed since
		f.packed = ""
	} else {
		f.hosts = f.own()
	}
	for n, h := range found {
		i := slices.IndexFunc(f.hosts, func(o Host) bool { return o.Name == h.Name && o.Port == h.Port && o.Preference == h.Preference })
		if i < 0 || h.state == unknown {
			continue
		}
		f.hosts[i] = *h
		f.hosts[i].Addrs = slices.Clone(h.Addrs)
		f.expires = min(f.expires, until(h.life(ttls[n])))
	}
	return f
}

func (f facts) anyKnown() bool {
	return slices.ContainsFunc(f.hosts, func(h Host) bool { return h.state != unknown })
}

// life is how long the addresses of h hold. Where one family could not be looked
// up, Err says so: it is asked for again soon.
func (h *Host) life(ttl time.Duration) time.Duration {
	switch {
	case h.Err != nil:
		return minLife
	case len(h.Addrs) == 0:
		return negativeLife(ttl)
	}
	return life(ttl)
}

// encodeRoute and decodeRoute are for the Loader. They look at the facts only.
func encodeRoute(r *Route) ([]byte, error) { return r.pack() }

func decodeRoute(s string) (*Route, error) {
	r := unpack(s)
	if r == nil {
		return nil, errors.New("the entry is no list of hosts")
	}
	return r, nil
}
