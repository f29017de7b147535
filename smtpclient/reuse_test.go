package smtpclient

import (
	"context"
	"crypto/tls"
	"reflect"
	"testing"

	sasl "github.com/emersion/go-sasl"

	"github.com/postrider/postrider/tlspolicy"
)

// Each field of a Target tells sessions apart, but for those that only say how one
// is opened. A new field has to be put into one of the two lists.
func TestSameTarget(t *testing.T) {
	counts := map[string]func(*Target){
		"Addr":       func(t *Target) { t.Addr = "192.0.2.1:25" },
		"Host":       func(t *Target) { t.Host = "mx.example.net" },
		"Protocol":   func(t *Target) { t.Protocol = LMTP },
		"Policy":     func(t *Target) { t.Policy.Level = tlspolicy.Verify },
		"Credential": func(t *Target) { t.Credential = &Credential{} },
		"loops":      func(t *Target) { t.loops = true },
		"unproven":   func(t *Target) { t.unproven = true },
		"lenient":    func(t *Target) { t.lenient = true },
	}
	opening := map[string]bool{"fresh": true, "memory": true, "results": true, "helo": true, "opened": true, "token": true, "late": true, "claims": true, "use": true, "domain": true}
	for i := range reflect.TypeFor[Target]().NumField() {
		name := reflect.TypeFor[Target]().Field(i).Name
		change := counts[name]
		if (change == nil) == !opening[name] {
			t.Errorf("field %s is in neither list, or in both", name)
		}
		if change == nil {
			continue
		}
		var a, b Target
		change(&b)
		if a.same(&b) || b.same(&a) || !b.same(&b) {
			t.Errorf("%s does not tell targets apart", name)
		}
	}
}

// Credentials are the same if they show the same; functions are never the same.
func TestSameCredential(t *testing.T) {
	changes := map[string]func(*Credential){
		"User":       func(c *Credential) { c.User = "ann" },
		"Password":   func(c *Credential) { c.Password = "sesame" },
		"Token":      func(c *Credential) { c.Token = func(context.Context) (string, error) { return "", nil } },
		"Identity":   func(c *Credential) { c.Identity = "bob" },
		"Mechanisms": func(c *Credential) { c.Mechanisms = []string{"PLAIN"} },
		"Channel":    func(c *Credential) { c.Channel = tlspolicy.None },
		"ownOnly":    func(c *Credential) { c.ownOnly = true },
		"SASL": func(c *Credential) {
			c.SASL = func(string, *tls.ConnectionState) (sasl.Client, error) { return nil, nil }
		},
	}
	if n := reflect.TypeFor[Credential]().NumField(); n != len(changes) {
		t.Errorf("Credential has %d fields, %d are tested", n, len(changes))
	}
	for name, change := range changes {
		var a, b, c Credential
		change(&b)
		change(&c)
		if a.same(&b) || b.same(&a) || !b.same(&b) || a.same(nil) || (*Credential)(nil).same(&a) {
			t.Errorf("%s does not tell credentials apart", name)
		}
		if isFunc := name == "Token" || name == "SASL"; b.same(&c) == isFunc {
			t.Errorf("%s: two credentials made alike are the same: %v", name, b.same(&c))
		}
	}
}
