package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// hostsAtOnce bounds the hosts that are looked up at the same time, each with
// two questions.
const hostsAtOnce = 8

// families are those that are looked up.
func (o *Routing) families() Families {
	if f := o.Families & (IPv4 | IPv6); f != 0 {
		return f
	}
	return IPv4 | IPv6
}

// lookupHosts finds the addresses of hosts, whatever they are worth, or the
// reason why there are none. It tells how long the addresses of each hold.
func (o *Routing) lookupHosts(ctx context.Context, r Resolver, hosts []*Host) []time.Duration {
	ttls := make([]time.Duration, len(hosts))
	if len(hosts) == 1 {
		ttls[0] = o.lookupHost(ctx, r, hosts[0])
		return ttls
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, hostsAtOnce)
	for i, h := range hosts {
		slots <- struct{}{}
		wg.Go(func() {
			ttls[i] = o.lookupHost(ctx, r, h)
			<-slots
		})
	}
	wg.Wait()
	return ttls
}

func (o *Routing) lookupHost(ctx context.Context, r Resolver, h *Host) (ttl time.Duration) {
	if addr, ok := parseAddr(h.Name); ok {
		h.Addrs, h.state = []netip.Addr{addr.Unmap()}, known
		return maxLife
	}
	// A family that is not asked for is as one without records.
	v4, v6 := Answer{Secure: true, TTL: maxTTL}, Answer{Secure: true, TTL: maxTTL}
	var err4, err6 error
	var wg sync.WaitGroup
	if o.families()&IPv4 != 0 {
		wg.Go(func() { v4, err4 = ask(ctx, r, Question{h.Name, TypeA}) })
	}
	if o.families()&IPv6 != 0 {
		wg.Go(func() { v6, err6 = ask(ctx, r, Question{h.Name, TypeAAAA}) })
	}
	wg.Wait()

	h.Canonical = cmp.Or(canonical(v4), canonical(v6), h.Name)
	// A family that failed takes nothing away from the proof of the other:
	// otherwise whoever can drop one answer could turn DANE off.
	h.Secure = (err4 == nil || err6 == nil) && (err4 != nil || v4.Secure) && (err6 != nil || v6.Secure)
	h.Addrs = append(usable(IPv4, v4, v6), usable(IPv6, v4, v6)...)
	h.Err = cmp.Or(err4, err6)
	switch {
	case len(h.Addrs) > 0:
		h.state = known
	case h.Err != nil:
		h.state = unknown
	case v4.NoName || v6.NoName:
		h.state = noName
	default:
		h.state = known
	}
	return min(v4.TTL, v6.TTL)
}

// ask is r.Lookup for a Resolver that is somebody else's: a panic in one of our
// goroutines would end the program, and an error that wraps one of Route's, as
// ErrNotFound, would let mail bounce (Resolver, rule 4).
func ask(ctx context.Context, r Resolver, q Question) (a Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the Resolver, asked for %s %v: %v", quote(q.Name), q.Type, p)
		}
	}()
	a, err = r.Lookup(ctx, q)
	for _, final := range []error{ErrNotFound, ErrNullMX, ErrNoService, ErrForbidden, ErrLoop, ErrNotNow} {
		if errors.Is(err, final) {
			return Answer{}, fmt.Errorf("the Resolver failed for %s %v: %v", quote(q.Name), q.Type, err)
		}
	}
	return a, err
}

// canonical is the name under which an answer has addresses.
func canonical(a Answer) string {
	if len(a.Addrs) == 0 {
		return ""
	}
	return a.Canonical
}

// usable are the addresses of a family, each once, and not too many. An answer for
// IPv6 may have those of IPv4, too, as IPv4-mapped ones.
func usable(family Families, answers ...Answer) []netip.Addr {
	var list []netip.Addr
	for _, answer := range answers {
		for _, a := range answer.Addrs {
			a = a.Unmap().WithZone("")
			if len(list) < maxAddrs && a.IsValid() && familyOf(a) == family && !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

// settle makes of a host that was looked up what the caller gets: its port, those
// of its addresses that may be used, in the order to try them, or Err.
func (r *Route) settle(h *Host, coin uint64) {
	if h.Port == 0 {
		h.Port = r.routes.Routing.port(r.NextHop)
	}
	failed := h.Err
	switch h.Err = r.routes.choose(h); {
	case h.Err == nil:
		h.Addrs = r.routes.Routing.order(h.Addrs, coin)
	case failed != nil: // there may be usable addresses, after all
		h.Addrs, h.Err = nil, fmt.Errorf("looking up %s: %w", h.Name, failed)
	default:
		h.Addrs, h.Err = nil, fmt.Errorf("%s: %w", h.Name, h.Err)
	}
}

func (o *Routing) port(hop NextHop) uint16 {
	switch {
	case hop.Port != 0:
		return hop.Port
	case o.Port != 0:
		return o.Port
	case o.Service != "":
		return cmp.Or(servicePorts[strings.ToLower(o.Service)], defaultPort)
	}
	return defaultPort
}

// choose leaves h those of its addresses that may be used, or tells why there are
// none.
func (s *Routes) choose(h *Host) error {
	families, local := s.Routing.families(), s.Routing.Local || s.Configured
	forbidden, excluded := false, false
	kept := 0
	for _, a := range h.Addrs {
		switch {
		case families&familyOf(a) == 0:
			excluded = true
			continue
		case !local && isLocal(a):
			forbidden = true
			continue
		}
		if excluded || forbidden {
			h.Addrs[kept] = a
		}
		kept++
	}
	h.Addrs = h.Addrs[:kept]
	switch {
	case kept > 0:
		return nil
	case h.state == noName:
		return ErrNoDomain
	case forbidden:
		return ErrForbidden
	case excluded:
		return fmt.Errorf("an address of a family that Routing.Families leaves out: %w", ErrNotNow)
	}
	return ErrNotFound
}

func familyOf(a netip.Addr) Families {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// order puts the preferred family first, or else lets the families alternate,
// which begins with IPv6 if the coin is 0.
// The addresses of a family stay in the order of the answer, as RFC 5321,
// Section 5.1 asks. It gives addrs, in which those of IPv4 come first.
func (o *Routing) order(addrs []netip.Addr, coin uint64) []netip.Addr {
	switch {
	case o.Prefer == IPv4 || len(addrs) == 1:
		return addrs[:min(len(addrs), maxAddrs)]
	case len(addrs) == 2 && addrs[0].Is4() && addrs[1].Is6(): // the most usual host
		if o.Prefer == IPv6 || coin == 0 {
			addrs[0], addrs[1] = addrs[1], addrs[0]
		}
		return addrs
	}
	var room [8]netip.Addr
	copied := append(room[:0], addrs...)
	v4 := copied[:countIPv4(copied)]
	v6 := copied[len(v4):]
	ordered := addrs[:0]
	if o.Prefer == IPv6 {
		ordered = append(append(ordered, v6...), v4...)
	} else {
		if coin == 0 {
			v4, v6 = v6, v4
		}
		for i := range max(len(v4), len(v6)) {
			if i < len(v4) {
				ordered = append(ordered, v4[i])
			}
			if i < len(v6) {
				ordered = append(ordered, v6[i])
			}
		}
	}
	return ordered[:min(len(ordered), maxAddrs)]
}

func countIPv4(addrs []netip.Addr) int {
	n := 0
	for _, a := range addrs {
		if a.Is4() {
			n++
		}
	}
	return n
}

// preferFamily moves those of hosts of equal preference that have the preferred
// family to the front. The weights of SRV records go before that.
func (r *Route) preferFamily(hosts []Host) {
	prefer := r.routes.Routing.Prefer
	if prefer != IPv4 && prefer != IPv6 || r.srv {
		return
	}
	lacks := func(h Host) int {
		if slices.ContainsFunc(h.Addrs, func(a netip.Addr) bool { return a.Is4() == (prefer == IPv4) }) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(hosts, func(a, b Host) int { return cmp.Compare(lacks(a), lacks(b)) })
}
