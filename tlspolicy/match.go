package tlspolicy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/address"
)

// For is p with its patterns filled in for one host, found for a next hop: no
// name of it is "hostname", "nexthop" or "dot-nexthop" any more, and ServerName
// is what goes into SNI. Decide does it; what has been filled in stays.
func (p Policy) For(nextHop, host string) Policy {
	switch {
	case p.Names != nil:
	case p.Level == Verify:
		p.Names = []string{"hostname"}
	case p.Level == Secure:
		p.Names = []string{"nexthop", "dot-nexthop"}
	}
	names := make([]string, len(p.Names))
	for i, name := range p.Names {
		switch name {
		case "hostname":
			name = host
		case "nexthop":
			name = nextHop
		case "dot-nexthop":
			name = "." + nextHop
		}
		names[i] = name
	}
	if p.Names != nil {
		p.Names = names
	}
	switch p.ServerName {
	case "", "hostname":
		p.ServerName = host
	case "nexthop":
		p.ServerName = nextHop
	}
	return p
}

var errNoCertificate = errors.New("the server showed no certificate")

// checkNames holds the certificate against the authorities and the names (RFC
// 5280, RFC 9525). Names are looked for in the subject alternative names only.
func (p Policy) checkNames(cs tls.ConnectionState) (proof string, err error) {
	if len(cs.PeerCertificates) == 0 {
		return "", errNoCertificate
	}
	leaf := cs.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: p.Roots, Intermediates: x509.NewCertPool()}
	for _, cert := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return "", err
	}
	if !matchesAny(leaf, p.Names) {
		return "", &NameError{Wanted: p.Names, Has: namesOf(leaf)}
	}
	return "pkix", nil
}

// NameError is a trusted certificate for another host.
type NameError struct {
	Wanted []string // the patterns of the policy
	Has    []string // the names in the certificate
}

// Error shows the first names of the certificate only: who has made it chooses how
// many there are, and of what length.
func (e *NameError) Error() string {
	const most, longest = 5, 253
	var has []string
	for _, name := range e.Has[:min(most, len(e.Has))] {
		has = append(has, name[:min(longest, len(name))])
	}
	more := ""
	if n := len(e.Has) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("the certificate is for %q%s, the policy wants one of %q", has, more, e.Wanted)
}

// namesOf are the names of a certificate that could match.
func namesOf(cert *x509.Certificate) []string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func matchesAny(cert *x509.Certificate, patterns []string) bool {
	for _, pattern := range patterns {
		if matches(cert, pattern) {
			return true
		}
	}
	return false
}

// matches tells whether cert has a name that fits the pattern: an address, a
// name, or ".example.org" for every name below it.
func matches(cert *x509.Certificate, pattern string) bool {
	if ip, err := netip.ParseAddr(pattern); err == nil {
		return cert.VerifyHostname(ip.Unmap().WithZone("").String()) == nil
	}
	parent, below := strings.CutPrefix(pattern, ".")
	want, err := address.Domain(parent)
	if err != nil {
		return false
	}
	for _, name := range cert.DNSNames {
		has, ok := presented(name)
		if ok && (below && isBelow(has, want) || !below && covers(has, want)) {
			return true
		}
	}
	return false
}

// presented brings a name of a certificate to the form of address.Domain. A
// wildcard is a whole left-most label (RFC 9525, Section 6.3); anything else that
// is no host name is none.
func presented(name string) (string, bool) {
	rest, wildcard := strings.CutPrefix(name, "*.")
	rest, err := address.Domain(rest)
	if err != nil || strings.HasSuffix(name, ".") {
		return "", false
	}
	if wildcard {
		return "*." + rest, true
	}
	return rest, true
}

// covers tells whether the name in the certificate is the one that is wanted, or
// a wildcard for its first label.
func covers(has, want string) bool {
	if parent, ok := strings.CutPrefix(has, "*."); ok {
		_, rest, _ := strings.Cut(want, ".")
		return rest == parent
	}
	return has == want
}

// isBelow tells whether all that the name in the certificate can mean is below
// domain.
func isBelow(has, domain string) bool {
	return strings.HasSuffix(has, "."+domain)
}

// checkFingerprint holds the certificate and its public key against the digests.
// There is no look at authority, name or dates.
func (p Policy) checkFingerprint(cs tls.ConnectionState) (proof string, err error) {
	if len(cs.PeerCertificates) == 0 {
		return "", errNoCertificate
	}
	if len(p.Fingerprints) == 0 {
		return "", errors.New("the policy has level fingerprint, but no Fingerprints")
	}
	leaf := cs.PeerCertificates[0]
	cert, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	for _, digest := range p.Fingerprints {
		switch plain := plainDigest(digest); plain {
		case hex.EncodeToString(cert[:]), hex.EncodeToString(key[:]):
			return "fingerprint", nil
		}
	}
	return "", fmt.Errorf("neither the certificate (SHA-256 %x) nor its public key (%x) is among the fingerprints of the policy", cert, key)
}

// plainDigest is a digest without colons, in lower case.
func plainDigest(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, ":", ""))
}
