package tlspolicy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/postrider/postrider/resolve"
)

// ID tells policies apart: two that differ in anything a channel depends on have
// different ones. It is the same in another process, unless Roots were set in Go:
// then it is good in this process only.
func (p Policy) ID() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %t %q %q %q %d %d %v ", p.Level, p.Implicit, p.Names, p.Fingerprints, p.ServerName, p.MinVersion, p.MaxVersion, p.Ciphers)
	for _, r := range p.TLSA {
		fmt.Fprintf(h, "%d %d %d %x ", r.Usage, r.Selector, r.MatchingType, r.Data)
	}
	switch {
	case p.Roots == nil:
	case p.rootsName != "":
		fmt.Fprintf(h, "roots %q ", p.rootsName)
	default:
		fmt.Fprintf(h, "roots %p ", p.Roots)
	}
	if p.also != nil {
		fmt.Fprintf(h, "also %s ", p.also.ID())
	}
	fmt.Fprintf(h, "%t %t %t %d", p.floor, p.NoPlaintextRetry, p.NoReuse, p.RequireTLS)
	return hex.EncodeToString(h.Sum(nil))
}

// Same tells whether p and q ask the same of a channel, as their IDs do, without
// making one.
func (p *Policy) Same(q *Policy) bool {
	return p.Level == q.Level && p.Implicit == q.Implicit && slices.Equal(p.Names, q.Names) &&
		slices.Equal(p.Fingerprints, q.Fingerprints) && slices.EqualFunc(p.TLSA, q.TLSA, sameTLSA) &&
		p.ServerName == q.ServerName && p.Roots == q.Roots && p.MinVersion == q.MinVersion && p.MaxVersion == q.MaxVersion &&
		slices.Equal(p.Ciphers, q.Ciphers) && p.NoPlaintextRetry == q.NoPlaintextRetry && p.NoReuse == q.NoReuse &&
		p.RequireTLS == q.RequireTLS && p.floor == q.floor && (p.also == q.also || p.also != nil && q.also != nil && p.also.Same(q.also))
}

// Renews tells whether p asks the same of a channel as old did, but with other TLSA
// records.
func (p *Policy) Renews(old *Policy) bool {
	before := p.withTLSA(old)
	return before.Same(old) && !p.Same(old)
}

// withTLSA is p with the records of old, where both have some.
func (p Policy) withTLSA(old *Policy) Policy {
	if len(p.TLSA) > 0 && len(old.TLSA) > 0 {
		p.TLSA = old.TLSA
	}
	if p.also != nil && old.also != nil {
		also := p.also.withTLSA(old.also)
		p.also = &also
	}
	return p
}

func sameTLSA(a, b resolve.TLSA) bool {
	return a.Usage == b.Usage && a.Selector == b.Selector && a.MatchingType == b.MatchingType && bytes.Equal(a.Data, b.Data)
}
