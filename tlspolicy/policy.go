// Package tlspolicy decides how secure a channel must be.
//
// A [Level] says it in one word, with the names and meanings of Postfix's TLS
// security levels. A [Policy] is what one channel must be, and a [Source] finds
// the policy for a host. Level and Policy are themselves sources, so that
//
//	client := &smtpclient.Client{TLS: tlspolicy.Encrypt}
//
// needs no constructor. DANE, MTA-STS, and the levels fingerprint and secure are
// not there yet; what is not there is refused, not ignored.
package tlspolicy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/resolve"
)

// Level says how secure a channel must be. Zero is no opinion. A Level is a
// Source: it decides a Policy of that level for every host.
type Level uint8

// The levels, weakest first.
const (
	// None sends in plaintext and does not ask for TLS.
	None Level = iota + 1
	// May uses TLS where the server offers it, with any certificate, and
	// delivers without where TLS cannot be had (RFC 7435).
	May
	// Encrypt sends only inside TLS, with any certificate.
	Encrypt
	// Verify sends only to a server whose certificate comes from a trusted
	// authority and has the name of the host. Who can forge the DNS answers of
	// a domain can name another host.
	Verify
)

var levelNames = [...]string{None: "none", May: "may", Encrypt: "encrypt", Verify: "verify"}

// String gives the name that ParseLevel reads; "" for no opinion.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// notYet are Postfix's levels that this version cannot enforce.
var notYet = map[string]bool{"dane": true, "dane-only": true, "fingerprint": true, "secure": true}

// ParseLevel reads the name of a level, as "encrypt". A level that this version
// cannot enforce is an error.
func ParseLevel(s string) (Level, error) {
	name := strings.ToLower(s)
	for l, known := range levelNames {
		if known != "" && known == name {
			return Level(l), nil
		}
	}
	if notYet[name] {
		return 0, fmt.Errorf("TLS level %q is not there yet; use none, may, encrypt or verify", name)
	}
	return 0, fmt.Errorf("unknown TLS level %q; use none, may, encrypt or verify", s)
}

// Decide implements Source.
func (l Level) Decide(context.Context, Query) (Policy, error) {
	return Policy{Level: l}, nil
}

// Policy is what one channel must be. The zero Policy is no opinion. A Policy
// is a Source that decides itself for every host.
type Policy struct {
	Level Level
	// Implicit: TLS begins before the greeting (RFC 8314), as it always does on
	// port 465. The level is then Encrypt at least.
	Implicit bool
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

// Source decides the policy for a host. The zero Policy is no opinion. An error
// means that no safe policy is known: the host is skipped and mail waits.
// Decide may be called from many goroutines and returns when ctx ends.
type Source interface {
	Decide(ctx context.Context, q Query) (Policy, error)
}

// Query is about one host of a route. It brings the caller's own Resolver, so
// that a Source holds none.
type Query struct {
	Route    *resolve.Route
	Host     resolve.Host
	Message  Requirement
	Resolver resolve.Resolver
}

// Requirement is what the sender of a message asked of every channel on its way
// (RFC 8689). Zero asks nothing.
type Requirement uint8

// The requirements. NotRequired is not there yet and is refused as input.
const (
	// EveryHop is REQUIRETLS: the message goes only to servers which were found
	// and verified without doubt, and which promise the same (RFC 8689, Section
	// 4.2.1).
	EveryHop Requirement = iota + 1
	// NotRequired is TLS-Required: no.
	NotRequired
)

// Default is the Source of a Client without one. Until DANE and MTA-STS are
// there it is May.
func Default() Source { return May }

// State is what was asked of a channel and what it became.
type State struct {
	Wanted   Level  // of the policy; zero if none was decided
	Reached  Level  // None in plaintext, Encrypt inside TLS, Verify if verified; zero before it was settled
	Verified string // how the server was verified; "" if it was not
	Version  uint16 // as tls.VersionTLS13; zero in plaintext
	Cipher   uint16 // as tls.TLS_AES_128_GCM_SHA256
	Fallback error  // why TLS was given up at May; nil if it was not
}
