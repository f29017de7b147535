package resolve

import (
	"net/netip"
)

// isLocal tells addresses that can only mean this machine or its link, or no
// single machine, also where a translator makes one of them out of an IPv6
// address.
func isLocal(addr netip.Addr) bool {
	addr = addr.Unmap()
	if v4, ok := translated(addr); ok && isLocal(v4) {
		return true
	}
	return addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() ||
		addr.Is4() && (addr.As4()[0] == 0 || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}))
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
func translated(addr netip.Addr) (v4 netip.Addr, ok bool) {
	if !addr.Is6() || addr == netip.IPv6Unspecified() || addr == netip.IPv6LinkLocalAllNodes() {
		return netip.Addr{}, false
	}
	for _, t := range translations {
		if t.prefix.Contains(addr) {
			b := addr.As16()
			return netip.AddrFrom4([4]byte(b[t.at:])), true
		}
	}
	return netip.Addr{}, false
}
