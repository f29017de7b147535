package resolve

import (
	"net/netip"
)

// share counts the addresses of a Route by family, to give each its share of
// those that are tried.
type share struct {
	known4, known6 uint16 // of all hosts so far
	given4, given6 uint16 // of these in Host.Addrs
	first4         bool
}

// balance leaves out addresses of the hosts from start to end, where there are
// more than Routes.Addresses and one family would have all of them. Hosts that
// lose all their addresses leave the Route. It gives the new end.
//
// The counts are those of Postfix (smtp_balance_inet_protocols), over what is
// known by now.
func (r *Route) balance(start, end int) int {
	if r.routes.Addresses <= 0 {
		return end
	}
	limit := uint16(min(r.routes.Addresses, maxHosts))
	s := &r.share
	for i := start; i < end; i++ {
		h := &r.all[i]
		if s.known4+s.known6 == 0 && len(h.Addrs) > 0 {
			s.first4 = h.Addrs[0].Is4()
		}
		v4 := countIPv4(h.Addrs)
		s.known4 += uint16(v4)
		s.known6 += uint16(len(h.Addrs) - v4)
	}
	most4, most6 := s.most(limit)
	for i := start; i < end; {
		h := &r.all[i]
		if h.Err == nil {
			h.Addrs = s.take(h.Addrs, most4, most6)
		}
		if h.Err != nil || len(h.Addrs) > 0 {
			i++
			continue
		}
		r.drop(i)
		end--
	}
	return end
}

// most is how many of each family are given.
func (s *share) most(limit uint16) (v4, v6 uint16) {
	switch {
	case s.known4+s.known6 <= limit || s.known4 == 0 || s.known6 == 0:
		return s.known4, s.known6
	case s.known6 <= limit/2:
		return limit - s.known6, s.known6
	case s.known4 <= limit/2:
		return s.known4, limit - s.known4
	case s.first4:
		v4 = (limit + 1) / 2
	default:
		v4 = limit / 2
	}
	return v4, limit - v4
}

// take keeps the first addresses of each family, up to what is left of its share.
func (s *share) take(addrs []netip.Addr, most4, most6 uint16) []netip.Addr {
	kept := addrs[:0]
	for _, a := range addrs {
		given, most := &s.given6, most6
		if a.Is4() {
			given, most = &s.given4, most4
		}
		if *given < most {
			*given++
			kept = append(kept, a)
		}
	}
	return kept
}

// drop moves a host behind the end.
func (r *Route) drop(i int) {
	h := r.all[i]
	copy(r.all[i:], r.all[i+1:])
	r.all[len(r.all)-1] = h
	r.end--
}
