package address

import "net/netip"

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

// Translated is the IPv4 address within an IPv6 address, where a translator makes one
// of it.
func Translated(addr netip.Addr) (v4 [4]byte, ok bool) {
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
