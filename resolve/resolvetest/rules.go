package resolvetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// rule is one rule of resolve.Resolver. check returns an error and reports
// nothing by itself, so that this package's own tests can see it fail.
type rule struct {
	name  string
	check func(ctx context.Context, s *scene) error
}

func rules() []rule {
	return []rule{
		{"rule1 many goroutines", manyGoroutines},
		{"rule1 ends with ctx", endsWithContext},
		{"rule2 names", names},
		{"rule3 nothing is an answer", nothing},
		{"rule4 errors", errorsAreErrors},
		{"rule4 records of every type", everyType},
		{"rule5 aliases", aliases},
		{"rule6 Secure", secure},
		{"rule7 answers stay", answersStay},
	}
}

// isUnable tells whether a Resolver says that it cannot ask for a type.
func isUnable(t resolve.Type, err error) bool {
	return errors.Is(err, errors.ErrUnsupported) && t != resolve.TypeA && t != resolve.TypeAAAA
}

// records is what of an answer every Resolver has to tell, in one text.
func records(a resolve.Answer) string {
	var list []string
	for _, addr := range a.Addrs {
		list = append(list, addr.String())
	}
	for _, r := range a.MX {
		list = append(list, fmt.Sprintf("%d %q", r.Preference, r.Host))
	}
	for _, r := range a.SRV {
		list = append(list, fmt.Sprintf("%d %d %d %q", r.Priority, r.Weight, r.Port, r.Host))
	}
	for _, r := range a.TLSA {
		list = append(list, fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data))
	}
	for _, s := range a.TXT {
		list = append(list, fmt.Sprintf("%q", s))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func manyGoroutines(ctx context.Context, s *scene) error {
	want := map[string]string{"mx1.example.org": "192.0.2.1, 192.0.2.2", "mx2.example.org": "192.0.2.3", "www.example.net": "192.0.2.80"}
	faults := make(chan error, 1)
	var wg sync.WaitGroup
	for range 10 {
		for name, addrs := range want {
			wg.Go(func() {
				a, err := s.lookup(ctx, name, resolve.TypeA)
				if err == nil && records(a) != addrs {
					err = fmt.Errorf("%s: got %s, want %s", name, records(a), addrs)
				}
				if err != nil {
					select {
					case faults <- err:
					default:
					}
				}
			})
		}
	}
	wg.Wait()
	close(faults)
	return <-faults
}

func endsWithContext(ctx context.Context, s *scene) error {
	s.from(dnstest.Silence)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		a, err := s.Lookup(inner, resolve.Question{Name: "mx1.example.org", Type: resolve.TypeA})
		if err == nil {
			err = fmt.Errorf("got %+v from a silent server", a)
		}
		done <- err
	}()
	select {
	case <-s.asked:
	case err := <-done:
		return fmt.Errorf("before the server was asked: %w", err)
	case <-ctx.Done():
		return errors.New("the server was never asked")
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("ctx was cancelled: got %w, want an error that wraps context.Canceled", err)
		}
	case <-ctx.Done():
		return errors.New("ctx was cancelled, and Lookup did not return")
	}
	if a, err := s.Lookup(inner, resolve.Question{Name: "mx2.example.org", Type: resolve.TypeA}); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("ctx had ended: got %+v, %v, want an error that wraps context.Canceled", a, err)
	}
	return nil
}

func names(ctx context.Context, s *scene) error {
	for name, typ := range map[string]resolve.Type{"example.org": resolve.TypeMX, "_smtp._tcp.example.org": resolve.TypeSRV,
		"twice.example.org": resolve.TypeCNAME, "alias.example.org": resolve.TypeA} {
		a, err := s.lookup(ctx, name, typ)
		if isUnable(typ, err) {
			continue
		}
		if err != nil {
			return err
		}
		found := []string{a.Canonical}
		for _, r := range a.MX {
			found = append(found, r.Host)
		}
		for _, r := range a.SRV {
			found = append(found, r.Host)
		}
		for _, n := range found {
			if n != strings.ToLower(n) || strings.HasSuffix(n, ".") {
				return fmt.Errorf("%s %v: the name %q is not in lower case or ends in a dot", name, typ, n)
			}
		}
	}
	a, err := s.lookup(ctx, "mx1", resolve.TypeA)
	if err != nil || len(a.Addrs) > 0 {
		return fmt.Errorf("mx1: got %+v, %v; the name is absolute and does not exist", a, err)
	}
	return nil
}

func nothing(ctx context.Context, s *scene) error {
	types := []resolve.Type{resolve.TypeA, resolve.TypeAAAA, resolve.TypeCNAME, resolve.TypeMX, resolve.TypeSRV, resolve.TypeTLSA}
	for _, typ := range types {
		for name, exists := range map[string]bool{"nothing.example.org": true, "missing.example.org": false, "missing.example.invalid": false} {
			a, err := s.lookup(ctx, name, typ)
			switch {
			case isUnable(typ, err):
			case err != nil:
				return err
			case records(a) != "":
				return fmt.Errorf("%s %v: got %+v, want no records", name, typ, a)
			case typ == resolve.TypeCNAME && a.Canonical != "":
				return fmt.Errorf("%s CNAME: got %+v, want no Canonical", name, a)
			case exists && a.NoName:
				return fmt.Errorf("%s %v: NoName is set, but the name exists", name, typ)
			}
		}
	}
	return nil
}

// errorsAreErrors has every way in which a server can say nothing: an answer
// without records would make the mail bounce.
func errorsAreErrors(ctx context.Context, s *scene) error {
	for _, f := range []dnstest.Fault{dnstest.ServFail, dnstest.Refused, dnstest.FormErr, dnstest.NotImp, dnstest.Bogus} {
		s.from(f)
		for name, typ := range map[string]resolve.Type{"mx1.example.org": resolve.TypeA, "example.org": resolve.TypeMX, "_25._tcp.mx1.example.org": resolve.TypeTLSA} {
			a, err := s.lookup(ctx, name, typ)
			if err == nil {
				return fmt.Errorf("%s %v, fault %d: got %+v, want an error", name, typ, f, a)
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s %v, fault %d: no end", name, typ, f)
			}
		}
	}
	return nil
}

// everyType asks for records that are there.
func everyType(ctx context.Context, s *scene) error {
	const tlsa = "3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for q, want := range map[resolve.Question]string{
		{Name: "mx1.example.org", Type: resolve.TypeA}:             "192.0.2.1, 192.0.2.2",
		{Name: "mx1.example.org", Type: resolve.TypeAAAA}:          "2001:db8::1",
		{Name: "example.org", Type: resolve.TypeMX}:                `10 "mx1.example.org", 20 "mx2.example.org"`,
		{Name: "null.example.org", Type: resolve.TypeMX}:           `0 ""`,
		{Name: "_smtp._tcp.example.org", Type: resolve.TypeSRV}:    `5 10 587 "mx1.example.org"`,
		{Name: "_25._tcp.mx1.example.org", Type: resolve.TypeTLSA}: tlsa,
		{Name: "example.org", Type: resolve.TypeTXT}:               `"v=spf1 -all"`,
	} {
		a, err := s.lookup(ctx, q.Name, q.Type)
		if isUnable(q.Type, err) {
			continue
		}
		if err != nil || records(a) != want {
			return fmt.Errorf("%v: got %s, %v, want %s", q, records(a), err, want)
		}
	}
	return nil
}

func aliases(ctx context.Context, s *scene) error {
	for _, tt := range []struct {
		name, want, end string
		typ             resolve.Type
	}{
		{"alias.example.org", "2001:db8::1", "mx1.example.org", resolve.TypeAAAA},
		{"twice.example.org", "2001:db8::1", "mx1.example.org", resolve.TypeAAAA},
		{"away.example.org", "192.0.2.80", "www.example.net", resolve.TypeA},
		{"mail.example.org", `10 "mx1.example.org", 20 "mx2.example.org"`, "example.org", resolve.TypeMX},
		{"gone.example.org", "", "missing.example.org", resolve.TypeA},
		{"mx1.example.org", "2001:db8::1", "mx1.example.org", resolve.TypeAAAA},
	} {
		a, err := s.lookup(ctx, tt.name, tt.typ)
		if isUnable(tt.typ, err) {
			continue
		}
		if err != nil || records(a) != tt.want || a.Canonical != "" && a.Canonical != tt.end {
			return fmt.Errorf("%s %v: got %+v, %v, want %s at %s", tt.name, tt.typ, a, err, tt.want, tt.end)
		}
	}
	a, err := s.lookup(ctx, "alias.example.org", resolve.TypeCNAME)
	if !isUnable(resolve.TypeCNAME, err) && (err != nil || a.Canonical != "mx1.example.org") {
		return fmt.Errorf("alias.example.org CNAME: got %+v, %v, want mx1.example.org", a, err)
	}
	if a, _ := s.lookup(ctx, "loop.example.org", resolve.TypeA); records(a) != "" || ctx.Err() != nil {
		return fmt.Errorf("aliases in a circle: got %+v, %v", a, ctx.Err())
	}
	return nil
}

// secure looks for answers that claim too much. One that claims nothing is in
// order: not every Resolver knows.
func secure(ctx context.Context, s *scene) error {
	for q, why := range map[resolve.Question]string{
		{Name: "www.example.net", Type: resolve.TypeA}:     "the zone is not signed",
		{Name: "example.net", Type: resolve.TypeMX}:        "the zone is not signed, though that of its mail exchanger is",
		{Name: "nothing.example.net", Type: resolve.TypeA}: "nobody has signed that there is nothing",
		{Name: "missing.example.net", Type: resolve.TypeA}: "nobody has signed that there is nothing",
		{Name: "away.example.org", Type: resolve.TypeA}:    "the alias leads to a zone that is not signed",
		{Name: "back.example.net", Type: resolve.TypeAAAA}: "the alias is not signed",
	} {
		if a, err := s.lookup(ctx, q.Name, q.Type); err == nil && a.Secure {
			return fmt.Errorf("%v is Secure, but %s", q, why)
		}
	}
	return nil
}

// answersStay asks again and for other things, and sees whether answers that were
// given before are still what they were, and the same to everybody.
func answersStay(ctx context.Context, s *scene) error {
	first, err := s.lookup(ctx, "mx1.example.org", resolve.TypeA)
	if err != nil {
		return err
	}
	before := first
	before.Addrs = slices.Clone(first.Addrs)
	for _, name := range []string{"mx2.example.org", "www.example.net", "mx1.example.org"} {
		again, err := s.lookup(ctx, name, resolve.TypeA)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(first, before) {
			return fmt.Errorf("an answer became %+v, was %+v", first, before)
		}
		if name == "mx1.example.org" && records(again) != records(first) {
			return fmt.Errorf("%s: got %s, and before %s", name, records(again), records(first))
		}
	}
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	slices.SortFunc(before.Addrs, netip.Addr.Compare)
	if !slices.Equal(before.Addrs, want) {
		return fmt.Errorf("got %v, want %v", before.Addrs, want)
	}
	return nil
}
