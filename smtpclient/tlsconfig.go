package smtpclient

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/tlspolicy"
)

// verification is how the server was verified, or why it is refused.
type verification struct {
	proof string
	err   error
}

// clientTLS is the configuration of a handshake: what the Dialer has, and over
// it the policy. found is told of the server.
func (s *Session) clientTLS(found *verification) *tls.Config {
	c := &tls.Config{}
	if s.dialer.TLSConfig != nil {
		c = s.dialer.TLSConfig.Clone()
	}
	policy := &s.target.Policy
	c.ServerName = serverName(policy.ServerName)
	c.MinVersion, c.MaxVersion = versions(*policy, c)
	if suites := policy.CipherSuites(); suites != nil && (policy.Ciphers != nil || c.CipherSuites == nil) {
		c.CipherSuites = suites
	}
	c.Renegotiation = tls.RenegotiateNever
	also := c.VerifyConnection
	// The policy verifies instead, in the one place where resumed sessions pass
	// too.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		found.proof, found.err = s.target.Policy.Check(cs)
		if found.err == nil && also != nil {
			found.err = also(cs)
		}
		if found.err != nil && cs.DidResume {
			found.err = &staleTicket{found.err}
		}
		return found.err
	}
	c.ClientSessionCache = s.tickets(c)
	return c
}

// versions are those of the policy; what the Dialer has is a bound for a policy
// that says nothing, but does not lower the floor of the level.
func versions(policy tlspolicy.Policy, dialer *tls.Config) (lowest, highest uint16) {
	lowest, highest = policy.Versions()
	if policy.MinVersion == 0 {
		lowest = max(lowest, dialer.MinVersion)
	}
	if policy.MaxVersion == 0 {
		highest = dialer.MaxVersion
	}
	return lowest, highest
}

// trusting is the policy with the Dialer's authorities where it has none.
func (d *Dialer) trusting(p tlspolicy.Policy) tlspolicy.Policy {
	if p.Roots == nil && d.TLSConfig != nil {
		p.Roots = d.TLSConfig.RootCAs
	}
	return p
}

// faultTLS is what is wrong with TLSConfig, or nil.
func (d *Dialer) faultTLS() error {
	if d.TLSConfig == nil {
		return nil
	}
	if c, ok := d.TLSConfig.ClientSessionCache.(*TicketCache); ok {
		if err := c.fault(); err != nil {
			return fmt.Errorf("Dialer.TLSConfig.ClientSessionCache: %w", err)
		}
	}
	return nil
}

// handshakeError tells a failed TLS handshake from other faults: at May it is
// worth one connection without TLS. A server that was refused is none.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake failed: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// unverifiedError is a certificate that the policy does not take. What crypto/x509
// says of it quotes names of any length, which the server has chosen: only the
// beginning is told.
type unverifiedError struct{ err error }

func (e *unverifiedError) Error() string {
	const most = 1500
	said := e.err.Error()
	if len(said) > most {
		said = said[:most] + "..."
	}
	return "the server is not verified: " + said
}

func (e *unverifiedError) Unwrap() error { return e.err }

// staleTicket is a resumed session whose certificate is not good, or not any
// more. The server may have a better one by now, which only a full handshake
// shows.
type staleTicket struct{ err error }

func (e *staleTicket) Error() string { return "the resumed TLS session: " + e.err.Error() }
func (e *staleTicket) Unwrap() error { return e.err }

// isStale tells that a full handshake is worth a try.
func isStale(err *Error) bool {
	if err == nil {
		return false
	}
	_, is := errors.AsType[*staleTicket](err.Cause)
	return is
}

// serverName is what goes into SNI: a name, never an address or the path of a
// socket.
func serverName(host string) string {
	name, err := address.Domain(host)
	if err != nil {
		return ""
	}
	return name
}
