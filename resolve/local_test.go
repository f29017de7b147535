package resolve

import (
	"net/netip"
	"testing"
)

// Addresses come here unmapped. One that did not is judged all the same.
func TestIsLocalMapped(t *testing.T) {
	for addr, want := range map[string]bool{
		"::ffff:0.0.0.0": true, "::ffff:0.1.2.3": true, "::ffff:255.255.255.255": true, "::ffff:127.0.0.1": true, "::ffff:192.0.2.1": false,
	} {
		if got := isLocal(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}
