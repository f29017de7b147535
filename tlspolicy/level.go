package tlspolicy

import (
	"context"
	"fmt"
	"strings"
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
	// Fingerprint sends only to a server whose certificate or public key has one
	// of Policy.Fingerprints.
	Fingerprint
	// DANE sends only to a server that fits its TLSA records (RFC 7672); where
	// the DNS has none, it is May, or Encrypt if they cannot be used.
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

// notYet are Postfix's levels that this version cannot enforce.
var notYet = map[string]bool{"dane": true, "dane-only": true, "fingerprint": true, "secure": true}

// ParseLevel reads the name of a level, as "encrypt". A level that this version
// cannot enforce is an error.
func ParseLevel(s string) (Level, error) {
	name := strings.ToLower(s)
	if notYet[name] {
		return 0, fmt.Errorf("TLS level %q is not there yet; use none, may, encrypt or verify", name)
	}
	for l, known := range levelNames {
		if known != "" && known == name {
			return Level(l), nil
		}
	}
	return 0, fmt.Errorf("unknown TLS level %q; use none, may, encrypt or verify", s)
}

// Decide implements Source.
func (l Level) Decide(context.Context, Query) (Policy, error) {
	return Policy{Level: l}, nil
}
