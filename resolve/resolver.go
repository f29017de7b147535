package resolve

import (
	"context"
	"net/netip"
	"strconv"
	"time"
)

// Resolver answers DNS questions. An implementation keeps these rules, which
// package resolvetest checks by their numbers:
//
//  1. Lookup may be called from many goroutines at once, and returns when ctx
//     ends, with an error that wraps ctx's.
//  2. Names in questions and answers are A-labels in lower case without a final
//     dot, and absolute: no search list is applied.
//  3. A name that does not exist (Answer.NoName), or that has no record of the
//     type, is an Answer without records, not an error.
//  4. An error means that nothing is known. Mail then waits; it never bounces.
//     A type that the Resolver is not able to ask for is an error that wraps
//     errors.ErrUnsupported.
//  5. Aliases are followed; Answer.Canonical is the name at their end.
//  6. Answer.Secure is set only if every step of the way was validated.
//  7. The caller does not change an Answer, nor does the Resolver afterwards.
type Resolver interface {
	Lookup(ctx context.Context, q Question) (Answer, error)
}

// Question asks for the records of one type under one name.
type Question struct {
	Name string
	Type Type
}

// Type is a DNS record type, with the numbers of the DNS.
type Type uint16

// The types that Postrider asks for.
const (
	TypeA     Type = 1
	TypeCNAME Type = 5
	TypeMX    Type = 15
	TypeTXT   Type = 16
	TypeAAAA  Type = 28
	TypeSRV   Type = 33
	TypeTLSA  Type = 52
)

var typeNames = map[Type]string{TypeA: "A", typeNS: "NS", TypeCNAME: "CNAME", TypeMX: "MX", TypeTXT: "TXT", TypeAAAA: "AAAA",
	TypeSRV: "SRV", TypeTLSA: "TLSA"}

// String gives the name of the type, as "MX", or "TYPE99" where there is none
// here.
func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// Answer holds the records of a Question. Of the slices only the one that
// belongs to the type is set.
type Answer struct {
	Addrs []netip.Addr // TypeA, TypeAAAA
	MX    []MX         // TypeMX, in the order of the answer
	SRV   []SRV        // TypeSRV
	TLSA  []TLSA       // TypeTLSA
	TXT   []string     // TypeTXT, the strings of a record joined

	Canonical string        // the name at the end of the aliases, "" if not known; for TypeCNAME the target, "" if there is none
	NoName    bool          // the name does not exist at all (NXDOMAIN); a Resolver that cannot tell leaves it false
	Secure    bool          // validated by DNSSEC
	TTL       time.Duration // how long this holds, also where there are no records; zero: not known
}

// MX is a mail exchanger. Host is "" for the null MX of RFC 7505.
type MX struct {
	Preference uint16
	Host       string
}

// SRV is the place of a service. Host is "" where the service is not offered.
type SRV struct {
	Priority, Weight, Port uint16
	Host                   string
}

// TLSA is a TLS association (RFC 6698).
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}
