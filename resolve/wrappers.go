package resolve

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Func is a Resolver that is one function, for tests and wrappers.
type Func func(ctx context.Context, q Question) (Answer, error)

// Lookup implements Resolver.
func (f Func) Lookup(ctx context.Context, q Question) (Answer, error) { return f(ctx, q) }

// Filter leaves records out of another Resolver's answers.
type Filter struct {
	Resolver Resolver // nil: Default()
	// Keep tells whether a record of an answer to q stays. data is what a zone
	// file has: "192.0.2.1", "10 mx.example.org", "0 5 587 mx.example.org",
	// "3 1 1 0123456789abcdef", the text of a TXT record as it is, the target of
	// a CNAME record. It is called from many goroutines. nil: all stay.
	Keep func(q Question, data string) bool
}

// Lookup implements Resolver. An answer all of whose records are left out is an
// *Error of kind Filtered: a domain that has mail exchangers must not look like
// one that has none.
func (f Filter) Lookup(ctx context.Context, q Question) (Answer, error) {
	a, err := orDefaultResolver(f.Resolver).Lookup(ctx, q)
	if err != nil || f.Keep == nil || !a.hasRecords(q.Type) {
		return a, err
	}
	if q.Type == TypeCNAME && !f.Keep(q, a.Canonical) {
		a.Canonical = ""
	}
	a.Addrs = kept(f, q, a.Addrs, netip.Addr.String)
	a.MX = kept(f, q, a.MX, func(r MX) string { return fmt.Sprintf("%d %s", r.Preference, orRoot(r.Host)) })
	a.SRV = kept(f, q, a.SRV, func(r SRV) string { return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, orRoot(r.Host)) })
	a.TLSA = kept(f, q, a.TLSA, func(r TLSA) string {
		return fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.MatchingType, hex.EncodeToString(r.Data))
	})
	a.TXT = kept(f, q, a.TXT, func(s string) string { return s })
	if !a.hasRecords(q.Type) {
		return Answer{}, &Error{Question: q, Kind: Filtered, Err: errors.New("Filter.Keep leaves out every record")}
	}
	return a, nil
}

// kept makes a new list: the other Resolver still has the old one.
func kept[T any](f Filter, q Question, records []T, data func(T) string) []T {
	return slices.DeleteFunc(slices.Clone(records), func(r T) bool { return !f.Keep(q, data(r)) })
}

func orRoot(host string) string {
	if host == "" {
		return "."
	}
	return host
}

// Override answers some questions from literal records and leaves the others to
// another Resolver. An entry answers for its type alone, but A and AAAA belong
// together: a name with one of them has no address in the other Resolver. A
// TypeCNAME entry leads all questions for its name on to its Canonical, which
// the other Resolver may know. Where that Resolver finds aliases, their targets
// are not looked for among the records.
type Override struct {
	Static   Static
	Resolver Resolver // nil: Default()
}

// Lookup implements Resolver.
func (o Override) Lookup(ctx context.Context, q Question) (Answer, error) {
	way := Answer{Canonical: q.Name, Secure: true, TTL: maxTTL}
	for range maxAliases + 1 {
		asked := Question{way.Canonical, q.Type}
		if o.has(asked) {
			a, err := o.Static.Lookup(ctx, asked)
			return way.limit(a), err
		}
		alias, found := o.Static[Question{way.Canonical, TypeCNAME}]
		if !found {
			a, err := orDefaultResolver(o.Resolver).Lookup(ctx, asked)
			if err != nil || way.Canonical == q.Name {
				return a, err
			}
			return way.limit(a), nil
		}
		way.Canonical, way.Secure, way.TTL = alias.Canonical, way.Secure && alias.Secure, min(way.TTL, alias.TTL)
	}
	return Answer{}, nil // no end, no record
}

func (o Override) has(q Question) bool {
	if _, found := o.Static[q]; found {
		return true
	}
	other := map[Type]Type{TypeA: TypeAAAA, TypeAAAA: TypeA}[q.Type]
	_, found := o.Static[Question{q.Name, other}]
	return found && other != 0
}

// limit is an answer at the end of a way, worth no more than the way.
func (way Answer) limit(a Answer) Answer {
	a.Secure = a.Secure && way.Secure
	a.TTL = min(a.TTL, way.TTL)
	return a
}
