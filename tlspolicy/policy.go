package tlspolicy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	// Names are those of which the certificate must have one, at Verify and
	// Secure: a host name, ".example.org" for any name below it, "hostname",
	// "nexthop", or "dot-nexthop" for any name below the next hop. nil: hostname
	// at Verify, nexthop and dot-nexthop at Secure. For DANE they are the base
	// domains, which Decide finds.
	Names []string
	// Fingerprints are SHA-256 of a certificate or of its public key, in hex,
	// with colons or without, at Fingerprint.
	Fingerprints []string
	TLSA         []resolve.TLSA // of the host, for DANE and DANEOnly; Decide finds them
	// ServerName is for SNI; also "hostname" and "nexthop". "": the host's
	// name, or the TLSA base domain. An address is never sent.
	ServerName string
	// Roots are the authorities that Verify and Secure trust. nil: those of the
	// system.
	Roots *x509.CertPool
	// MinVersion and MaxVersion are as tls.VersionTLS12. Zero: TLS 1.2 at least,
	// at May 1.0, where plaintext would be the alternative (RFC 8996, RFC 7435),
	// and no maximum.
	MinVersion, MaxVersion uint16
	// Ciphers are the cipher suites up to TLS 1.2, as
	// tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; those of TLS 1.3 cannot be
	// chosen. nil: what crypto/tls has for good, at May also what is better than
	// plaintext.
	Ciphers []uint16
	// NoPlaintextRetry keeps a failed handshake at May from being followed by a
	// connection without TLS. The host then counts as failed.
	NoPlaintextRetry bool
	// NoReuse keeps the session from being used for another message.
	NoReuse bool
	// RequireTLS says what is done for messages with REQUIRETLS. Zero: RFC 8689.
	RequireTLS RequireTLS
	Published  Published // the rule behind the policy, for reports

	// floor: another Source may ask for more. The policy then tells what the
	// channel must be, not who the server is.
	floor bool
	also  *Policy // holds besides; nil: nothing

	rootsName string // what Roots are to another process, too; "": nobody can tell
}

// Decide implements Source. At DANE and DANEOnly it looks the TLSA records up
// where p has none.
func (p Policy) Decide(ctx context.Context, q Query) (Policy, error) {
	if p.Level == DANE && q.Message == NotRequired {
		return p.adopt(Policy{}), nil // RFC 8689, Section 4.2.2
	}
	if (p.Level == DANE || p.Level == DANEOnly) && len(p.TLSA) == 0 {
		found, err := decideDANE(ctx, q, p.Level)
		if err != nil {
			return Policy{}, err
		}
		return p.adopt(found), nil
	}
	nextHop := q.Host.Name
	if q.Route != nil {
		nextHop = q.Route.NextHop.Name
	}
	return p.For(nextHop, q.Host.Name), nil
}

// adopt is p with what its TLSA records came to. No opinion stays none, unless
// TLS comes first in any case.
func (p Policy) adopt(found Policy) Policy {
	if found.Level == 0 && !p.Implicit {
		return Policy{}
	}
	p.Level, p.TLSA, p.Names, p.Published = found.Level, found.TLSA, found.Names, found.Published
	p.ServerName, p.floor = cmp.Or(found.ServerName, p.ServerName), found.floor
	if p.Implicit && !p.Level.Mandatory() {
		p.Level = Encrypt
	}
	return p
}

// Check judges an established channel and says how the server was verified:
// "pkix" at Verify and Secure, "fingerprint", or "" if it was not, which is
// enough for May and Encrypt. It is made for tls.Config.VerifyConnection, where
// resumed sessions pass too. A level that cannot be checked is an error.
func (p Policy) Check(cs tls.ConnectionState) (proof string, err error) {
	if p.also != nil {
		if _, err := p.also.Check(cs); err != nil {
			return "", err
		}
	}
	switch p.Level {
	case May, Encrypt:
		return "", nil
	case Fingerprint:
		return p.checkFingerprint(cs)
	case DANE, DANEOnly:
		return p.checkDANE(cs)
	case Verify, Secure:
		return p.checkNames(cs)
	}
	return "", fmt.Errorf("TLS level %v cannot be checked", p.Level)
}

// Versions are the lowest and the highest TLS version that the policy allows, as
// tls.Config has them: zero is no maximum.
func (p Policy) Versions() (lowest, highest uint16) {
	switch {
	case p.MinVersion != 0:
		return p.MinVersion, p.MaxVersion
	case p.Level.Mandatory():
		return tls.VersionTLS12, p.MaxVersion
	}
	return tls.VersionTLS10, p.MaxVersion
}

// CipherSuites are the cipher suites up to TLS 1.2 that the policy allows, as
// tls.Config has them: nil leaves it to crypto/tls.
func (p Policy) CipherSuites() []uint16 {
	if p.Ciphers == nil && !p.Level.Mandatory() {
		return append(goodCiphers(), olderCiphers()...)
	}
	return p.Ciphers
}
