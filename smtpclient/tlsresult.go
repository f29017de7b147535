package smtpclient

import (
	"context"
	"errors"
	"net"
	"net/netip"
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
	r := tlspolicy.Result{Time: time.Now(), Published: s.target.Policy.Published, Policy: s.target.Policy.Level,
		LocalAddr: addrOf(s.raw.LocalAddr()), Host: s.target.Host, Addr: addrOf(s.raw.RemoteAddr()), Failure: failure}
	if reason != nil {
		r.Reason = reason.Error()
	}
	s.target.results.Record(s.call.ctx, r)
}

// recordUnknown tells the client's Recorder of a host whose policy could not be
// found out, or does not allow the host.
func (w *way) recordUnknown(ctx context.Context, host *resolve.Host, err error) {
	var known *tlspolicy.ResultError
	if w.client.TLSResults == nil || w.letter.env.TLS == tlspolicy.NotRequired || !errors.As(err, &known) {
		return
	}
	w.client.TLSResults.Record(ctx, tlspolicy.Result{Time: time.Now(), Published: known.Published, Host: host.Name, Failure: known.Type, Reason: err.Error()})
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
	if policy.Level == tlspolicy.May && policy.Published.Type == "sts" && len(policy.Names) > 0 {
		policy.Level = tlspolicy.Verify
		if _, err := policy.Check(*s.tls); err != nil {
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
