package smtpclient

import (
	"errors"

	"github.com/postrider/postrider/tlspolicy"
)

// requiresTLS tells that REQUIRETLS counts: a notice goes without (RFC 8689,
// Section 4.2.1).
func requiresTLS(env *Envelope, from string) bool {
	return env.TLS == tlspolicy.EveryHop && from != ""
}

// atLeast is level, or to if TLS would not be demanded.
func atLeast(level, to tlspolicy.Level) tlspolicy.Level {
	if level.Mandatory() {
		return level
	}
	return to
}

// raise makes a policy one for a message with REQUIRETLS. The host that was found is
// the one that has to be verified (RFC 8689, Section 4.2.1).
func raise(p *tlspolicy.Policy) {
	switch {
	case p.RequireTLS == tlspolicy.RequireTLSEnforce && !p.Level.Authenticates():
		p.Level, p.Names = tlspolicy.Verify, nil
	case p.RequireTLS == tlspolicy.RequireTLSEncrypted:
		p.Level = atLeast(p.Level, tlspolicy.Encrypt)
	}
}

// vouched tells that the name of the host is proven by the MTA-STS policy of the
// domain, in place of DNSSEC (RFC 8689, Section 4.2.1).
func vouched(p *tlspolicy.Policy) bool {
	return p.Published.Type == "sts" && p.Level.Authenticates()
}

// pinned tells that the server has to fit what was configured, and not a name that
// the DNS gave.
func pinned(p *tlspolicy.Policy) bool {
	return p.Level == tlspolicy.Fingerprint || p.Level == tlspolicy.Secure
}

// failsWithoutTLS tells that a session without TLS is the end for the message,
// unless another host has it: a notice goes back (RFC 8689, Section 4.2.1).
func (w *way) failsWithoutTLS(t *Target, err *Error) bool {
	if !requiresTLS(w.letter.env, w.letter.from) {
		return false
	}
	switch t.Policy.RequireTLS {
	case tlspolicy.RequireTLSEnforce:
		return true
	case tlspolicy.RequireTLSEncrypted:
		return errors.Is(err.Cause, errNoTLS) || err.Reply.Code != 0
	}
	return false
}

var (
	errUnverified = errors.New("the message asks for TLS on every hop (REQUIRETLS), but the server is not verified, or was found by DNS without proof")
	errUnpromised = errors.New("the message asks for TLS on every hop, but the server does not offer REQUIRETLS")
)

// insecure is why a server may not have a message with REQUIRETLS.
func (t *transaction) insecure() *misfit {
	if !requiresTLS(t.env, t.from) {
		return nil
	}
	switch mode := t.s.kind.requireTLS; {
	case mode == tlspolicy.RequireTLSEnforce && (t.s.at.TLS.Verified == "" || t.s.kind.unproven),
		mode == tlspolicy.RequireTLSEncrypted && t.s.tls == nil:
		return &misfit{"5.7.10", errUnverified, true}
	case mode == tlspolicy.RequireTLSEnforce && !t.offersRequireTLS():
		return &misfit{"5.7.30", errUnpromised, true}
	}
	return nil
}

// offersRequireTLS tells that the server promises TLS on every hop, inside TLS:
// outside of it the word is worth nothing.
func (t *transaction) offersRequireTLS() bool {
	_, ok := t.s.ext.lookup("REQUIRETLS")
	return ok && t.s.tls != nil
}

// promisesTLS tells that MAIL has REQUIRETLS. A notice about such a message has it
// where the server offers it inside TLS (RFC 8689, Section 5).
func (t *transaction) promisesTLS() bool {
	return t.env.TLS == tlspolicy.EveryHop && t.s.kind.requireTLS != tlspolicy.RequireTLSIgnore && t.offersRequireTLS()
}

// returns is what a notice gives back. Where a server takes a message without
// REQUIRETLS that was asked for, its notice may go in plaintext: no content then.
func (t *transaction) returns() Return {
	if requiresTLS(t.env, t.from) && t.s.kind.requireTLS != tlspolicy.RequireTLSIgnore && !t.offersRequireTLS() {
		t.leftOut("REQUIRETLS", "REQUIRETLS")
		return ReturnHeaders
	}
	return t.env.Return
}
