package tlspolicy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/postrider/postrider/resolve"
)

// Policy is what one channel must be. The zero Policy is no opinion. A Policy
// is a Source that decides itself for every host.
type Policy struct {
	Level Level
	// Implicit: TLS begins before the greeting (RFC 8314), as it always does on
	// port 465. The level is then Encrypt at least.
	Implicit bool
	// Names are those of which the certificate must have one; also ".example.org",
	// "hostname", "nexthop" and "dot-nexthop". nil: what the level says.
	Names []string
	// Fingerprints are SHA-256 of a certificate or of its public key, in hex.
	Fingerprints []string
	TLSA         []resolve.TLSA // of the host, for DANE and DANEOnly; Decide finds them
	ServerName   string         // for SNI; "": the host's name, or the TLSA base domain
	// Roots are the authorities that Verify trusts. nil: those of the system.
	Roots *x509.CertPool
}

// Decide implements Source.
func (p Policy) Decide(context.Context, Query) (Policy, error) { return p, nil }

// MinVersion is the lowest TLS version for the level: TLS 1.0 where plaintext
// would be the alternative, else TLS 1.2 (RFC 8996, RFC 7435).
func (p Policy) MinVersion() uint16 {
	if p.Level <= May {
		return tls.VersionTLS10
	}
	return tls.VersionTLS12
}

// Check judges an established channel and says how the server was verified:
// "pkix" at Verify, and "" if it was not, which is enough for May and Encrypt. It
// is made for tls.Config.VerifyConnection, where resumed sessions pass too. A
// level that this version cannot enforce is an error.
func (p Policy) Check(cs tls.ConnectionState) (proof string, err error) {
	switch p.Level {
	case May, Encrypt:
		return "", nil
	case Verify:
		if err := p.verify(cs); err != nil {
			return "", err
		}
		return "pkix", nil
	}
	return "", fmt.Errorf("TLS level %v cannot be checked", p.Level)
}

// verify holds the certificate against the authorities and the host's name (RFC
// 5280, RFC 9525).
func (p Policy) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 || cs.ServerName == "" {
		return errors.New("the server's certificate cannot be verified: there is no certificate, or no host name to verify it against")
	}
	opts := x509.VerifyOptions{Roots: p.Roots, DNSName: cs.ServerName, Intermediates: x509.NewCertPool()}
	for _, cert := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := cs.PeerCertificates[0].Verify(opts)
	return err
}
