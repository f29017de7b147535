package resolve

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// walk follows the aliases of a name through one or more replies.
type walk struct {
	question Question
	name     string // where the aliases have led to so far
	aliases  int
	answer   Answer
}

func newWalk(q Question) *walk {
	return &walk{question: q, name: canonicalName(q.Name), answer: Answer{Secure: true, TTL: maxTTL}}
}

// result is the Answer once the walk is done.
func (w *walk) result() Answer {
	if w.question.Type != TypeCNAME {
		w.answer.Canonical = w.name
	}
	if len(w.answer.MX) > maxRecords {
		slices.SortStableFunc(w.answer.MX, func(a, b MX) int { return cmp.Compare(a.Preference, b.Preference) })
		w.answer.MX = w.answer.MX[:maxRecords]
	}
	return w.answer
}

// take goes on with a reply. The walk is done unless the reply ends at an alias
// whose target has to be asked for. Only records of the name that the walk has
// come to are looked at: others are none of our business, or a forgery.
func (w *walk) take(r reply) (done bool, err error) {
	w.answer.Secure = w.answer.Secure && r.secure
	moved := false
	for {
		found, err := w.addRecords(r.msg.Answer)
		if found || err != nil {
			return true, err
		}
		alias := w.alias(r.msg.Answer)
		if alias == nil {
			break
		}
		if w.aliases++; w.aliases > maxAliases {
			w.answer.Secure = false
			w.answer.TTL = 0
			return true, nil // no end, no record
		}
		w.name, moved = canonicalName(alias.Target), true
		w.limitTTL(alias.Hdr.Ttl)
	}
	soa := findSOA(r.msg.Ns)
	if moved && soa == nil && r.msg.Rcode == dns.RcodeSuccess {
		return false, nil
	}
	w.answer.NoName = r.msg.Rcode == dns.RcodeNameError
	if soa == nil {
		w.answer.TTL = 0
	} else {
		w.limitTTL(min(soa.Hdr.Ttl, soa.Minttl)) // RFC 2308
	}
	return true, nil
}

// alias finds the CNAME record of the current name.
func (w *walk) alias(rrs []dns.RR) *dns.CNAME {
	if w.question.Type == TypeCNAME {
		return nil
	}
	for _, rr := range rrs {
		if c, ok := rr.(*dns.CNAME); ok && w.owns(rr) && c.Target != "" {
			return c
		}
	}
	return nil
}

// addRecords takes the records that answer the question.
func (w *walk) addRecords(rrs []dns.RR) (found bool, err error) {
	for _, rr := range rrs {
		if !w.owns(rr) || rr.Header().Rrtype != uint16(w.question.Type) {
			continue
		}
		if err := w.addRecord(rr); err != nil {
			return false, err
		}
		found = true
		w.limitTTL(rr.Header().Ttl)
	}
	return found, nil
}

// owns compares without a copy: there may be thousands of records, for each of
// the aliases. Bytes outside ASCII are escaped, so EqualFold folds only letters.
func (w *walk) owns(rr dns.RR) bool {
	h := rr.Header()
	return h.Class == dns.ClassINET && strings.EqualFold(strings.TrimSuffix(h.Name, "."), w.name)
}

// errTooMany: of TLSA records none may be left out. The one that fits might be
// among the rest, or the others be taken for all there are.
var errTooMany = fmt.Errorf("there are more than %d TLSA records; the domain has to remove some", maxRecords)

// addRecord takes one record. The message parser lets records pass that end too
// early: an MX record without a host would look like a null MX.
func (w *walk) addRecord(rr dns.RR) error {
	a := &w.answer
	short := false
	switch rr := rr.(type) {
	case *dns.A:
		addr, ok := netip.AddrFromSlice(rr.A.To4())
		a.Addrs, short = appendRecord(a.Addrs, addr), !ok
	case *dns.AAAA:
		addr, ok := netip.AddrFromSlice(rr.AAAA)
		a.Addrs, short = appendRecord(a.Addrs, addr), !ok
	case *dns.MX:
		a.MX, short = append(a.MX, MX{rr.Preference, canonicalName(rr.Mx)}), rr.Mx == ""
	case *dns.SRV:
		a.SRV, short = appendRecord(a.SRV, SRV{rr.Priority, rr.Weight, rr.Port, canonicalName(rr.Target)}), rr.Target == ""
	case *dns.TLSA:
		if len(a.TLSA) == maxRecords {
			return errTooMany
		}
		data, err := hex.DecodeString(rr.Certificate)
		a.TLSA = appendRecord(a.TLSA, TLSA{rr.Usage, rr.Selector, rr.MatchingType, data})
		short = err != nil || len(data) == 0
	case *dns.TXT:
		a.TXT, short = appendRecord(a.TXT, joinStrings(rr.Txt)), rr.Hdr.Rdlength == 0
	case *dns.CNAME:
		a.Canonical, short = canonicalName(rr.Target), rr.Target == ""
	default:
		return fmt.Errorf("records of type %v are not supported", w.question.Type)
	}
	if short {
		return fmt.Errorf("a record of type %v ends too early", w.question.Type)
	}
	return nil
}

func appendRecord[T any](records []T, r T) []T {
	if len(records) >= maxRecords {
		return records
	}
	return append(records, r)
}

// limitTTL keeps the least TTL on the way. One with the top bit set is zero
// (RFC 2181).
func (w *walk) limitTTL(seconds uint32) {
	if seconds > 1<<31-1 {
		seconds = 0
	}
	w.answer.TTL = min(w.answer.TTL, time.Duration(seconds)*time.Second)
}

func findSOA(rrs []dns.RR) *dns.SOA {
	for _, rr := range rrs {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa
		}
	}
	return nil
}

// canonicalName is the form of names in questions and answers; "" is the root.
func canonicalName(s string) string {
	return strings.TrimSuffix(strings.ToLower(s), ".")
}

// joinStrings puts the strings of a TXT record together as the bytes that they
// were: the message parser escapes some as \" or \200.
func joinStrings(parts []string) string {
	var b strings.Builder
	for _, s := range parts {
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] != '\\' || i+1 == len(s):
				b.WriteByte(s[i])
			case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
				b.WriteByte((s[i+1]-'0')*100 + (s[i+2]-'0')*10 + s[i+3] - '0')
				i += 3
			default:
				i++
				b.WriteByte(s[i])
			}
		}
	}
	return b.String()
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
