package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
)

// hostsAtOnce bounds the hosts that are looked up at the same time, each with
// two questions.
const hostsAtOnce = 8

// families are those that are looked up.
func (o Routing) families() Families {
	if f := o.Families & (IPv4 | IPv6); f != 0 {
		return f
	}
	return IPv4 | IPv6
}

// lookupHosts finds the addresses of hosts, whatever they are worth, or the
// reason why there are none.
func (o Routing) lookupHosts(ctx context.Context, r Resolver, hosts []*Host) {
	if len(hosts) == 1 {
		o.lookupHost(ctx, r, hosts[0])
		return
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, hostsAtOnce)
	for _, h := range hosts {
		slots <- struct{}{}
		wg.Go(func() {
			o.lookupHost(ctx, r, h)
			<-slots
		})
	}
	wg.Wait()
}

func (o Routing) lookupHost(ctx context.Context, r Resolver, h *Host) {
	if addr, err := netip.ParseAddr(h.Name); err == nil {
		h.Addrs, h.known, h.ttl = []netip.Addr{addr.Unmap()}, true, maxLife
		return
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
	h.Addrs = append(usable(v4.Addrs), usable(v6.Addrs)...)
	h.ttl = min(v4.TTL, v6.TTL)
	h.noName = len(h.Addrs) == 0 && (v4.NoName || v6.NoName)
	h.Err = cmp.Or(err4, err6)
	h.known = h.Err == nil || len(h.Addrs) > 0
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

// usable are the addresses of an answer, each once, and not too many.
func usable(addrs []netip.Addr) []netip.Addr {
	var list []netip.Addr
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if a.IsValid() && !slices.Contains(list, a) {
			list = append(list, a)
		}
		if len(list) == maxAddrs {
			break
		}
	}
	return list
}

// settle makes of a host that was looked up what the caller gets: its port, those
// of its addresses that may be used, in the order to try them, or Err.
func (r *Route) settle(h *Host) {
	if h.Port == 0 {
		h.Port = r.routes.Routing.port(r.NextHop)
	}
	failed := h.Err
	h.Err = nil
	switch {
	case h.noName:
		h.Err = fmt.Errorf("%s: %w", h.Name, ErrNoDomain)
	default:
		r.routes.setAddrs(h)
	}
	if h.Err != nil && failed != nil {
		h.Err = fmt.Errorf("looking up %s: %w", h.Name, failed) // it may have usable addresses, after all
	}
}

func (o Routing) port(hop NextHop) uint16 {
	return cmp.Or(hop.Port, o.Port, servicePorts[o.Service], defaultPort)
}

// setAddrs leaves h those of its addresses that may be used.
func (s *Routes) setAddrs(h *Host) {
	forbidden, excluded := false, false
	h.Addrs = slices.DeleteFunc(h.Addrs, func(a netip.Addr) bool {
		switch {
		case a.Is4() && s.Routing.families()&IPv4 == 0, a.Is6() && s.Routing.families()&IPv6 == 0:
			excluded = true
			return true
		case !s.Routing.Local && !s.Configured && isLocal(a):
			forbidden = true
			return true
		}
		return false
	})
	switch {
	case len(h.Addrs) > 0:
		h.Addrs = s.Routing.order(h.Addrs)
		return
	case forbidden:
		h.Err = fmt.Errorf("%s: %w", h.Name, ErrForbidden)
	case excluded:
		h.Err = fmt.Errorf("%s is an address of a family that Routing.Families leaves out: %w", h.Name, ErrNotNow)
	default:
		h.Err = fmt.Errorf("%s: %w", h.Name, ErrNotFound)
	}
	h.Addrs = nil
}

// order puts the preferred family first, or else lets the families alternate.
// The addresses of a family stay in the order of the answer, as RFC 5321,
// Section 5.1 asks. It gives addrs, in which those of IPv4 come first.
func (o Routing) order(addrs []netip.Addr) []netip.Addr {
	var room [8]netip.Addr
	copied := append(room[:0], addrs...)
	v4 := copied[:countIPv4(copied)]
	v6 := copied[len(v4):]
	ordered := addrs[:0]
	switch o.Prefer {
	case IPv4:
		ordered = addrs
	case IPv6:
		ordered = append(append(ordered, v6...), v4...)
	default:
		if rand.IntN(2) == 0 {
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
	if prefer != IPv4 && prefer != IPv6 || r.facts.srv {
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
