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

// lookupHosts fills in the addresses of hosts, or the reason why there are none.
func (o Routing) lookupHosts(ctx context.Context, r Resolver, hosts []Host) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, hostsAtOnce)
	for i := range hosts {
		slots <- struct{}{}
		wg.Go(func() {
			o.lookupHost(ctx, r, &hosts[i])
			<-slots
		})
	}
	wg.Wait()
}

func (o Routing) lookupHost(ctx context.Context, r Resolver, h *Host) {
	if addr, err := netip.ParseAddr(h.Name); err == nil {
		o.setAddrs(h, []netip.Addr{addr})
		return
	}
	var v4, v6 Answer
	var err4, err6 error
	var wg sync.WaitGroup
	wg.Go(func() { v4, err4 = ask(ctx, r, Question{h.Name, TypeA}) })
	wg.Go(func() { v6, err6 = ask(ctx, r, Question{h.Name, TypeAAAA}) })
	wg.Wait()

	h.Canonical = cmp.Or(canonical(v4), canonical(v6), h.Name)
	// A family that failed takes nothing away from the proof of the other:
	// otherwise whoever can drop one answer could turn DANE off.
	h.Secure = (err4 == nil || err6 == nil) && (err4 != nil || v4.Secure) && (err6 != nil || v6.Secure)
	addrs := slices.Concat(v4.Addrs, v6.Addrs)
	if len(addrs) == 0 && (v4.NoName || v6.NoName) {
		h.Err = fmt.Errorf("%s: %w", h.Name, ErrNoDomain)
	} else {
		o.setAddrs(h, addrs)
	}
	if err := cmp.Or(err4, err6); h.Err != nil && err != nil {
		h.Err = fmt.Errorf("looking up %s: %w", h.Name, err) // it may have usable addresses, after all
	}
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
	for _, final := range []error{ErrNotFound, ErrNullMX, ErrForbidden} {
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

// setAddrs gives h those of addrs that may be used, in the order to try them.
func (o Routing) setAddrs(h *Host, addrs []netip.Addr) {
	var v4, v6 []netip.Addr
	forbidden := false
	for _, addr := range addrs {
		addr = addr.Unmap()
		switch {
		case !addr.IsValid():
		case !o.Local && isLocal(addr):
			forbidden = true
		case addr.Is4():
			v4 = append(v4, addr)
		default:
			v6 = append(v6, addr)
		}
	}
	h.Addrs = o.order(unique(v4), unique(v6))
	switch {
	case len(h.Addrs) > 0:
	case forbidden:
		h.Err = fmt.Errorf("%s: %w", h.Name, ErrForbidden)
	default:
		h.Err = fmt.Errorf("%s: %w", h.Name, ErrNotFound)
	}
}

// order puts the preferred family first, or else lets the families alternate.
// The addresses of a family stay in the order of the answer, as RFC 5321,
// Section 5.1 asks.
func (o Routing) order(v4, v6 []netip.Addr) []netip.Addr {
	var addrs []netip.Addr
	switch o.Prefer {
	case IPv4:
		addrs = slices.Concat(v4, v6)
	case IPv6:
		addrs = slices.Concat(v6, v4)
	default:
		if rand.IntN(2) == 0 {
			v4, v6 = v6, v4
		}
		addrs = alternate(v4, v6)
	}
	return addrs[:min(len(addrs), maxAddrs)]
}

func alternate(a, b []netip.Addr) []netip.Addr {
	mixed := make([]netip.Addr, 0, len(a)+len(b))
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			mixed = append(mixed, a[i])
		}
		if i < len(b) {
			mixed = append(mixed, b[i])
		}
	}
	return mixed
}

func unique(addrs []netip.Addr) []netip.Addr {
	seen := make(map[netip.Addr]bool, len(addrs))
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool {
		known := seen[a]
		seen[a] = true
		return known
	})
}

// preferFamily moves the hosts that have the preferred family to the front of
// those with equal preference.
func (o Routing) preferFamily(hosts []Host) {
	if o.Prefer != IPv4 && o.Prefer != IPv6 {
		return
	}
	lacks := func(h Host) int {
		if slices.ContainsFunc(h.Addrs, func(a netip.Addr) bool { return a.Is4() == (o.Prefer == IPv4) }) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(lacks(a), lacks(b)))
	})
}

// isLocal tells addresses that can only mean this machine or its link, or no
// single machine.
func isLocal(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() ||
		addr == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
