package resolve

import (
	"net"
	"testing"
)

// FuzzParseServer: a name server that is taken can be dialled as far as its form goes,
// and means the same when it is written out.
func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"192.0.2.53", "tcp://[2001:db8::53]:5353", "tls://192.0.2.53#dns.example.net", "tls://dns.example.net", "udp://x", "::1", "[::1]", "a:b:c", "tls://#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseServer(text)
		if err != nil {
			return
		}
		host, port, err := net.SplitHostPort(s.addr)
		if err != nil || host == "" {
			t.Errorf("%q is at %q: %v", text, s.addr, err)
		}
		if s.network != "udp" && s.network != "tcp" && s.network != "tls" || s.name == "" {
			t.Errorf("%q is %+v", text, s)
		}
		again, err := parseServer(s.text)
		if again.name = s.name; err != nil || again != s {
			t.Errorf("%q is %+v at port %s, written as %q that is %+v, %v", text, s, port, s.text, again, err)
		}
	})
}
