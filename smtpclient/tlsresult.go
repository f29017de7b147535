package smtpclient

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// recordTLS tells the client's Recorder how an attempt at TLS ended, and keeps a
// failure for Trace and report. It does so once for each connection.
func (s *Session) recordTLS(failure string, reason error) {
	s.at.TLS.Failure = failure
	if s.target.results == nil {
		return
	}
	r := tlspolicy.Result{Time: time.Now(), Published: s.target.Policy.Published, Policy: s.target.Policy.Level, Domain: s.target.domain,
		LocalAddr: addrOf(s.raw.LocalAddr()), Host: s.target.Host, Addr: addrOf(s.raw.RemoteAddr()), Hello: saidName(s.hello),
		Resumed: s.at.TLS.Resumed, Failure: failure}
	if reason != nil {
		r.Reason = reason.Error()
	}
	recordTLS(s.call.ctx, s.target.results, r)
}

// recordTLS calls the Recorder: whatever goes wrong there is nothing to the delivery.
func recordTLS(ctx context.Context, to tlspolicy.Recorder, r tlspolicy.Result) {
	defer func() { recover() }()
	to.Record(ctx, r)
}

// saidName is the server's name in its reply to EHLO.
func saidName(hello Reply) string {
	if len(hello.Lines) == 0 {
		return ""
	}
	name, _, _ := strings.Cut(hello.Lines[0], " ")
	return name
}

// reportDomain is who gets reports of TLS on this way; "": nobody.
func (w *way) reportDomain() string {
	if _, err := netip.ParseAddr(w.hop.Name); err == nil || w.hop.Kind == resolve.ViaSocket || w.client.Protocol == LMTP {
		return ""
	}
	return w.hop.Name
}

// recordUnknown tells the client's Recorder of a host whose policy could not be
// found out, or does not allow the host.
func (w *way) recordUnknown(ctx context.Context, host *resolve.Host, err error) {
	var known *tlspolicy.ResultError
	if w.asks || w.client.TLSResults == nil || w.letter.env.TLS == tlspolicy.NotRequired || !errors.As(err, &known) {
		return
	}
	recordTLS(ctx, w.client.TLSResults, tlspolicy.Result{Time: time.Now(), Published: known.Published, Domain: w.reportDomain(),
		Host: host.Name, Failure: known.Type, Reason: err.Error()})
}

// settled records how TLS has come out, once its first reply is there: err is what
// became of that. In TLS 1.3 our part of the handshake is the last, so that a server
// which does not like it, as one that demands a certificate, says so only now.
func (s *Session) settled(err *Error) *Error {
	switch {
	case s.tls == nil:
		return err
	case err == nil:
		s.recordSecured()
		return nil
	}
	if alert, ok := errors.AsType[*net.OpError](err.Cause); !ok || alert.Op != "remote error" { // as crypto/tls has it
		s.recordSecured()
		err.TLS.Failure = s.at.TLS.Failure
		return err
	}
	cause := &handshakeError{err.Cause}
	s.recordTLS("validation-failure", cause)
	err.Stage, err.Enhanced, err.Cause = StageStartTLS, "4.7.5", cause
	err.TLS = tlspolicy.State{Wanted: err.TLS.Wanted, Reached: tlspolicy.None, Failure: s.at.TLS.Failure}
	return err
}

// recordSecured records a handshake that came about. A policy that only wants to hear
// of failures (MTA-STS in mode testing) is held against the certificate now. What was
// published and does not count is a failure, however good TLS is.
func (s *Session) recordSecured() {
	policy := s.target.Policy
	if failure := policy.Published.Failure; failure != "" {
		s.recordTLS(failure, errors.New(policy.Published.Reason))
		return
	}
	if !policy.Level.Authenticates() && policy.Published.Type == "sts" {
		policy.Level, policy.Names = tlspolicy.Verify, []string{s.target.Host}
		if _, err := policy.Check(s.tls.ConnectionState()); err != nil {
			s.recordTLS(tlspolicy.FailureType(err), err)
			return
		}
	}
	s.recordTLS("", nil)
}

// addrOf is the IP address of one end; the zero Addr if it has none.
func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}
