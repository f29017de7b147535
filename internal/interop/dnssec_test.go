package interop

import (
	"errors"
	"testing"

	"github.com/postrider/postrider/resolve"
)

// signedUnbound starts a validating resolver with these zones for the length of
// a test.
func signedUnbound(t *testing.T, c ValidatingConfig) *ValidatingUnbound {
	t.Helper()
	u, err := StartSignedUnbound(c)
	present(t, err)
	t.Cleanup(u.Stop)
	return u
}

// dnssecZones has the same records in every state.
func dnssecZones() []SignedZone {
	const text = `@ MX 10 mx
mx A 127.0.0.1
null MX 0 .
alias CNAME mx
nothing TXT "no MX, no address"
_25._tcp.mx TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
*.wild A 127.0.0.1
`
	return []SignedZone{
		{Name: "signed.test", Text: text + "weak CNAME mx.insecure.test.\n"},
		{Name: "_tcp.tlsa.signed.test", Text: "_25 TLSA 3 1 1 00\n", State: Bogus},
		{Name: "insecure.test", Text: text + "strong CNAME mx.signed.test.\n", State: Insecure},
		{Name: "bogus.test", Text: text, State: Bogus},
		{Name: "lame.test", State: Lame},
	}
}

// sources are a resolver that has the zones itself, and one that asks knot for
// them.
func sources(t *testing.T) map[string]ValidatingConfig {
	k, err := StartKnot(dnssecZones())
	present(t, err)
	t.Cleanup(k.Stop)
	return map[string]ValidatingConfig{"unbound": {Zones: dnssecZones()}, "knot": {Authority: k}}
}

// What unbound has validated is Secure, whatever kind of answer it is; an alias is
// worth as much as the weaker of its ends.
func TestDNSSECSecureAnswers(t *testing.T) {
	for name, c := range sources(t) {
		t.Run(name, func(t *testing.T) { checkSecure(t, signedUnbound(t, c)) })
	}
}

func checkSecure(t *testing.T, u *ValidatingUnbound) {
	r := &resolve.DNS{Servers: []string{u.Addr}}
	for _, tt := range []struct {
		name    string
		typ     resolve.Type
		records int
	}{
		{"", resolve.TypeMX, 1},
		{"mx.", resolve.TypeA, 1},
		{"mx.", resolve.TypeAAAA, 0},
		{"null.", resolve.TypeMX, 1},
		{"alias.", resolve.TypeA, 1},
		{"alias.", resolve.TypeCNAME, 0},
		{"_25._tcp.mx.", resolve.TypeTLSA, 1},
		{"x.wild.", resolve.TypeA, 1},
		{"nothing.", resolve.TypeMX, 0},
		{"missing.", resolve.TypeMX, 0},
	} {
		for zone, secure := range map[string]bool{"signed.test": true, "insecure.test": false} {
			q := resolve.Question{Name: tt.name + zone, Type: tt.typ}
			got, err := r.Lookup(t.Context(), q)
			if n := len(got.MX) + len(got.Addrs) + len(got.TLSA); err != nil || got.Secure != secure || n != tt.records {
				t.Errorf("%v: Secure %v, %d records, %v; want %v, %d", q, got.Secure, n, err, secure, tt.records)
			}
		}
	}
	for _, name := range []string{"weak.signed.test", "strong.insecure.test"} {
		got, err := r.Lookup(t.Context(), resolve.Question{Name: name, Type: resolve.TypeA})
		if err != nil || len(got.Addrs) != 1 || got.Secure {
			t.Errorf("%s: got %+v, %v, want an address that is not Secure", name, got, err)
		}
	}
}

// Wrong signatures and servers that are down are errors, and are told apart.
func TestDNSSECErrors(t *testing.T) {
	for name, c := range sources(t) {
		t.Run(name, func(t *testing.T) { checkErrors(t, signedUnbound(t, c)) })
	}
}

func checkErrors(t *testing.T, u *ValidatingUnbound) {
	r := &resolve.DNS{Servers: []string{u.Addr}}
	for _, tt := range []struct {
		name string
		typ  resolve.Type
		want resolve.ErrorKind
	}{
		{"bogus.test", resolve.TypeMX, resolve.Bogus},
		{"missing.bogus.test", resolve.TypeMX, resolve.Bogus},
		{"_25._tcp.tlsa.signed.test", resolve.TypeTLSA, resolve.Bogus},
		{"lame.test", resolve.TypeMX, resolve.ServFail},
	} {
		got, err := r.Lookup(t.Context(), resolve.Question{Name: tt.name, Type: tt.typ})
		var e *resolve.Error
		if !errors.As(err, &e) || e.Kind != tt.want {
			t.Errorf("%s %v: got %+v, %v, want an error of kind %v", tt.name, tt.typ, got, err, tt.want)
		}
	}
}
