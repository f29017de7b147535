package tlspolicy

import (
	"context"
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
}

// Recorder takes the result of every TLS attempt. Record is called from many
// goroutines, in the way of the delivery: it must return soon.
type Recorder interface {
	Record(ctx context.Context, r Result)
}

// Result is how one attempt to speak TLS with a host ended.
type Result struct {
	Time      time.Time
	Published Published
	Policy    Level      // that was asked for
	LocalAddr netip.Addr // zero if it is not an IP connection
	Host      string
	Addr      netip.Addr // zero if it is not an IP connection
	// Failure is a result type of RFC 8460, Section 4.3, as
	// "starttls-not-supported"; "": success.
	Failure string
	Reason  string // what went wrong, in words
}
