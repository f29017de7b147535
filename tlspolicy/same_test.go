package tlspolicy

import (
	"crypto/x509"
	"reflect"
	"testing"

	"github.com/postrider/postrider/resolve"
)

// Every field of a Policy that a channel depends on makes another one of it, for ID
// and for Same. A new field has to be put here.
func TestPolicySame(t *testing.T) {
	changes := map[string]func(*Policy){
		"Level":            func(p *Policy) { p.Level = Verify },
		"Implicit":         func(p *Policy) { p.Implicit = true },
		"Names":            func(p *Policy) { p.Names = []string{"nexthop"} },
		"Fingerprints":     func(p *Policy) { p.Fingerprints = []string{"ab"} },
		"TLSA":             func(p *Policy) { p.TLSA = []resolve.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: []byte{1}}} },
		"ServerName":       func(p *Policy) { p.ServerName = "x" },
		"Roots":            func(p *Policy) { p.Roots = x509.NewCertPool() },
		"MinVersion":       func(p *Policy) { p.MinVersion = 0x304 },
		"MaxVersion":       func(p *Policy) { p.MaxVersion = 0x303 },
		"Ciphers":          func(p *Policy) { p.Ciphers = []uint16{1} },
		"NoPlaintextRetry": func(p *Policy) { p.NoPlaintextRetry = true },
		"NoReuse":          func(p *Policy) { p.NoReuse = true },
		"RequireTLS":       func(p *Policy) { p.RequireTLS = RequireTLSIgnore },
		"floor":            func(p *Policy) { p.floor = true },
		"also":             func(p *Policy) { p.also = &Policy{Level: Verify} },
	}
	apart := map[string]bool{"Published": true, "rootsName": true} // for reports; a name of Roots
	for i := range reflect.TypeFor[Policy]().NumField() {
		name := reflect.TypeFor[Policy]().Field(i).Name
		change := changes[name]
		if (change == nil) == !apart[name] {
			t.Errorf("field %s is in neither list, or in both", name)
		}
		if change == nil {
			continue
		}
		var a, b, c Policy
		change(&b)
		change(&c)
		if a.Same(&b) || b.Same(&a) || a.ID() == b.ID() {
			t.Errorf("%s does not tell policies apart", name)
		}
		if name != "Roots" && !b.Same(&c) {
			t.Errorf("%s: two policies made alike are not the same", name)
		}
	}
}

// D19: a policy renews another one if its TLSA records, its own or those that count
// besides, are others, and nothing else is.
func TestPolicyRenews(t *testing.T) {
	one, two := []resolve.TLSA{{Usage: 3, Data: []byte{1}}}, []resolve.TLSA{{Usage: 3, Data: []byte{2}}}
	old := Policy{Level: DANE, Names: []string{"mx"}, TLSA: one}
	for name, tt := range map[string]struct {
		p, old Policy
		want   bool
	}{
		"other records":          {Policy{Level: DANE, Names: []string{"mx"}, TLSA: two}, old, true},
		"more records":           {Policy{Level: DANE, Names: []string{"mx"}, TLSA: append(two, one...)}, old, true},
		"the same":               {old, old, false},
		"no records":             {Policy{Level: DANE, Names: []string{"mx"}}, old, false},
		"records where none was": {old, Policy{Level: DANE, Names: []string{"mx"}}, false},
		"another level":          {Policy{Level: DANEOnly, Names: []string{"mx"}, TLSA: two}, old, false},
		"other names":            {Policy{Level: DANE, Names: []string{"mx", "net"}, TLSA: two}, old, false},
		"no proof":               {Policy{Level: DANE, Names: []string{"mx"}, TLSA: two, floor: true}, old, false},
		"less":                   {Policy{Level: May}, old, false},
		"besides MTA-STS":        {Policy{Level: Verify, also: &Policy{Level: DANE, TLSA: two}}, Policy{Level: Verify, also: &Policy{Level: DANE, TLSA: one}}, true},
		"MTA-STS alone":          {Policy{Level: Verify}, Policy{Level: Verify, also: &Policy{Level: DANE, TLSA: one}}, false},
		"MTA-STS has changed":    {Policy{Level: Verify, Names: []string{"x"}, also: &Policy{Level: DANE, TLSA: two}}, Policy{Level: Verify, also: &Policy{Level: DANE, TLSA: one}}, false},
	} {
		if got := tt.p.Renews(&tt.old); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
