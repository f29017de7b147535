package resolve

import (
	"net/netip"

	"github.com/postrider/postrider/internal/address"
)

// isLocal tells addresses that can only mean this machine or its link, or no
// single machine, also where a translator makes one of them out of an IPv6
// address.
func isLocal(addr netip.Addr) bool {
	if addr.Is4() {
		return isLocal4(addr.As4())
	}
	if b := addr.As16(); b[0]>>5 == 1 && (b[0] != 0x20 || b[1] != 0x02) {
		return false // what the world uses, 2000::/3, but for 6to4
	}
	if addr.Is4In6() {
		return isLocal4(addr.Unmap().As4())
	}
	if addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() {
		return true
	}
	v4, ok := address.Translated(addr)
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
