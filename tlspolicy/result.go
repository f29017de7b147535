package tlspolicy

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"
)

// Published is the rule of the recipient's domain behind a policy, as RFC 8460,
// Section 4.4 wants it in reports. Zero: nothing was published.
type Published struct {
	Type   string   // "tlsa" or "sts"; "": no-policy-found
	Domain string   // that published it: the TLSA base domain, or the domain of the policy
	Lines  []string // as it was published: "3 1 1 hex", or the lines of the policy file
	Hosts  []string // for "sts": the patterns of MX hosts
	// Failure is a result type of RFC 8460, Section 4.3.2, where what was published
	// does not count, as "sts-policy-fetch-error" or "tlsa-invalid"; "": it counts.
	// Reason is why, in words.
	Failure, Reason string
}

// Recorder takes the result of every TLS attempt. Record is called from many
// goroutines, in the way of the delivery: it must return soon. If it panics, only
// the result is lost. A Collector is one.
type Recorder interface {
	Record(ctx context.Context, r Result)
}

// Result is how one attempt to speak TLS with a host ended.
type Result struct {
	Time      time.Time
	Published Published
	Policy    Level // that was asked for
	// Domain is who may want to hear of it: the domain of the recipients, or the host
	// that was configured in its place; "" for addresses, sockets and LMTP.
	Domain    string
	LocalAddr netip.Addr // zero if it is not an IP connection
	Host      string
	Addr      netip.Addr // zero if it is not an IP connection
	Hello     string     // the name in its reply to EHLO; "": it did not come to that
	Resumed   bool       // an earlier TLS session was resumed
	// Failure is a result type of RFC 8460, Section 4.3, as
	// "starttls-not-supported"; "": success.
	Failure string
	Reason  string // what went wrong, in words
}

// ResultError is an error with the result type that reports have for it. A
// Source returns one for a policy that was published and cannot be followed.
type ResultError struct {
	Type      string // of RFC 8460, as "sts-policy-fetch-error"
	Published Published
	Err       error
}

// Error is that of Err.
func (e *ResultError) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *ResultError) Unwrap() error { return e.Err }

// FailureType is the result type of RFC 8460 for the error of a handshake, of
// Policy.Check or of a Source.
func FailureType(err error) string {
	var (
		typed   *ResultError
		name    *NameError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &typed):
		return typed.Type
	case errors.As(err, &name), errors.As(err, &host):
		return "certificate-host-mismatch"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate-expired"
	case errors.As(err, &invalid), errors.As(err, &unknown):
		return "certificate-not-trusted"
	}
	return "validation-failure"
}
