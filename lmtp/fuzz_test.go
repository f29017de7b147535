package lmtp_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/resolve"
)

// FuzzParseServer: what is taken has a host and a port other than 25, or is a socket,
// and means the same when it is written out.
func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"unix:/run/lmtp", "inet:store.example.org", "[2001:db8::1]:24", "store:25", "b\u00fccher.example:lmtp", "unix:", "inet:[192.0.2.1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hop, err := lmtp.ParseServer(s)
		if err != nil {
			return
		}
		if hop.Kind != resolve.ViaSocket && (hop.Port == 0 || hop.Port == 25 || hop.Kind != resolve.ViaHost) || hop.Name == "" || strings.ContainsAny(hop.Name, "\r\n\x00") {
			t.Errorf("%q is %+v", s, hop)
		}
		if again, err := lmtp.ParseServer(hop.String()); err != nil || again != hop {
			t.Errorf("%q is %+v, written as %q that is %+v, %v", s, hop, hop, again, err)
		}
	})
}
