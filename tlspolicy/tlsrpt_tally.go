package tlspolicy

import (
	"math"
	"net/netip"
	"slices"
	"strings"
)

// The bounds of what is kept for one domain and day. What goes beyond is counted
// without its particulars, so that sums stay right.
const (
	maxTallyPolicies = 32
	maxTallyDetails  = 64
	maxPolicyBytes   = 8 << 10
	maxReason        = 200
	maxName          = 255
)

// What things cost in memory besides their texts. A test holds it against the heap.
const (
	domainCost = 150
	policyCost = 150
	detailCost = 170
	lineCost   = 16
)

// tally is what became of the connections for one domain on one day.
type tally struct {
	Policies []policyTally
	silent   bool // the domain publishes no address: nothing is counted
	speaks   bool // it does
}

// policyTally counts under one policy.
type policyTally struct {
	Type      string        `json:"t"` // as in reports
	Domain    string        `json:"d"`
	Lines     []string      `json:"l,omitempty"`
	Hosts     []string      `json:"h,omitempty"`
	Successes int64         `json:"s,omitempty"`
	Details   []detailTally `json:"f,omitempty"`
}

// detailTally counts failures of one kind.
type detailTally struct {
	failure
	Sessions int64 `json:"n"`
}

// failure is what failures are told apart by.
type failure struct {
	Type      string     `json:"t"`
	LocalAddr netip.Addr `json:"l,omitzero"`
	Addr      netip.Addr `json:"a,omitzero"`
	Host      string     `json:"h,omitempty"`
	Hello     string     `json:"e,omitempty"`
	Reason    string     `json:"r,omitempty"`
}

// resultTypes are those of RFC 8460, Section 4.3.
var resultTypes = []string{"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
	"validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}

const noPolicyFound = "no-policy-found"

// add counts a result. It is false where there is no room, which is asked for with
// the bytes that are needed.
func (t *tally) add(r Result, room func(int) bool) bool {
	pub := r.Published
	if pub.Type != "tlsa" && pub.Type != "sts" {
		pub = Published{Type: noPolicyFound, Domain: r.Domain}
	}
	lines, hosts := within(pub.Lines, maxPolicyBytes), within(pub.Hosts, maxPolicyBytes)
	if pub.Type == "tlsa" && !slices.IsSorted(lines) {
		lines = slices.Sorted(slices.Values(lines)) // the DNS gives them in any order
	}
	p := t.policy(policyTally{Type: pub.Type, Domain: pub.Domain, Lines: lines, Hosts: hosts}, room)
	if p == nil {
		return false
	}
	if r.Failure == "" {
		p.Successes = plus(p.Successes, 1)
		return true
	}
	return p.fail(failure{Type: short(r.Failure, 64), LocalAddr: r.LocalAddr.WithZone(""), Addr: r.Addr.WithZone(""), Host: short(r.Host, maxName),
		Hello: short(r.Hello, maxName), Reason: reasonCode(r.Reason)}, 1, room)
}

// policy finds or adds the count for a policy: beyond the bound one of its type
// without its text; nil if there is no room.
func (t *tally) policy(like policyTally, room func(int) bool) *policyTally {
	if p := t.find(like); p != nil {
		return p
	}
	like.Successes, like.Details = 0, nil
	if len(t.Policies) < maxTallyPolicies && room(like.cost()) {
		return t.append(like)
	}
	like.Domain, like.Lines, like.Hosts = "", nil, nil
	if p := t.find(like); p != nil {
		return p
	}
	if !room(like.cost()) {
		return nil
	}
	return t.append(like)
}

func (t *tally) find(like policyTally) *policyTally {
	for i := range t.Policies {
		if p := &t.Policies[i]; p.Type == like.Type && p.Domain == like.Domain && slices.Equal(p.Lines, like.Lines) && slices.Equal(p.Hosts, like.Hosts) {
			return p
		}
	}
	return nil
}

func (t *tally) append(p policyTally) *policyTally {
	p.Type, p.Domain = strings.Clone(p.Type), strings.Clone(p.Domain)
	t.Policies = append(slices.Grow(t.Policies, 1), p)
	return &t.Policies[len(t.Policies)-1]
}

// fail counts failed sessions: beyond the bound by their type alone.
func (p *policyTally) fail(f failure, sessions int64, room func(int) bool) bool {
	if p.count(f, sessions) {
		return true
	}
	if len(p.Details) >= maxTallyDetails || !room(f.cost()) {
		if !slices.Contains(resultTypes, f.Type) {
			f.Type = "validation-failure"
		}
		f = failure{Type: f.Type}
		if p.count(f, sessions) {
			return true
		}
		if !room(f.cost()) {
			return false
		}
	}
	p.Details = append(slices.Grow(p.Details, 1), detailTally{f, sessions})
	return true
}

func (p *policyTally) count(f failure, sessions int64) bool {
	for i := range p.Details {
		if p.Details[i].failure == f {
			p.Details[i].Sessions = plus(p.Details[i].Sessions, sessions)
			return true
		}
	}
	return false
}

// merge adds what another has counted, and tells how much of it found no room.
func (t *tally) merge(other *tally, room func(int) bool) (lost int64) {
	for i := range other.Policies {
		o := &other.Policies[i]
		p := t.policy(*o, room)
		if p == nil {
			lost = plus(lost, plus(o.Successes, o.failures()))
			continue
		}
		p.Successes = plus(p.Successes, o.Successes)
		for _, d := range o.Details {
			if !p.fail(d.failure, d.Sessions, room) {
				lost = plus(lost, d.Sessions)
			}
		}
	}
	return lost
}

// plus adds counts, which are never negative and never overflow.
func plus(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

func (t *tally) cost() int {
	n := 0
	for i := range t.Policies {
		p := &t.Policies[i]
		n += p.cost()
		for _, d := range p.Details {
			n += d.cost()
		}
	}
	return n
}

// cost is that of the policy alone.
func (p *policyTally) cost() int {
	n := policyCost + len(p.Domain)
	for _, text := range [][]string{p.Lines, p.Hosts} {
		for _, line := range text {
			n += lineCost + len(line)
		}
	}
	return n
}

func (f *failure) cost() int {
	return detailCost + len(f.Host) + len(f.Hello) + len(f.Reason)
}

// within gives as many of the lines as have room in so many bytes.
func within(lines []string, limit int) []string {
	for i, line := range lines {
		if limit -= len(line) + lineCost; limit < 0 {
			return lines[:i]
		}
	}
	return lines
}

// reasonCode is a reason without what differs from one connection to the next: ports,
// and the time. "This is intended to be a short text field" (RFC 8460, Section
// 4.3.3).
func reasonCode(reason string) string {
	reason, _, _ = strings.Cut(reason, ": current time ") // as crypto/x509 has it
	var words []string
	for word := range strings.FieldsSeq(reason) {
		if !strings.Contains(word, "->") { // 192.0.2.1:40000->192.0.2.25:25, as package net has it
			words = append(words, word)
		}
	}
	return short(strings.Join(words, " "), maxReason)
}

// short makes a foreign text fit for a report.
func short(s string, limit int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Clone(s[:min(len(s), limit)]))
}
