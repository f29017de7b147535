package tlspolicy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/postrider/postrider/resolve"
)

// decideDANE finds the policy that the TLSA records of the host make: the zero
// Policy if there are none, so that the next Source decides, but an error at
// DANEOnly. Every lookup that fails is an error, too: whoever can suppress an
// answer must not be able to turn DANE off (RFC 7672, Section 2.1.2).
func decideDANE(ctx context.Context, q Query, level Level) (Policy, error) {
	p, err := danePolicy(ctx, q, level)
	if err != nil {
		failure := "dane-required" // RFC 8460, Section 4.3.2.1
		var failed *lookupError
		if errors.As(err, &failed) {
			failure = "dnssec-invalid"
		}
		return Policy{}, &ResultError{Type: failure, Published: Published{Type: "tlsa", Domain: q.Host.Name},
			Err: fmt.Errorf("DANE for %s: %w", q.Host.Name, err)}
	}
	return p, nil
}

// lookupError is an answer that could not be had, or not be used.
type lookupError struct{ err error }

func (e *lookupError) Error() string { return e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }

// Why there is no DANE for a host.
var (
	errInsecureMX   = errors.New("the MX records are not secured by DNSSEC")
	errInsecureHost = errors.New("the addresses of the host are not secured by DNSSEC")
	errNoTLSA       = errors.New("there are no TLSA records secured by DNSSEC")
	errUnusable     = errors.New("there are only TLSA records that cannot be used")
	errNoHostName   = errors.New("TLSA records belong to host names: this is an address or a socket")
)

func danePolicy(ctx context.Context, q Query, level Level) (Policy, error) {
	none := func(why error) (Policy, error) {
		if cause := unvalidated(ctx, q, why); cause != nil {
			why = fmt.Errorf("%w: %w", why, cause)
		}
		if level == DANEOnly {
			return Policy{}, fmt.Errorf("%w; level dane-only sends no mail then", why)
		}
		return Policy{}, nil
	}
	if q.Route == nil || q.Route.NextHop.Kind == resolve.ViaSocket || isAddress(q.Host.Name) {
		return none(errNoHostName)
	}
	if !q.Route.Secure && level == DANEOnly {
		return none(errInsecureMX)
	}
	bases, err := baseDomains(ctx, q)
	if err != nil {
		return Policy{}, err
	}
	if len(bases) == 0 {
		return none(errInsecureHost)
	}
	base, records, err := findTLSA(ctx, q, bases)
	if err != nil {
		return Policy{}, err
	}
	if base == "" {
		return none(errNoTLSA)
	}
	p := Policy{Level: level, TLSA: records, Names: daneNames(ctx, q, base, records), ServerName: base, Published: publishedTLSA(base, records)}
	// Whoever forged the MX record chose the host, and its TLSA records as well:
	// they protect the way to the host, but do not prove that it is the right one.
	p.floor = !q.Route.Secure
	if len(usableTLSA(records)) == 0 {
		if level == DANEOnly {
			return none(errUnusable)
		}
		p.Level, p.TLSA, p.Names, p.floor = Encrypt, nil, nil, true
		p.Published.Failure, p.Published.Reason = "tlsa-invalid", errUnusable.Error()
	}
	return p, nil
}

// unvalidated is the reason that lies behind why there is no DANE, if it is that the
// resolver does not validate, or does so no longer. Otherwise nothing would show it:
// DANE is off for all, and mail goes.
func unvalidated(ctx context.Context, q Query, why error) error {
	if why == errNoHostName || why == errUnusable {
		return nil
	}
	err := resolve.Validates(ctx, q.Resolver)
	if !errors.Is(err, resolve.ErrNotValidated) {
		return nil
	}
	if q.NoDANE != nil {
		q.NoDANE(err)
	}
	return err
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// baseDomains are the names below which the TLSA records of a host may be, the
// best first; none if DANE does not apply. For the hosts of unsigned zones nobody
// is asked: the name servers of some fail at such questions, and their mail would
// never go (RFC 7672, Section 2.2.2).
func baseDomains(ctx context.Context, q Query) ([]string, error) {
	host := q.Host
	alias := host.Canonical != "" && host.Canonical != host.Name
	switch {
	case host.Secure && alias:
		return []string{host.Canonical, host.Name}, nil
	case host.Secure:
		return []string{host.Name}, nil
	case !alias:
		return nil, nil
	}
	// The alias may be signed where its target is not.
	answer, err := orDNS(q.Resolver).Lookup(ctx, resolve.Question{Name: host.Name, Type: resolve.TypeCNAME})
	switch {
	case err != nil:
		return nil, &lookupError{err}
	case !answer.Secure || answer.Canonical == "":
		return nil, nil
	}
	return []string{host.Name}, nil
}

// maxTLSA is how many records a Resolver gives at most: where there are as many,
// the one that fits may have been left out.
const maxTLSA = 100

// findTLSA gives the records of the first of the names that has any.
func findTLSA(ctx context.Context, q Query, bases []string) (base string, records []resolve.TLSA, err error) {
	for _, base := range bases {
		name := fmt.Sprintf("_%d._tcp.%s", q.Host.Port, base)
		if len(name) > 253 {
			continue // no such name can be
		}
		answer, err := orDNS(q.Resolver).Lookup(ctx, resolve.Question{Name: name, Type: resolve.TypeTLSA})
		switch {
		case err != nil:
			return "", nil, &lookupError{err}
		case answer.Secure && len(answer.TLSA) >= maxTLSA:
			return "", nil, &lookupError{fmt.Errorf("%s has %d TLSA records or more: too many", name, maxTLSA)}
		case answer.Secure && len(answer.TLSA) > 0:
			return base, answer.TLSA, nil
		}
		// No records, with a proof or in a zone that needs none, and records
		// that nobody signed, are no error (RFC 7672, Section 2.2).
	}
	return "", nil, nil
}

// daneNames are the names of which the certificate must have one, where an
// authority vouches for it (RFC 7672, Section 3.2.2). Those of the next hop count
// only where the way from it to the host was secure.
func daneNames(ctx context.Context, q Query, base string, records []resolve.TLSA) []string {
	names := []string{base}
	if !q.Route.Secure {
		return names
	}
	hop := q.Route.NextHop
	others := []string{hop.Name}
	byAuthority := func(r resolve.TLSA) bool { return r.Usage == usageTA }
	if hop.Kind == resolve.ViaMX && slices.ContainsFunc(records, byAuthority) {
		// The next hop may be an alias. Without an answer it has one name less.
		answer, err := orDNS(q.Resolver).Lookup(ctx, resolve.Question{Name: hop.Name, Type: resolve.TypeMX})
		if err == nil && answer.Secure {
			others = append(others, answer.Canonical)
		}
	}
	for _, name := range others {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func publishedTLSA(base string, records []resolve.TLSA) Published {
	p := Published{Type: "tlsa", Domain: base}
	for _, r := range records {
		p.Lines = append(p.Lines, tlsaText(r))
	}
	return p
}

// tlsaText is a record as in a zone file.
func tlsaText(r resolve.TLSA) string {
	return fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.MatchingType, hex.EncodeToString(r.Data))
}
