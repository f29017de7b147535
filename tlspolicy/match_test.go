package tlspolicy_test

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// Patterns against the names of a trusted certificate: only subject alternative
// names count, and a wildcard is one whole label (T14, T16, T17).
func TestNames(t *testing.T) {
	ca := newAuthority(t)
	for _, tt := range []struct {
		patterns string // between blanks
		names    string // in the certificate
		want     bool
	}{
		{"mx.example.net", "mx.example.net", true},
		{"mx.example.net", "MX.Example.NET", true},
		{"MX.example.net", "mx.example.net", true},
		{"mx.example.net", "a.example mx.example.net", true},
		{"a.example mx.example.net", "mx.example.net", true},
		{"mx.example.net", "mx.example.org", false},
		{"mx.example.net", "example.net", false},
		{"mx.example.net", "*.example.net", true},
		{"a.mx.example.net", "*.example.net", false},
		{"example.net", "*.example.net", false},
		{"mx.example.net", "mx*.example.net", false},
		{"mx.example.net", "*x.example.net", false},
		{"mx.example.net", "mx.*.net", false},
		{"mx.example.net", "*.*.net", false},
		{"mx.example.net", "*", false},
		{"mx.example.net", ".example.net", false},
		{"mx.example.net", "mx.example.net.", false},
		{"mx.example.net", "mx.example.net\x00.example.org", false},
		{"mx.example.net", "", false},
		{"", "mx.example.net", false},
		{".example.net", "mx.example.net", true},
		{".example.net", "a.mx.example.net", true},
		{".example.net", "*.example.net", true},
		{".example.net", "example.net", false},
		{".example.net", "anexample.net", false},
		{".example.net", "*.net", false},
		{"mx.bücher.example", "mx.xn--bcher-kva.example", true},
		{".bücher.example", "mx.xn--bcher-kva.example", true},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::1", true},
		{"192.0.2.1", "mx.example.net", false},
	} {
		cert := ca.leaf(t, strings.Fields(tt.names), func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "mx.example.net"} // a name there is none
			if strings.Contains(tt.names, "\x00") {
				c.DNSNames = []string{tt.names}
			}
		})
		p := tlspolicy.Policy{Level: tlspolicy.Verify, Names: strings.Fields(tt.patterns), Roots: ca.roots()}
		proof, err := p.Check(shown(cert))
		if (err == nil) != tt.want || (proof == "pkix") != tt.want {
			t.Errorf("pattern %q, certificate for %q: proof %q, error %v", tt.patterns, tt.names, proof, err)
		}
		var name *tlspolicy.NameError
		if err != nil && !errors.As(err, &name) {
			t.Errorf("pattern %q, certificate for %q: error %v, want a NameError", tt.patterns, tt.names, err)
		}
	}
}

// What is wrong with a certificate, and the result type that reports have for it
// (T13, T15).
func TestUntrustedCertificates(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	names := []string{"mx.example.net"}
	for name, tt := range map[string]struct {
		cert  *x509.Certificate
		roots *x509.CertPool
		want  string
	}{
		"good":    {ca.leaf(t, names, nil), ca.roots(), ""},
		"expired": {ca.leaf(t, names, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ca.roots(), "certificate-expired"},
		"not yet": {ca.leaf(t, names, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), ca.roots(), "certificate-expired"},
		"unknown": {stranger.leaf(t, names, nil), ca.roots(), "certificate-not-trusted"},
		"client's": {ca.leaf(t, names, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			ca.roots(), "certificate-not-trusted"},
		"other name":     {ca.leaf(t, []string{"mx.example.org"}, nil), ca.roots(), "certificate-host-mismatch"},
		"trusted itself": {stranger.leaf(t, names, nil), nil, "certificate-not-trusted"},
	} {
		_, err := tlspolicy.Policy{Level: tlspolicy.Secure, Names: names, Roots: tt.roots}.Check(shown(tt.cert))
		if got := tlspolicy.FailureType(err); (err == nil) != (tt.want == "") || err != nil && got != tt.want {
			t.Errorf("%s: %v is %s, want %s", name, err, got, tt.want)
		}
	}
	if got := tlspolicy.FailureType(errors.New("cut off")); got != "validation-failure" {
		t.Errorf("another error is %s", got)
	}
	typed := fmt.Errorf("host: %w", &tlspolicy.ResultError{Type: "tlsa-invalid", Err: errors.New("no usable record")})
	if got := tlspolicy.FailureType(typed); got != "tlsa-invalid" || typed.Error() != "host: no usable record" {
		t.Errorf("%v is %s", typed, got)
	}
}

// A digest of the certificate or of its key is enough: no authority, no name, no
// dates.
func TestFingerprints(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.leaf(t, nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	ofCert, ofKey := fmt.Sprintf("%x", sha256.Sum256(cert.Raw)), fmt.Sprintf("%X", sha256.Sum256(cert.RawSubjectPublicKeyInfo))
	var pairs []string
	for pair := range slices.Chunk([]byte(ofKey), 2) {
		pairs = append(pairs, string(pair))
	}
	other := strings.Repeat("0", 64)
	for name, tt := range map[string]struct {
		digests []string
		want    bool
	}{
		"certificate": {[]string{ofCert}, true},
		"public key":  {[]string{ofKey}, true},
		"colons":      {[]string{strings.Join(pairs, ":")}, true},
		"second":      {[]string{other, ofCert}, true},
		"other":       {[]string{other}, false},
		"part":        {[]string{ofCert[:32]}, false},
		"empty":       {[]string{""}, false},
		"none":        {nil, false},
	} {
		p := tlspolicy.Policy{Level: tlspolicy.Fingerprint, Fingerprints: tt.digests}
		if proof, err := p.Check(shown(cert)); (err == nil) != tt.want || (proof == "fingerprint") != tt.want {
			t.Errorf("%s: proof %q, error %v", name, proof, err)
		}
	}
}

// Patterns are filled in for one host, once.
func TestFor(t *testing.T) {
	for name, tt := range map[string]struct {
		policy tlspolicy.Policy
		names  string
		sni    string
	}{
		"verify":     {tlspolicy.Policy{Level: tlspolicy.Verify}, "mx.example.net", "mx.example.net"},
		"secure":     {tlspolicy.Policy{Level: tlspolicy.Secure}, "example.net .example.net", "mx.example.net"},
		"encrypt":    {tlspolicy.Policy{Level: tlspolicy.Encrypt}, "", "mx.example.net"},
		"patterns":   {tlspolicy.Policy{Level: tlspolicy.Secure, Names: []string{"hostname", ".example.org", "dot-nexthop"}}, "mx.example.net .example.org .example.net", "mx.example.net"},
		"servername": {tlspolicy.Policy{Level: tlspolicy.Verify, ServerName: "nexthop"}, "mx.example.net", "example.net"},
		"hostname":   {tlspolicy.Policy{Level: tlspolicy.Verify, ServerName: "hostname"}, "mx.example.net", "mx.example.net"},
		"literal":    {tlspolicy.Policy{Level: tlspolicy.Verify, ServerName: "smtp.example.org"}, "mx.example.net", "smtp.example.org"},
	} {
		got := tt.policy.For("example.net", "mx.example.net")
		again := got.For("example.com", "mx.example.com")
		if strings.Join(got.Names, " ") != tt.names || got.ServerName != tt.sni {
			t.Errorf("%s: names %q and SNI %q, want %q and %q", name, got.Names, got.ServerName, tt.names, tt.sni)
		}
		if !slices.Equal(again.Names, got.Names) || again.ServerName != got.ServerName {
			t.Errorf("%s: another host has changed it to %q, %q", name, again.Names, again.ServerName)
		}
	}
}

// Policies that differ in what a channel depends on have different IDs.
func TestID(t *testing.T) {
	ca := newAuthority(t)
	base := tlspolicy.Policy{Level: tlspolicy.Secure, Names: []string{"a.example"}}
	if base.ID() != (tlspolicy.Policy{Level: tlspolicy.Secure, Names: []string{"a.example"}}).ID() {
		t.Error("equal policies have different IDs")
	}
	seen := map[string]string{base.ID(): "as it is"}
	for name, change := range map[string]func(p *tlspolicy.Policy){
		"level":        func(p *tlspolicy.Policy) { p.Level = tlspolicy.Verify },
		"implicit":     func(p *tlspolicy.Policy) { p.Implicit = true },
		"names":        func(p *tlspolicy.Policy) { p.Names = []string{"a.example", "b.example"} },
		"one name":     func(p *tlspolicy.Policy) { p.Names = []string{`a.example" "b.example`} },
		"fingerprints": func(p *tlspolicy.Policy) { p.Fingerprints = []string{"00"} },
		"TLSA":         func(p *tlspolicy.Policy) { p.TLSA = append(p.TLSA, tlsa(3, 1, 1, "00")) },
		"other TLSA":   func(p *tlspolicy.Policy) { p.TLSA = append(p.TLSA, tlsa(3, 1, 1, "01")) },
		"server name":  func(p *tlspolicy.Policy) { p.ServerName = "a.example" },
		"roots":        func(p *tlspolicy.Policy) { p.Roots = ca.roots() },
		"other roots":  func(p *tlspolicy.Policy) { p.Roots = x509.NewCertPool() },
		"minimum":      func(p *tlspolicy.Policy) { p.MinVersion = 0x0304 },
		"maximum":      func(p *tlspolicy.Policy) { p.MaxVersion = 0x0303 },
		"ciphers":      func(p *tlspolicy.Policy) { p.Ciphers = []uint16{0xc02f} },
		"no reuse":     func(p *tlspolicy.Policy) { p.NoReuse = true },
		"no retry":     func(p *tlspolicy.Policy) { p.NoPlaintextRetry = true },
		"REQUIRETLS":   func(p *tlspolicy.Policy) { p.RequireTLS = tlspolicy.RequireTLSOffered },
	} {
		p := base
		change(&p)
		if other, ok := seen[p.ID()]; ok {
			t.Errorf("%s and %s have the same ID", name, other)
		}
		seen[p.ID()] = name
	}
}
