package tlspolicy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/resolve"
)

// Table maps next hops to Sources. A key is a next hop as resolve.NextHop.String
// gives it: "example.org" in A-labels and lower case, "[mx.example.org]:587",
// "unix:/run/lmtp". ".example.org" stands for every domain below example.org
// that has no key of its own nor a longer one; it is looked for where the next
// hop is a domain without a port. A miss is no opinion. ParseTable checks keys;
// CheckKeys does for a Table that was made in Go.
type Table map[string]Source

// Decide implements Source.
func (t Table) Decide(ctx context.Context, q Query) (Policy, error) {
	if q.Route == nil {
		return Policy{}, nil
	}
	source, ok := t.find(q.Route.NextHop)
	if !ok || source == nil {
		return Policy{}, nil
	}
	return source.Decide(ctx, q)
}

// find looks for the next hop itself, and then for its parents.
func (t Table) find(hop resolve.NextHop) (Source, bool) {
	key := hop.String()
	if source, ok := t[key]; ok {
		return source, true
	}
	if hop.Kind != resolve.ViaMX || hop.Port != 0 {
		return nil, false
	}
	for rest := key; ; {
		_, parent, more := strings.Cut(rest, ".")
		if !more {
			return nil, false
		}
		if source, ok := t["."+parent]; ok {
			return source, true
		}
		rest = parent
	}
}

// CheckKeys is an error if t has a key that no next hop can have, as one with
// capital letters.
func (t Table) CheckKeys() error {
	for key := range t {
		want, err := tableKey(key)
		if err != nil {
			return fmt.Errorf("key %q of a Table: %w", key, err)
		}
		if want != key {
			return fmt.Errorf("key %q of a Table: no next hop is written like that; write %q", key, want)
		}
	}
	return nil
}

// tableKey brings a key to the form that Table has.
func tableKey(s string) (string, error) {
	if parent, ok := strings.CutPrefix(s, "."); ok {
		name, err := address.Domain(parent)
		return "." + name, err
	}
	hop, err := resolve.ParseNextHop(s)
	if err != nil {
		return "", err
	}
	return hop.String(), nil
}

// entry is a line of a policy file.
type entry struct {
	policy  Policy
	failure string // policy_failure; "": none
}

// Decide implements Source. The attributes of Postfix's MTA-STS plugins are
// carried out as Postfix 3.11 does: the host has to fit one of the patterns, and
// its certificate the host.
func (e entry) Decide(ctx context.Context, q Query) (Policy, error) {
	p := e.policy
	if q.Message == NotRequired && p.Published.Type == "sts" {
		return Policy{}, nil
	}
	if p.Published.Type == "sts" && len(p.Published.Hosts) > 0 && p.Level.Authenticates() {
		if !hostFits(q.Host.Name, p.Published.Hosts) {
			return Policy{}, &ResultError{Type: "validation-failure", Published: p.Published,
				Err: fmt.Errorf("the MTA-STS policy of %s does not have the host %s", p.Published.Domain, q.Host.Name)}
		}
		p.Names = []string{"hostname"}
	}
	if e.failure != "" && p.Level.Authenticates() {
		return Policy{}, &ResultError{Type: e.failure, Published: p.Published, Err: errors.New("the policy table says that the policy failed: " + e.failure)}
	}
	return p.Decide(ctx, q)
}

// hostFits holds a host against patterns, where "*." stands for one label (RFC
// 8461, Section 4.1).
func hostFits(host string, patterns []string) bool {
	for _, pattern := range patterns {
		if parent, ok := strings.CutPrefix(pattern, "*."); ok {
			if _, rest, _ := strings.Cut(host, "."); rest == parent {
				return true
			}
		} else if host == pattern {
			return true
		}
	}
	return false
}
