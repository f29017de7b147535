package tlspolicy

import (
	"context"
	"fmt"
	"strings"
)

// Level says how secure a channel must be. Zero is no opinion. A Level is a
// Source: it decides a Policy of that level for every host. The numbers are no
// order of strength: ask Mandatory, Authenticates and Meets.
type Level uint8

// The levels.
const (
	// None sends in plaintext and does not ask for TLS.
	None Level = iota + 1
	// May uses TLS where the server offers it, with any certificate, and
	// delivers without where TLS cannot be had (RFC 7435).
	May
	// Encrypt sends only inside TLS, with any certificate.
	Encrypt
	// Fingerprint sends only to a server whose certificate or public key has one
	// of Policy.Fingerprints.
	Fingerprint
	// DANE sends only to a server that fits its TLSA records (RFC 7672). As a
	// Source it has no opinion where DNSSEC has none for the host: the next
	// Source decides, and May if there is none. Where they cannot be used it is
	// Encrypt. In a Policy that was decided, as in State, it means that there are
	// records and the server has to fit.
	DANE
	// DANEOnly is DANE without a way out: no usable TLSA records, no mail.
	DANEOnly
	// Verify sends only to a server whose certificate comes from a trusted
	// authority and has the name of the host. Who can forge the DNS answers of
	// a domain can name another host.
	Verify
	// Secure is Verify for the name of the next hop, which no DNS answer can
	// change.
	Secure
)

var levelNames = [...]string{None: "none", May: "may", Encrypt: "encrypt", Fingerprint: "fingerprint", DANE: "dane",
	DANEOnly: "dane-only", Verify: "verify", Secure: "secure"}

// String gives the name that ParseLevel reads; "" for no opinion.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// Mandatory tells that no mail goes without TLS.
func (l Level) Mandatory() bool { return l > May }

// Authenticates tells that no mail goes to a server that has not proven who it
// is.
func (l Level) Authenticates() bool { return l > Encrypt }

// Meets tells whether a channel that has come to l is what least asks for. Who the
// server is was proved by a key, by DNSSEC or by an authority, and one of these does
// not stand for another; but a key that was configured does for all.
func (l Level) Meets(least Level) bool {
	switch least {
	case 0, None, May:
		return true
	case Encrypt:
		return l.Mandatory()
	case DANE, DANEOnly:
		return l == DANE || l == DANEOnly || l == Fingerprint
	case Verify:
		return l == Verify || l == Secure || l == Fingerprint
	case Secure:
		return l == Secure || l == Fingerprint
	}
	return l == least
}

// ParseLevel reads the name of a level, as "encrypt".
func ParseLevel(s string) (Level, error) {
	for l, known := range levelNames {
		if known != "" && strings.EqualFold(known, s) {
			return Level(l), nil
		}
	}
	return 0, fmt.Errorf("unknown TLS level %q; use none, may, encrypt, fingerprint, dane, dane-only, verify or secure", s)
}

// Decide implements Source.
func (l Level) Decide(ctx context.Context, q Query) (Policy, error) {
	return Policy{Level: l}.Decide(ctx, q)
}
