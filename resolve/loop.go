package resolve

import (
	"net"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/address"
)

// Interfaces gives the addresses of this machine, for Routing.Self, but for the
// loopback and link-local ones. Behind a translator the world knows the machine by
// others.
func Interfaces() ([]string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var list []string
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && !isLocal(prefix.Addr()) {
			list = append(list, prefix.Addr().Unmap().String())
		}
	}
	return list, nil
}

// watchful tells whether mail to h could come back. Only servers that listen at
// the port of SMTP pass mail on to where it came from.
func (r *Route) watchful(h *Host) bool {
	s := r.routes
	if len(s.Routing.Self) == 0 || s.Configured {
		return false
	}
	port := h.Port
	if port == 0 {
		port = s.Routing.port(r.NextHop)
	}
	return port == defaultPort
}

// cutNames leaves out what Routing.Self rules out by names: a host with our name
// and all that are not better (RFC 5321, Section 5.1).
func (r *Route) cutNames() {
	if len(r.routes.Routing.Self) == 0 {
		return
	}
	for i := range r.all {
		if h := &r.all[i]; r.watchful(h) && r.isSelf(h.Name) {
			r.cut(h.Preference)
			return
		}
	}
}

// cutSelf does the same for hosts from start to end, whose addresses and aliases
// are known now. It gives the new end.
func (r *Route) cutSelf(start, end int) int {
	for i := start; i < end; i++ {
		h := &r.all[i]
		if r.watchful(h) && (r.isSelf(h.Canonical) || r.hasSelf(h.Addrs)) {
			r.cut(h.Preference)
			return min(end, r.end)
		}
	}
	return end
}

// cut ends the Route before the hosts of a preference.
func (r *Route) cut(preference uint16) {
	r.Self = true
	for i := range r.all[:r.end] {
		if r.all[i].Preference == preference {
			r.end = i
			return
		}
	}
}

func (r *Route) isSelf(name string) bool {
	for _, s := range r.routes.Routing.Self {
		if name != "" && strings.EqualFold(strings.TrimSuffix(s, "."), name) {
			return true
		}
	}
	return false
}

func (r *Route) hasSelf(addrs []netip.Addr) bool {
	for _, s := range r.routes.Routing.Self {
		own, err := netip.ParseAddr(strings.Trim(s, "[]"))
		if err != nil {
			continue // a name
		}
		for _, a := range addrs {
			if v4, ok := address.Translated(a); a == own.Unmap() || a.Is6() && ok && netip.AddrFrom4(v4) == own.Unmap() {
				return true
			}
		}
	}
	return false
}
