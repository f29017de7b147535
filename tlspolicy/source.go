package tlspolicy

import (
	"context"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

// Source decides the policy for a host. The zero Policy is no opinion. An error
// means that no safe policy is known: the host is skipped and mail waits.
// Decide may be called from many goroutines and returns when ctx ends.
type Source interface {
	Decide(ctx context.Context, q Query) (Policy, error)
}

// Query is about one host of a route. It brings the caller's own Resolver and
// Cache, so that a Source holds neither.
type Query struct {
	Route    *resolve.Route
	Host     resolve.Host
	Message  Requirement
	Resolver resolve.Resolver
	Cache    cache.Cache // nil: nothing is remembered
	// NoDANE is told, in the course of Decide, that DANE was asked for and is off
	// since no answer is validated; err wraps resolve.ErrNotValidated and says what to
	// do. nil: nobody is told.
	NoDANE func(err error)
}

// Sources are asked in order: the first with an opinion decides, and so does the
// first that fails. None has an opinion: no opinion. What a domain published
// without proving who its servers are, as TLSA records for hosts that were found
// by an MX record without DNSSEC, or an MTA-STS policy in mode testing, is only
// the least: those that follow may ask for more.
type Sources []Source

// Decide implements Source.
func (s Sources) Decide(ctx context.Context, q Query) (Policy, error) {
	var least Policy
	for _, source := range s {
		p, err := source.Decide(ctx, q)
		switch {
		case err != nil:
			return Policy{}, err
		case p.floor:
			least = least.raised(p)
		case p.Level != 0 || p.Implicit:
			return least.raised(p), nil
		}
	}
	return least, nil
}

// Requirement is what the sender of a message asked of every channel on its way
// (RFC 8689). Zero asks nothing.
type Requirement uint8

// The requirements.
const (
	// EveryHop is REQUIRETLS: the message goes only to servers which were found
	// and verified without doubt, and which promise the same (RFC 8689, Section
	// 4.2.1).
	EveryHop Requirement = iota + 1
	// NotRequired is TLS-Required: no. A Source of what the recipient's domain has
	// published has no opinion on such a message, so that it is not enforced (RFC
	// 8689, Section 4.2.2): DANE and MTA-STS. A level that was configured is, and so
	// is DANEOnly: a message does not overrule whoever sends it.
	NotRequired
)

// RequireTLS says what is done with REQUIRETLS at a destination, with the
// meanings of Postfix's smtp_requiretls_policy. It counts only for messages with
// EveryHop.
type RequireTLS uint8

const (
	// RequireTLSEnforce sends only to a verified server that promises the same
	// (RFC 8689, Section 4.2.1).
	RequireTLSEnforce RequireTLS = iota
	// RequireTLSEncrypted sends only inside TLS. A server that does not offer
	// REQUIRETLS gets the message without it, and RET=HDRS.
	RequireTLSEncrypted
	// RequireTLSOffered asks for REQUIRETLS where it is offered, and else sends as
	// the rest of the policy says, with RET=HDRS.
	RequireTLSOffered
	// RequireTLSIgnore sends as if nothing was asked for.
	RequireTLSIgnore
)

// Default is the Source of a Client without one: DANE, MTA-STS, May. It is the
// same value at each call, so that clients with the same Cache look a policy up
// together; it keeps nothing but the lookups in progress.
func Default() Source { return usual }

var usual = Sources{DANE, &MTASTS{}, May}

// State is what was asked of a channel and what it became.
type State struct {
	Wanted   Level  // of the policy; zero if none was decided
	Reached  Level  // None in plaintext, Encrypt inside TLS, Verify if verified; zero, which prints as "", before it was settled
	Verified string // how the server was verified; "" if it was not
	Version  uint16 // as tls.VersionTLS13; zero in plaintext
	Cipher   uint16 // as tls.TLS_AES_128_GCM_SHA256
	Resumed  bool   // an earlier TLS session was resumed; it was verified again
	Failure  string // of the attempt at TLS, or of what was published about it: a result type of RFC 8460; "" if there was none
	Fallback error  // why TLS was given up at May; nil if it was not
}
