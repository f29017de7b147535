package dnstest

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

const (
	defaultTTL = 3600 // seconds
	// maxAliases bounds the CNAME records of an answer.
	maxAliases = 8
)

// zone is a Zone after parsing. Names are in lower case, without a final dot.
type zone struct {
	apex    string
	secure  bool
	soa     *dns.SOA
	records map[key][]dns.RR
	names   map[string]bool // those with records at or below them
}

type key struct {
	name  string
	qtype uint16
}

// ready parses the zones before the first use.
func (s *Server) ready() error {
	s.load.Do(func() {
		for i, z := range s.Zones {
			parsed, err := parseZone(z)
			if err != nil {
				s.loadErr = fmt.Errorf("dnstest: Zones[%d]: %w", i, err)
				return
			}
			s.zones = append(s.zones, parsed)
		}
	})
	return s.loadErr
}

func parseZone(z Zone) (*zone, error) {
	parsed := &zone{secure: z.Secure, records: make(map[key][]dns.RR), names: make(map[string]bool)}
	var all []dns.RR
	zp := dns.NewZoneParser(strings.NewReader(z.Text), "", "")
	zp.SetDefaultTTL(defaultTTL)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		all = append(all, rr)
		if soa, ok := rr.(*dns.SOA); ok {
			parsed.soa = soa
		}
	}
	if err := zp.Err(); err != nil {
		return nil, err
	}
	if err := parsed.findApex(z.Text); err != nil {
		return nil, err
	}
	for _, rr := range all {
		if err := parsed.add(rr); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

// findApex takes the owner of the SOA record, or the first $ORIGIN.
func (z *zone) findApex(text string) error {
	if z.soa != nil {
		z.apex = lower(z.soa.Hdr.Name)
		return nil
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "$ORIGIN" {
			z.apex = lower(words[1])
			z.soa = ownSOA(z.apex)
			return nil
		}
	}
	return fmt.Errorf("the text needs $ORIGIN or an SOA record")
}

func ownSOA(apex string) *dns.SOA {
	name := dns.Fqdn(apex)
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: defaultTTL},
		Ns:  name, Mbox: name, Serial: 1, Refresh: defaultTTL, Retry: defaultTTL, Expire: defaultTTL, Minttl: 300,
	}
}

func (z *zone) add(rr dns.RR) error {
	name := lower(rr.Header().Name)
	if !z.holds(name) {
		return fmt.Errorf("%s is outside the zone %s: %v", name, dns.Fqdn(z.apex), rr)
	}
	k := key{name, rr.Header().Rrtype}
	z.records[k] = append(z.records[k], rr)
	for ; z.holds(name); name = parent(name) {
		z.names[name] = true
		if name == z.apex {
			break
		}
	}
	return nil
}

// holds tells whether a name is at or below the apex.
func (z *zone) holds(name string) bool {
	return z.apex == "" || name == z.apex || strings.HasSuffix(name, "."+z.apex)
}

func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// found is what there is about a name.
type found struct {
	rcode             int
	answer, authority []dns.RR
	secure            bool
}

// find follows a name through the zones.
func (s *Server) find(name string, qtype uint16) found {
	f := found{rcode: dns.RcodeSuccess, secure: true}
	for range maxAliases + 1 {
		z := s.zoneOf(name)
		if z == nil {
			if len(f.answer) == 0 {
				f.rcode, f.secure = dns.RcodeRefused, false
			}
			return f
		}
		f.secure = f.secure && z.secure
		if rrs := z.records[key{name, qtype}]; len(rrs) > 0 {
			f.answer = append(f.answer, rrs...)
			return f
		}
		aliases := z.records[key{name, dns.TypeCNAME}]
		if len(aliases) == 0 {
			f.authority = []dns.RR{z.soa}
			if !z.names[name] && name != z.apex {
				f.rcode = dns.RcodeNameError
			}
			return f
		}
		f.answer = append(f.answer, aliases[0])
		name = lower(aliases[0].(*dns.CNAME).Target)
	}
	return f
}

// zoneOf finds the zone that is closest to a name.
func (s *Server) zoneOf(name string) *zone {
	var best *zone
	for _, z := range s.zones {
		if z.holds(name) && (best == nil || len(z.apex) > len(best.apex)) {
			best = z
		}
	}
	return best
}
