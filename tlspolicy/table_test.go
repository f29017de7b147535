package tlspolicy_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

func tlsa(usage, selector, matching uint8, data string) resolve.TLSA {
	b, _ := hex.DecodeString(data)
	return resolve.TLSA{Usage: usage, Selector: selector, MatchingType: matching, Data: b}
}

// query is about a host of a next hop.
func query(t *testing.T, nextHop, host string) tlspolicy.Query {
	t.Helper()
	hop, err := resolve.ParseNextHop(nextHop)
	if err != nil {
		t.Fatal(err)
	}
	return tlspolicy.Query{Route: &resolve.Route{NextHop: hop}, Host: resolve.Host{Name: host}}
}

// The next hop as it is comes first, then its parents, the nearest first. A next
// hop in brackets or with a port has no parents.
func TestTableLookup(t *testing.T) {
	table := tlspolicy.Table{
		"example.org":          tlspolicy.Encrypt,
		".example.org":         tlspolicy.Verify,
		".a.example.org":       tlspolicy.Secure,
		"[mx.example.org]:587": tlspolicy.None,
		"unix:/run/lmtp":       tlspolicy.Encrypt,
		".org":                 tlspolicy.May,
	}
	if err := table.CheckKeys(); err != nil {
		t.Error(err)
	}
	for hop, want := range map[string]tlspolicy.Level{
		"example.org": tlspolicy.Encrypt, "Example.ORG": tlspolicy.Encrypt,
		"b.example.org": tlspolicy.Verify, "c.b.example.org": tlspolicy.Verify,
		"a.example.org": tlspolicy.Verify, "b.a.example.org": tlspolicy.Secure,
		"example.com": 0, "other.org": tlspolicy.May, "org": 0,
		"[mx.example.org]:587": tlspolicy.None, "[mx.example.org]": 0, "[mx.example.org]:25": 0,
		"example.org:587": 0, "unix:/run/lmtp": tlspolicy.Encrypt, "unix:/run/other": 0,
	} {
		if p, err := table.Decide(t.Context(), query(t, hop, "mx.example.org")); err != nil || p.Level != want {
			t.Errorf("%s: level %v, error %v, want %v", hop, p.Level, err, want)
		}
	}
	if p, err := table.Decide(t.Context(), tlspolicy.Query{}); err != nil || p.Level != 0 {
		t.Errorf("without a route: %v, %v", p.Level, err)
	}
	for _, key := range []string{"Example.org", "bücher.example", "[mx.example.org]:0587", "a b", "", ".", "example.org."} {
		if err := (tlspolicy.Table{key: tlspolicy.Secure}).CheckKeys(); err == nil {
			t.Errorf("key %q, which nothing will ever find, is fine", key)
		}
	}
}

type failing struct{ err error }

func (f failing) Decide(context.Context, tlspolicy.Query) (tlspolicy.Policy, error) {
	return tlspolicy.Policy{}, f.err
}

// The first with an opinion decides, and an error is one: nothing weaker comes
// after it.
func TestSources(t *testing.T) {
	fails := failing{errors.New("no answer")}
	for name, tt := range map[string]struct {
		sources tlspolicy.Sources
		want    tlspolicy.Level
		fails   bool
	}{
		"first":        {tlspolicy.Sources{tlspolicy.Secure, tlspolicy.May}, tlspolicy.Secure, false},
		"no opinion":   {tlspolicy.Sources{tlspolicy.Table{}, tlspolicy.May}, tlspolicy.May, false},
		"error":        {tlspolicy.Sources{fails, tlspolicy.May}, 0, true},
		"error behind": {tlspolicy.Sources{tlspolicy.May, fails}, tlspolicy.May, false},
		"empty":        {nil, 0, false},
		"wrapped":      {tlspolicy.Sources{tlspolicy.Policy{Implicit: true}, tlspolicy.Secure}, 0, false},
	} {
		p, err := tt.sources.Decide(t.Context(), query(t, "example.org", "mx.example.org"))
		if p.Level != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: %v, %v", name, p.Level, err)
		}
	}
}

// Names are those of the next hop and host that were asked about.
func TestDecideFillsIn(t *testing.T) {
	p, err := tlspolicy.Secure.Decide(t.Context(), query(t, "example.org", "mx.example.net"))
	if err != nil || strings.Join(p.Names, " ") != "example.org .example.org" || p.ServerName != "mx.example.net" {
		t.Errorf("names %q, SNI %q, error %v", p.Names, p.ServerName, err)
	}
}
