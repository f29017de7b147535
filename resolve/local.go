package resolve

import (
	"net/netip"
)

// isLocal tells addresses that can only mean this machine or its link, or no
// single machine, also where a translator makes one of them out of an IPv6
// address.
func isLocal(addr netip.Addr) bool {
	addr = addr.Unmap()
	if addr.Is4() {
		return isLocal4(addr.As4())
	}
	if addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() {
		return true
	}
	v4, ok := translated(addr)
	return ok && isLocal4(v4)
}

func isLocal4(a [4]byte) bool {
	switch a[0] {
	case 0, 127: // this network, loopback
		return true
	case 169:
		return a[1] == 254 // link-local
	case 255:
		return a == [4]byte{255, 255, 255, 255}
	}
	return a[0]&0xf0 == 224 // multicast
}

// translations are prefixes of IPv6 in which an IPv4 address stands, and where.
var translations = [...]struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},  // NAT64 of a network of its own, at its usual length
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // SIIT
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
}

// translated is the IPv4 address within an IPv6 address.
func translated(addr netip.Addr) (v4 [4]byte, ok bool) {
	b := addr.As16()
	if b[0] != 0 && (b[0] != 0x20 || b[1] != 0x02) || addr.IsUnspecified() || addr.IsLoopback() {
		return v4, false // no prefix begins so
	}
	for i := range translations {
		if t := &translations[i]; t.prefix.Contains(addr) {
			return [4]byte(b[t.at:]), true
		}
	}
	return v4, false
}
