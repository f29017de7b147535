package resolve_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

// An answer that is kept comes back as it was, whatever bytes are in it, to another
// process too; only its TTL runs.
func FuzzCachedAnswer(f *testing.F) {
	f.Add("v=STSv1; id=1", "mx.example.net", "CNAME.example.net", []byte{192, 0, 2, 1}, uint16(3), byte(0xff))
	f.Add("\xff\x00\"\\\u2028", "", "a b", []byte{}, uint16(0), byte(0))
	f.Add("", "_25._tcp.mx.example.net", "\\000", []byte(strings.Repeat("\x20", 16)), uint16(0xffff), byte(0x0f))
	f.Fuzz(func(t *testing.T, text, host, canonical string, addr []byte, number uint16, parts byte) {
		if strings.ContainsFunc(host+canonical, func(r rune) bool { return r < ' ' || r > '~' }) {
			return // names are printable, as the answers of DNS are
		}
		answer := resolve.Answer{TTL: time.Minute, Canonical: canonical, NoName: parts&1 != 0, Secure: parts&2 != 0}
		if a, ok := netip.AddrFromSlice(addr); ok {
			answer.Addrs = []netip.Addr{a}
		}
		if parts&4 != 0 {
			answer.TXT = []string{text, ""}
		}
		if parts&8 != 0 {
			answer.MX = []resolve.MX{{Preference: number, Host: host}}
			answer.SRV = []resolve.SRV{{Priority: number, Weight: 1, Port: number, Host: host}}
		}
		if parts&16 != 0 {
			answer.TLSA = []resolve.TLSA{{Usage: byte(number), Selector: byte(number >> 8), Data: []byte(text)}}
		}
		q := resolve.Question{Name: "example.net", Type: resolve.TypeTXT}
		answer, err := resolve.Static{q: answer}.Lookup(t.Context(), q) // with the canonical name, if there was none
		if err != nil {
			t.Fatal(err)
		}
		store := &cache.Memory{}
		for range 2 { // the second one finds it in the store
			c := &resolve.Cached{Resolver: resolve.Static{q: answer}, Cache: store}
			if got, err := c.Lookup(t.Context(), q); err != nil || !sameAnswer(got, answer) {
				t.Fatalf("%+v came back as %+v, %v", answer, got, err)
			}
			answer.TTL = time.Minute
		}
		c := &resolve.Cached{Resolver: resolve.Static{}, Cache: store}
		if got, err := c.Lookup(t.Context(), q); err != nil || !sameAnswer(got, answer) {
			t.Fatalf("%+v came out of the store as %+v, %v", answer, got, err)
		}
	})
}

// sameAnswer compares without the TTL.
func sameAnswer(a, b resolve.Answer) bool {
	a.TTL, b.TTL = 0, 0
	return reflect.DeepEqual(a, b)
}
