package resolve

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
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

const (
	flagKnown = 1 << iota
	flagHostSecure
	flagNoName
	flagCanonical // it is the name
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
	b = binary.BigEndian.AppendUint64(b, uint64(f.expires.UnixMilli()))
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
	flags := flag(h.known, flagKnown) | flag(h.Secure, flagHostSecure) | flag(h.noName, flagNoName) | flag(same, flagCanonical)
	return append(b, flags, byte(len(h.Name)), byte(canonical), byte(v4), byte(len(h.Addrs)-v4))
}

// unpack decodes facts. A cache may hand out anything: what pack cannot have
// written is refused.
func unpack(b []byte) (facts, bool) {
	if len(b) < packHead || b[0] != packVersion || verdict(b[2]) >= verdicts {
		return facts{}, false
	}
	f := facts{secure: b[1]&flagSecure != 0, srv: b[1]&flagSRV != 0, verdict: verdict(b[2]), packed: b,
		expires: time.UnixMilli(int64(binary.BigEndian.Uint64(b[3:])))}
	hosts, addrs := int(b[11]), int(binary.BigEndian.Uint16(b[12:]))
	rest := b[packHead:]
	if hosts > maxHosts || addrs > hosts*2*maxAddrs || (hosts > 0) != (f.verdict == hasHosts) || len(rest) < hosts*packHost {
		return facts{}, false
	}
	f.hosts = make([]Host, hosts)
	names, ok := unpackAddrs(f.hosts, addrs, rest)
	if !ok || !unpackNames(f.hosts, rest[:hosts*packHost], names) {
		return facts{}, false
	}
	for i := range f.hosts {
		if !f.hosts[i].unpack(rest[i*packHost:]) || i > 0 && f.hosts[i].Preference < f.hosts[i-1].Preference {
			return facts{}, false
		}
	}
	return f, true
}

// unpackAddrs gives each host its addresses, and returns the bytes behind them.
func unpackAddrs(hosts []Host, n int, b []byte) (rest []byte, ok bool) {
	all := make([]netip.Addr, 0, n)
	rest = b[len(hosts)*packHost:]
	for i := range hosts {
		start := len(all)
		v4, v6 := int(b[i*packHost+9]), int(b[i*packHost+10])
		if len(rest) < 4*v4+16*v6 || start+v4+v6 > n || v4+v6 > 2*maxAddrs {
			return nil, false
		}
		for range v4 {
			all = append(all, netip.AddrFrom4([4]byte(rest)))
			rest = rest[4:]
		}
		for range v6 {
			a := netip.AddrFrom16([16]byte(rest))
			if a.Is4In6() {
				return nil, false
			}
			all = append(all, a)
			rest = rest[16:]
		}
		hosts[i].Addrs = all[start:len(all):len(all)]
	}
	return rest, len(all) == n
}

// unpackNames gives each host its names; they must be the rest, and printable.
func unpackNames(hosts []Host, heads, b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	names := string(b)
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
func (h *Host) unpack(b []byte) bool {
	h.Preference = binary.BigEndian.Uint16(b)
	h.weight = binary.BigEndian.Uint16(b[2:])
	h.Port = binary.BigEndian.Uint16(b[4:])
	flags := b[6]
	h.known, h.Secure, h.noName = flags&flagKnown != 0, flags&flagHostSecure != 0, flags&flagNoName != 0
	if flags&flagCanonical != 0 {
		if h.Canonical != "" {
			return false
		}
		h.Canonical = h.Name
	}
	// Only what was looked up has addresses, and a name that does not exist has none.
	return (h.known || len(h.Addrs) == 0) && (!h.noName || len(h.Addrs) == 0)
}
