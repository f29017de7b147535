package resolve

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/postrider/postrider/internal/ascii"
)

// The encoding of facts; numbers are big-endian:
//
//	version, flags, verdict     1 byte each
//	expires                     8 bytes, milliseconds since 1970
//	hosts, addresses            1 byte and 2 bytes: how many
//	for each host               preference, weight, port: 2 bytes each; flags;
//	                            length of name and canonical name, number of
//	                            IPv4 and IPv6 addresses: 1 byte each
//	for each host               its addresses, 4 or 16 bytes each
//	for each host               its name and its canonical name
//
// A canonical name that equals the name is only a flag.
const (
	packVersion = 1
	packHead    = 3 + 8 + 1 + 2
	packHost    = 6 + 1 + 4
)

const (
	flagSecure = 1 << iota
	flagSRV
)

// The lowest two bits of a host's flags are its state.
const (
	flagHostSecure = 4 << iota
	flagCanonical  // it is the name
)

// pack encodes facts. What it cannot take is not kept.
func (f facts) pack() ([]byte, error) {
	addrs, size := 0, packHead
	for i := range f.hosts {
		h := &f.hosts[i]
		addrs += len(h.Addrs)
		size += packHost + 16*len(h.Addrs) + len(h.Name) + len(h.Canonical)
		if len(h.Name) > 255 || len(h.Canonical) > 255 || len(h.Addrs) > 2*maxAddrs {
			return nil, errors.New("a host is too large")
		}
	}
	if len(f.hosts) > maxHosts {
		return nil, errors.New("too many hosts")
	}
	b := make([]byte, 0, size)
	b = append(b, packVersion, flag(f.secure, flagSecure)|flag(f.srv, flagSRV), byte(f.verdict))
	b = binary.BigEndian.AppendUint64(b, uint64(f.expires))
	b = append(b, byte(len(f.hosts)))
	b = binary.BigEndian.AppendUint16(b, uint16(addrs))
	for i := range f.hosts {
		b = f.hosts[i].pack(b)
	}
	for i := range f.hosts {
		for _, a := range f.hosts[i].Addrs {
			b = append(b, a.AsSlice()...)
		}
	}
	for i := range f.hosts {
		b = append(b, f.hosts[i].Name...)
		if f.hosts[i].Canonical != f.hosts[i].Name {
			b = append(b, f.hosts[i].Canonical...)
		}
	}
	return b, nil
}

func flag(set bool, f byte) byte {
	if set {
		return f
	}
	return 0
}

func (h *Host) pack(b []byte) []byte {
	same := h.Canonical == h.Name
	canonical := len(h.Canonical)
	if same {
		canonical = 0
	}
	v4 := 0
	for _, a := range h.Addrs {
		if a.Is4() {
			v4++
		}
	}
	b = binary.BigEndian.AppendUint16(b, h.Preference)
	b = binary.BigEndian.AppendUint16(b, h.weight)
	b = binary.BigEndian.AppendUint16(b, h.Port)
	flags := byte(h.state) | flag(h.Secure, flagHostSecure) | flag(same, flagCanonical)
	return append(b, flags, byte(len(h.Name)), byte(canonical), byte(v4), byte(len(h.Addrs)-v4))
}

// small is a Route of the usual size in one piece of memory, which is much
// cheaper than three.
type small struct {
	route Route
	hosts [2]Host
	addrs [4]netip.Addr
}

// unpack decodes the facts of a Route, whose names are parts of s. A cache may hand
// out anything: for what pack cannot have written there is nil.
func unpack(s string) *Route {
	if len(s) < packHead || s[0] != packVersion || verdict(s[2]) >= verdicts {
		return nil
	}
	hosts, addrs := int(s[11]), int(number(s[12:]))
	heads, rest := s[packHead:], ""
	if hosts > maxHosts || addrs > hosts*2*maxAddrs || (hosts > 0) != (s[2] == byte(hasHosts)) || len(heads) < hosts*packHost {
		return nil
	}
	heads, rest = heads[:hosts*packHost], heads[hosts*packHost:]
	r, room := newRoute(hosts, addrs)
	r.secure, r.srv, r.verdict = s[1]&flagSecure != 0, s[1]&flagSRV != 0, verdict(s[2])
	r.packed, r.hosts = s, r.all
	r.expires = int64(binary.BigEndian.Uint64([]byte(s[3:11])))
	names, ok := unpackAddrs(r.all, heads, rest, room)
	if !ok || !unpackNames(r.all, heads, names) {
		return nil
	}
	for i := range r.all {
		if !r.all[i].unpack(heads[i*packHost:]) || i > 0 && r.all[i].Preference < r.all[i-1].Preference {
			return nil
		}
	}
	return r
}

// number reads two bytes.
func number(s string) uint16 { return uint16(s[0])<<8 | uint16(s[1]) }

// newRoute gives a Route with hosts, and room for addresses.
func newRoute(hosts, addrs int) (*Route, []netip.Addr) {
	if hosts > 2 || addrs > 4 {
		return &Route{all: make([]Host, hosts)}, make([]netip.Addr, addrs)
	}
	s := new(small)
	s.route.all = s.hosts[:hosts]
	return &s.route, s.addrs[:addrs]
}

// unpackAddrs gives each host its addresses, and returns what is behind them. All
// of the room must be used.
func unpackAddrs(hosts []Host, heads, rest string, room []netip.Addr) (names string, ok bool) {
	for i := range hosts {
		v4, v6 := int(heads[i*packHost+9]), int(heads[i*packHost+10])
		n := v4 + v6
		if len(rest) < 4*v4+16*v6 || n > len(room) || n > 2*maxAddrs {
			return "", false
		}
		addrs := room[:n:n]
		room = room[n:]
		for j := range addrs[:v4] {
			addrs[j] = netip.AddrFrom4([4]byte([]byte(rest[:4])))
			rest = rest[4:]
		}
		for j := range addrs[v4:] {
			a := netip.AddrFrom16([16]byte([]byte(rest[:16])))
			if a.Is4In6() {
				return "", false
			}
			addrs[v4+j] = a
			rest = rest[16:]
		}
		hosts[i].Addrs = addrs
	}
	return rest, len(room) == 0
}

// unpackNames gives each host its names; they must be the rest, and printable.
func unpackNames(hosts []Host, heads, names string) bool {
	if !ascii.IsVisible(names) {
		return false
	}
	for i := range hosts {
		head := heads[i*packHost:]
		name, canonical := int(head[7]), int(head[8])
		if name == 0 || len(names) < name+canonical {
			return false
		}
		hosts[i].Name, hosts[i].Canonical = names[:name], names[name:name+canonical]
		names = names[name+canonical:]
	}
	return names == ""
}

// unpack reads the numbers of a host.
func (h *Host) unpack(s string) bool {
	h.Preference, h.weight, h.Port = number(s), number(s[2:]), number(s[4:])
	flags := s[6]
	h.state, h.Secure = hostState(flags&3), flags&flagHostSecure != 0
	if flags&flagCanonical != 0 {
		if h.Canonical != "" {
			return false
		}
		h.Canonical = h.Name
	}
	// Only what was looked up has addresses.
	return h.state == known || h.state <= noName && len(h.Addrs) == 0
}
