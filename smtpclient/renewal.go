package smtpclient

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// renewEvery is the least time between two renewals for one host, for all deliveries
// that share the cache: a host that is just broken must not cost a lookup for each
// message.
const renewEvery = 5 * time.Minute

// renewal is what the policy for a host has come to since it did not fit.
type renewal struct {
	route  *resolve.Route // nil: none was decided
	host   resolve.Host
	policy *tlspolicy.Policy // nil: the host has the one that it had
}

// fitting opens a session to t as way.session does. A server that does not fit its
// TLSA records may have a new certificate, and new records as well, which were
// published since the old ones were looked up: these are looked up again, and where
// they are others the same address is tried once more.
func (w *way) fitting(ctx context.Context, t *Target, rcpts []*recipient) (*Session, *Error) {
	s, err := w.session(ctx, t, rcpts)
	if err == nil || !w.renew(ctx, t, err) {
		return s, err
	}
	return w.session(ctx, t, rcpts)
}

// renew decides the policy of a host anew, with answers that no cache of ours has had,
// and tells whether only its TLSA records have changed. Nothing else may change in the
// middle of a host, and never does it end with a weaker policy: a host without any
// TLSA records now is for another call.
func (w *way) renew(ctx context.Context, t *Target, err *Error) bool {
	var misfit *tlspolicy.MisfitError
	if !errors.As(err.Cause, &misfit) || !w.mayRenew(ctx, t) {
		return false
	}
	p, failure := w.decideAnew(resolve.Afresh(ctx))
	if failure != nil || !p.Renews(&t.Policy) {
		return false
	}
	t.Policy, w.renewal.policy = p, &p
	return true
}

// renewTargets has the other addresses of the host held against the policy that one of
// them has led to.
func (w *way) renewTargets(targets []Target) {
	if w.renewal.policy == nil {
		return
	}
	for i := range targets {
		targets[i].Policy = *w.renewal.policy
	}
}

// mayRenew tells whether it is time to look the records of a host up again: once in a
// call, and not too often in all.
func (w *way) mayRenew(ctx context.Context, t *Target) bool {
	_, port, err := net.SplitHostPort(t.Addr)
	if err != nil || w.renewal.route == nil {
		return false
	}
	key := "dane-renewed/" + strings.ToLower(t.Host) + ":" + port
	if _, again := w.renewed.LoadOrStore(key, true); again {
		return false
	}
	if len(key) > 250 {
		return true
	}
	if _, recent, err := w.cache.Get(ctx, key); recent && err == nil {
		return false
	}
	_ = w.cache.Set(ctx, key, []byte{1}, renewEvery) // an error is a lookup too many
	return true
}
