package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// System is a Resolver that asks the operating system, and so knows the hosts
// file and whatever else finds names there. The zero value is ready. It is safe
// for many goroutines.
//
// The system tells less than the DNS. No answer is Secure, NoName is never set,
// Canonical and TTL are not known, so that Cached keeps nothing of it; of types
// it knows A, AAAA, MX, SRV and TXT, the first two by the hosts file, too. Any
// other is an error that wraps errors.ErrUnsupported. Where the system has a
// search list, it completes host names that it does not find: rule 2 of Resolver
// then holds only for names that exist.
type System struct {
	Net *net.Resolver // nil: net.DefaultResolver
}

// Lookup implements Resolver. Its error is always an *Error.
func (s System) Lookup(ctx context.Context, q Question) (Answer, error) {
	r := s.Net
	if r == nil {
		r = net.DefaultResolver
	}
	name := canonicalName(q.Name)
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return Answer{}, &Error{Question: q, Err: errors.New("this is no domain name")}
	}
	if ctx.Err() != nil {
		return Answer{}, contextError(ctx, q, nil)
	}
	a, err := fromSystem(ctx, r, Question{name, q.Type})
	if err == nil || a.hasRecords(q.Type) { // of some records only those that are in order
		return a, nil
	}
	if ctx.Err() != nil {
		return Answer{}, contextError(ctx, q, nil)
	}
	return systemError(q, err)
}

// systemError tells that there are no records from a failure.
func systemError(q Question, err error) (Answer, error) {
	e := &Error{Question: q, Err: err}
	var otherFamily *net.AddrError
	if errors.As(err, &otherFamily) {
		return Answer{}, nil
	}
	if d := new(net.DNSError); errors.As(err, &d) {
		if d.IsNotFound {
			return Answer{}, nil
		}
		if d.IsTimeout {
			e.Kind = Timeout
		}
	}
	return Answer{}, e
}

func fromSystem(ctx context.Context, r *net.Resolver, q Question) (Answer, error) {
	switch q.Type {
	case TypeA:
		return systemAddrs(r.LookupNetIP(ctx, "ip4", q.Name))
	case TypeAAAA:
		return systemAddrs(r.LookupNetIP(ctx, "ip6", q.Name))
	case TypeMX:
		return systemMX(r.LookupMX(ctx, dns.Fqdn(q.Name)))
	case TypeSRV:
		_, records, err := r.LookupSRV(ctx, "", "", dns.Fqdn(q.Name))
		return systemSRV(records, err)
	case TypeTXT:
		texts, err := r.LookupTXT(ctx, dns.Fqdn(q.Name))
		return Answer{TXT: texts[:min(len(texts), maxRecords)]}, err
	}
	return Answer{}, fmt.Errorf("the system is not able to look up records of type %v: %w", q.Type, errors.ErrUnsupported)
}

func systemAddrs(addrs []netip.Addr, err error) (a Answer, _ error) {
	for _, addr := range addrs {
		a.Addrs = appendRecord(a.Addrs, addr.Unmap())
	}
	return a, err
}

func systemMX(records []*net.MX, err error) (a Answer, _ error) {
	for _, mx := range records { // sorted by preference
		a.MX = appendRecord(a.MX, MX{mx.Pref, canonicalName(mx.Host)})
	}
	return a, err
}

func systemSRV(records []*net.SRV, err error) (a Answer, _ error) {
	for _, s := range records {
		a.SRV = appendRecord(a.SRV, SRV{s.Priority, s.Weight, s.Port, canonicalName(s.Target)})
	}
	return a, err
}
