package tlspolicy

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/address"
)

// A name of a certificate fits a pattern, and a host one of MTA-STS, exactly where a
// slow reading of the labels says so; and never where crypto/x509 says no.
func FuzzNames(f *testing.F) {
	for _, s := range [][2]string{
		{"mx.example.net", "mx.example.net"}, {"MX.Example.net", "mx.example.NET"}, {"*.example.net", "mx.example.net"}, {"*.example.net", "a.mx.example.net"},
		{"*.example.net", "example.net"}, {"mx*.example.net", "mx.example.net"}, {"*.*.net", "mx.example.net"}, {"*", "net"}, {"*.", "net"}, {"*.net", ".net"},
		{"a.mx.example.net", ".example.net"}, {"*.example.net", ".example.net"}, {"anexample.net", ".example.net"}, {"example.net", ".example.net"},
		{"mx.example.net.", "mx.example.net"}, {"mx.example.net", "mx.example.net."}, {"mx.example.net\x00.example.org", "mx.example.net"}, {"", ""}, {"", "."},
		{"192.0.2.1", "192.0.2.1"}, {"xn--bcher-kva.example", "b\u00fccher.example"}, {"*.xn--bcher-kva.example", ".b\u00fccher.example"},
		{"*.example.net", "*.example.net"}, {"a.example.net", "*.example.net"}, {"_25.example.net", "_25.example.net"}, {"a..b", "a..b"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, name, pattern string) {
		if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
			return // crypto/x509 reads no such names from certificates
		}
		cert := &x509.Certificate{DNSNames: []string{name}}
		got := matches(cert, pattern)
		if want := fitsSlowly(name, pattern); got != want {
			t.Errorf("the certificate is for %q, the pattern is %q: %v, want %v", name, pattern, got, want)
		}
		if a, err := address.Domain(pattern); got && err == nil && cert.VerifyHostname(a) != nil {
			t.Errorf("%q fits the pattern %q, but crypto/x509 says %v", name, pattern, cert.VerifyHostname(a))
		}
		checkHostFits(t, name, pattern)
	})
}

// fitsSlowly compares label by label.
func fitsSlowly(name, pattern string) bool {
	if _, err := netip.ParseAddr(pattern); err == nil {
		return false // the certificate has no addresses
	}
	parent, below := strings.CutPrefix(pattern, ".")
	want, err := address.Domain(parent)
	if err != nil {
		return false
	}
	has, wanted := strings.Split(strings.ToLower(name), "."), strings.Split(want, ".")
	wildcard := has[0] == "*"
	host := slices.Clone(has)
	if wildcard {
		host = host[1:]
	}
	if plain, err := address.Domain(strings.Join(host, ".")); err != nil || plain != strings.Join(host, ".") {
		return false
	}
	switch {
	case below:
		return len(has) > len(wanted) && slices.Equal(has[len(has)-len(wanted):], wanted)
	case wildcard:
		return len(has) == len(wanted) && slices.Equal(has[1:], wanted[1:])
	}
	return slices.Equal(has, wanted)
}

// checkHostFits: only the wildcard of the pattern counts, for one label (RFC 8461,
// Section 4.1).
func checkHostFits(t *testing.T, host, text string) {
	t.Helper()
	host, err := address.Domain(host)
	if err != nil {
		return
	}
	pattern, err := stsPattern(text)
	if err != nil {
		return
	}
	has, wanted := strings.Split(host, "."), strings.Split(pattern, ".")
	want := len(has) == len(wanted) && slices.Equal(has[1:], wanted[1:]) && (wanted[0] == "*" || wanted[0] == has[0])
	if got := hostFits(host, []string{"other.example", pattern}); got != want {
		t.Errorf("the host %q, the pattern %q: %v, want %v", host, pattern, got, want)
	}
}
