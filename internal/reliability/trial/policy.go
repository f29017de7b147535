package trial

import (
	"context"
	"crypto/x509"
	"sync/atomic"

	"github.com/postrider/postrider/tlspolicy"
)

// policies are those of the town, which change with the epoch. What was decided
// for a letter is noted on it.
type policies struct {
	dice  dice
	roots *x509.CertPool
	epoch atomic.Int64
}

type letterKey struct{}

// Decide implements tlspolicy.Source.
func (p *policies) Decide(ctx context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	policy := tlspolicy.Policy{Level: tlspolicy.May, Roots: p.roots}
	switch t := p.dice.about("policy "+q.Host.Name, int(p.epoch.Load())); t.IntN(10) {
	case 0:
		policy.Level = tlspolicy.None
	case 1, 2:
		policy.Level = tlspolicy.Encrypt
	case 3, 4:
		policy.Level, policy.Names = tlspolicy.Verify, []string{"hostname"}
	}
	if l, ok := ctx.Value(letterKey{}).(*letter); ok {
		l.decided(q.Host.Name, policy.Level)
	}
	return policy, nil
}
