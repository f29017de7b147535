package tlspolicy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/resolve"
)

// The fields of a TLSA record (RFC 6698, Section 2.1).
const (
	usageTA = 2 // DANE-TA: an authority that signed the server's certificate
	usageEE = 3 // DANE-EE: the server's certificate itself

	selectCert = 0
	selectKey  = 1

	matchFull   = 0
	matchSHA256 = 1
	matchSHA512 = 2
)

// usableTLSA are the records that mail can be held against. Those of PKIX-TA and
// PKIX-EE are not: there is no list of authorities that all know (RFC 7672, Section
// 3.1.3).
func usableTLSA(records []resolve.TLSA) []resolve.TLSA {
	var usable []resolve.TLSA
	for _, r := range records {
		if (r.Usage == usageTA || r.Usage == usageEE) && r.Selector <= selectKey && wellFormed(r) {
			usable = append(usable, r)
		}
	}
	return usable
}

func wellFormed(r resolve.TLSA) bool {
	switch r.MatchingType {
	case matchSHA256:
		return len(r.Data) == sha256.Size
	case matchSHA512:
		return len(r.Data) == sha512.Size
	case matchFull:
		if r.Selector == selectCert {
			_, err := x509.ParseCertificate(r.Data)
			return err == nil
		}
		_, err := x509.ParsePKIXPublicKey(r.Data)
		return err == nil
	}
	return false
}

// strongestTLSA leaves of the digests of each usage and selector only those that
// are strongest: a weak one must not be a way around a strong one (RFC 7671,
// Section 9).
func strongestTLSA(usable []resolve.TLSA) []resolve.TLSA {
	var best []resolve.TLSA
	for _, r := range usable {
		stronger := func(o resolve.TLSA) bool {
			return o.Usage == r.Usage && o.Selector == r.Selector && o.MatchingType > r.MatchingType
		}
		if r.MatchingType == matchFull || !slices.ContainsFunc(usable, stronger) {
			best = append(best, r)
		}
	}
	return best
}

// MisfitError is a server that does not fit its TLSA records. These may be out of
// date, where they come from a cache.
type MisfitError struct{ Err error }

// Error says what does not fit.
func (e *MisfitError) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *MisfitError) Unwrap() error { return e.Err }

// checkDANE holds the certificate against p.TLSA; p.Names are those of which it
// must have one where an authority vouches for it.
func (p Policy) checkDANE(cs tls.ConnectionState) (proof string, err error) {
	if len(cs.PeerCertificates) == 0 {
		return "", errNoCertificate
	}
	records := strongestTLSA(usableTLSA(p.TLSA))
	if len(records) == 0 {
		return "", errUnusable
	}
	proof, err = matchDANE(cs.PeerCertificates, records, p.Names)
	switch {
	case err != nil:
		return "", &MisfitError{err}
	case p.floor:
		return "", nil // see Policy.floor
	}
	return proof, nil
}

// matchDANE looks for a record that the chain fits. At DANE-EE neither names nor
// dates count (RFC 7671, Section 5.1).
func matchDANE(chain []*x509.Certificate, records []resolve.TLSA, names []string) (proof string, err error) {
	for _, r := range records {
		if r.Usage == usageEE && fits(r, chain[0]) {
			return "dane-ee", nil
		}
	}
	anchors := trustAnchors(chain, records)
	if len(anchors) == 0 {
		return "", fmt.Errorf("the certificate of the server, %s, fits none of its TLSA records", describe(chain[0]))
	}
	if err := verifyTA(chain, anchors, names); err != nil {
		return "", fmt.Errorf("the certificate of the server, %s, comes from an authority of its TLSA records, but: %w", describe(chain[0]), err)
	}
	return "dane-ta", nil
}

// describe tells certificates apart as the record that is mostly published does.
func describe(cert *x509.Certificate) string {
	return fmt.Sprintf("3 1 1 %x", sha256.Sum256(cert.RawSubjectPublicKeyInfo))
}

// fits tells whether a usable record is one of the certificate.
func fits(r resolve.TLSA, cert *x509.Certificate) bool {
	data := cert.Raw
	if r.Selector == selectKey {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch r.MatchingType {
	case matchSHA256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case matchSHA512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(r.Data, data)
}

// trustAnchors are the authorities of DANE-TA records: certificates that the
// server sent above its own, and those that the records have in full. A key
// alone, without a certificate, can only have signed the last one that the server
// sent (RFC 7671, Section 5.2.3).
func trustAnchors(chain []*x509.Certificate, records []resolve.TLSA) []*x509.Certificate {
	var anchors []*x509.Certificate
	for _, r := range records {
		if r.Usage != usageTA {
			continue
		}
		sent := false
		for _, cert := range chain[1:] {
			if fits(r, cert) && !cert.Equal(chain[0]) {
				anchors, sent = append(anchors, cert), true
			}
		}
		if sent || r.MatchingType != matchFull || fits(r, chain[0]) {
			continue
		}
		if anchor := fullAnchor(r, chain[len(chain)-1]); anchor != nil {
			anchors = append(anchors, anchor)
		}
	}
	return anchors
}

// fullAnchor makes an authority of a record that has the whole certificate, or the
// whole key; that gets the name by which last calls its issuer.
func fullAnchor(r resolve.TLSA, last *x509.Certificate) *x509.Certificate {
	if r.Selector == selectCert {
		cert, _ := x509.ParseCertificate(r.Data)
		return cert
	}
	key, err := x509.ParsePKIXPublicKey(r.Data)
	if err != nil {
		return nil
	}
	anchor := &x509.Certificate{
		Raw:                     r.Data,
		RawSubject:              last.RawIssuer,
		RawSubjectPublicKeyInfo: r.Data,
		SubjectKeyId:            last.AuthorityKeyId,
		PublicKey:               key,
		PublicKeyAlgorithm:      keyAlgorithm(key),
		Version:                 3,
		BasicConstraintsValid:   true,
		IsCA:                    true,
		MaxPathLen:              -1,
		KeyUsage:                x509.KeyUsageCertSign,
		NotAfter:                time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), // a key has no dates
	}
	if last.CheckSignatureFrom(anchor) != nil {
		return nil
	}
	return anchor
}

// verifyTA builds the chain up to an authority, which then may not have expired
// either, and looks for the names.
func verifyTA(chain, anchors []*x509.Certificate, names []string) error {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, cert := range anchors {
		opts.Roots.AddCert(cert)
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	leaf := chain[0]
	if _, err := leaf.Verify(opts); err != nil {
		return err
	}
	named := *leaf
	if len(leaf.DNSNames) == 0 {
		// RFC 7672, Section 3.2.3: only then the common name counts.
		named.DNSNames = []string{leaf.Subject.CommonName}
	}
	if !matchesAny(&named, names) {
		return &NameError{Wanted: names, Has: named.DNSNames}
	}
	return nil
}

func keyAlgorithm(key any) x509.PublicKeyAlgorithm {
	switch key.(type) {
	case *rsa.PublicKey:
		return x509.RSA
	case *ecdsa.PublicKey:
		return x509.ECDSA
	case ed25519.PublicKey:
		return x509.Ed25519
	}
	return x509.UnknownPublicKeyAlgorithm
}
