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
