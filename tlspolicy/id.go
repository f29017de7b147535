package tlspolicy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	fmt.Fprintf(h, "%t %t %d", p.NoPlaintextRetry, p.NoReuse, p.RequireTLS)
	return hex.EncodeToString(h.Sum(nil))
}
