package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/address"
)

// lookupMX finds the names of the hosts (RFC 5321, Section 5.1).
func (o *Routing) lookupMX(ctx context.Context, r Resolver, domain string) (facts, error) {
	answer, err := ask(ctx, r, Question{domain, TypeMX})
	switch {
	case err != nil && o.IgnoreMXErrors && mayPass(ctx, err):
		return facts{weak: true, hosts: []Host{{Name: domain}}}, nil
	case err != nil:
		// Also for SERVFAIL and REFUSED: there may be MX records, so the
		// domain's own addresses must not be used.
		return facts{}, fmt.Errorf("looking up the MX records of %s: %w", domain, err)
	case answer.NoName:
		return negative(noDomain, answer), nil
	}
	f := facts{secure: answer.Secure, expires: until(life(answer.TTL))}
	if len(answer.MX) == 0 {
		f.hosts = []Host{{Name: domain}} // the implicit MX
		return f, nil
	}
	if f.hosts = mxHosts(answer.MX); len(f.hosts) > 0 {
		// A null MX beside others breaks RFC 7505; the others count.
		return f, nil
	}
	if slices.ContainsFunc(answer.MX, func(mx MX) bool { return !isNull(mx.Host) }) {
		return negative(noValidHost, answer), nil
	}
	return negative(nullMX, answer), nil
}

// mayPass tells whether a failed lookup may be passed over where Routing says so.
// A forgery may not: it is what the forger wants.
func mayPass(ctx context.Context, err error) bool {
	var e *Error
	bogus := errors.As(err, &e) && e.Kind == Bogus
	return !bogus && ctx.Err() == nil
}

// isNull tells the root, which says that there is no host.
func isNull(host string) bool { return host == "" || host == "." }

// mxHosts are the hosts of MX records: best first, each only once.
func mxHosts(records []MX) []Host {
	var hosts []Host
	for _, mx := range records {
		if name, ok := hostOf(mx.Host); ok {
			hosts = append(hosts, Host{Name: name, Preference: mx.Preference})
		}
	}
	return sorted(hosts)
}

// hostOf takes names of hosts, and addresses: a record must not have them, but
// mail gets through to those who wrote one.
func hostOf(s string) (name string, ok bool) {
	if isNull(s) {
		return "", false
	}
	if addr, ok := parseAddr(strings.TrimSuffix(s, ".")); ok {
		return addr.WithZone("").Unmap().String(), true
	}
	name, err := address.Domain(s)
	return name, err == nil
}

// sorted brings hosts to the one order in which they are kept, by preference and
// then by name, so that a domain with too many has the same ones each time. Of
// two with the same name and port the better one stays.
func sorted(hosts []Host) []Host {
	slices.SortStableFunc(hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Name, b.Name))
	})
	type place struct {
		name string
		port uint16
	}
	seen := make(map[place]bool, len(hosts))
	hosts = slices.DeleteFunc(hosts, func(h Host) bool {
		p := place{h.Name, h.Port}
		known := seen[p]
		seen[p] = true
		return known
	})
	return hosts[:min(len(hosts), maxHosts)]
}

// shuffle puts the hosts of equal preference in random order, which RFC 5321,
// Section 5.1 demands, or those of SRV records as their weights ask.
func (r *Route) shuffle() {
	for i := 0; i < len(r.all); {
		end := r.tier(i)
		if r.srv {
			weigh(r.all[i:end])
		} else {
			shuffle(r.all[i:end])
		}
		i = end
	}
}

func shuffle(hosts []Host) {
	for i := len(hosts) - 1; i > 0; i-- {
		j := int(rand.Uint32N(uint32(i + 1)))
		hosts[i], hosts[j] = hosts[j], hosts[i]
	}
}
