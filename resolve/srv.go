package resolve

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// SRVFailure is a set of reasons to use the MX records where Routing.Service asks
// for SRV records.
type SRVFailure uint8

// The reasons of SRVFailure.
const (
	SRVMissing SRVFailure = 1 << iota // there is no SRV record
	SRVFails                          // the SRV records cannot be looked up; not if DNSSEC proves the answer to be wrong
)

// servicePorts are the ports that next hops and Routing.Service can name.
var servicePorts = map[string]uint16{"smtp": 25, "lmtp": 24, "submission": 587, "submissions": 465, "smtps": 465}

// isService tells a name that can stand in a DNS label behind an underscore.
func isService(s string) bool {
	return len(s) <= 62 && s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}

// lookupSRV finds the hosts that offer Routing.Service (RFC 2782), or those of
// the MX records where MXInstead says so.
func (o *Routing) lookupSRV(ctx context.Context, r Resolver, domain string) (facts, error) {
	name := "_" + strings.ToLower(o.Service) + "._tcp." + domain
	answer, err := ask(ctx, r, Question{name, TypeSRV})
	switch {
	case err != nil && o.MXInstead&SRVFails != 0 && mayPass(ctx, err):
		// What is found now is not what the domain may have wanted.
		f, err := o.lookupMX(ctx, r, domain)
		f.weak, f.secure = true, false
		return f, err
	case err != nil:
		return facts{}, fmt.Errorf("looking up the SRV records of %s: %w", name, err)
	case len(answer.SRV) == 0 && o.MXInstead&SRVMissing != 0:
		f, err := o.lookupMX(ctx, r, domain)
		// That there is no SRV record is part of the proof.
		f.secure = f.secure && answer.Secure
		f.expires = min(f.expires, until(negativeLife(answer.TTL)))
		return f, err
	case len(answer.SRV) == 0:
		return negative(noSRV, answer), nil
	}
	f := facts{secure: answer.Secure, srv: true, expires: until(life(answer.TTL))}
	if f.hosts = srvHosts(answer.SRV); len(f.hosts) > 0 {
		return f, nil
	}
	if slices.ContainsFunc(answer.SRV, func(s SRV) bool { return !isNull(s.Host) }) {
		return negative(noValidHost, answer), nil
	}
	return negative(noService, answer), nil
}

// srvHosts are the hosts of SRV records, by priority.
func srvHosts(records []SRV) []Host {
	var hosts []Host
	for _, srv := range records {
		if name, ok := hostOf(srv.Host); ok && srv.Port != 0 {
			hosts = append(hosts, Host{Name: name, Preference: srv.Priority, Port: srv.Port, weight: srv.Weight})
		}
	}
	return sorted(hosts)
}

// weigh orders hosts of one priority at random, so that each comes first as often
// as its weight says. Those of weight zero stand at the beginning of every draw,
// which leaves them a small chance (RFC 2782, "Weight").
func weigh(hosts []Host) {
	shuffle(hosts)
	slices.SortStableFunc(hosts, func(a, b Host) int { return min(int(a.weight), 1) - min(int(b.weight), 1) })
	total := 0
	for _, h := range hosts {
		total += int(h.weight)
	}
	for ; len(hosts) > 1; hosts = hosts[1:] {
		draw := rand.IntN(total + 1)
		sum, i := int(hosts[0].weight), 0
		for sum < draw {
			i++
			sum += int(hosts[i].weight)
		}
		chosen := hosts[i]
		copy(hosts[1:i+1], hosts[:i])
		hosts[0] = chosen
		total -= int(chosen.weight)
	}
}
