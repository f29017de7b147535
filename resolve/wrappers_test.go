package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// Keep sees every record as a zone file has it.
func TestFilterSeesRecords(t *testing.T) {
	srv := serve(t, dnstest.None)
	for q, want := range map[resolve.Question][]string{
		a("mx1.example.org"):    {"192.0.2.1", "192.0.2.2"},
		aaaa("mx1.example.org"): {"2001:db8::1"},
		mx("example.org"):       {"20 mx2.example.org", "10 mx1.example.org"},
		mx("null.example.org"):  {"0 ."},
		{Name: "_submission._tcp.example.org", Type: resolve.TypeSRV}: {"5 10 587 mx1.example.org"},
		{Name: "noserv.example.org", Type: resolve.TypeSRV}:           {"0 0 0 ."},
		{Name: "_25._tcp.mx1.example.org", Type: resolve.TypeTLSA}:    {"3 1 1 " + strings.Repeat("0123456789abcdef", 4)},
		{Name: "example.org", Type: resolve.TypeTXT}:                  {"v=spf1 -all"},
		cname("alias.example.org"):                                    {"mx1.example.org"},
		mx("none.example.org"):                                        nil,
	} {
		var seen []string
		f := resolve.Filter{Resolver: dnsAt(srv), Keep: func(_ resolve.Question, data string) bool { seen = append(seen, data); return true }}
		got, err := f.Lookup(t.Context(), q)
		plain, _ := dnsAt(srv).Lookup(t.Context(), q)
		if err != nil || !reflect.DeepEqual(got, plain) || !slices.Equal(seen, want) {
			t.Errorf("%v: got %+v, %v after %q, want %+v after %q", q, got, err, seen, plain, want)
		}
	}
}

// A domain whose mail exchangers are all left out must not look like one without
// any: its own addresses would be used, or the mail bounce.
func TestFilterLeavesOut(t *testing.T) {
	source := resolve.Static{
		mx("example.org"):       {MX: []resolve.MX{{10, "mx.example.org"}, {20, "evil.example.org"}}, Secure: true, TTL: time.Hour},
		a("mx.example.org"):     {Addrs: addrs("192.0.2.1", "203.0.113.1", "192.0.2.2")},
		cname("al.example.org"): {Canonical: "evil.example.org"},
	}
	f := resolve.Filter{Resolver: source, Keep: func(_ resolve.Question, data string) bool {
		return !strings.Contains(data, "evil") && !strings.HasPrefix(data, "203.0.113.")
	}}
	got, err := f.Lookup(t.Context(), mx("example.org"))
	if err != nil || !slices.Equal(got.MX, []resolve.MX{{10, "mx.example.org"}}) || !got.Secure || got.TTL != time.Hour {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := f.Lookup(t.Context(), a("mx.example.org")); err != nil || !slices.Equal(got.Addrs, addrs("192.0.2.1", "192.0.2.2")) {
		t.Errorf("got %+v, %v", got, err)
	}
	if want := addrs("192.0.2.1", "203.0.113.1", "192.0.2.2"); !slices.Equal(source[a("mx.example.org")].Addrs, want) {
		t.Errorf("the other Resolver's answer became %v", source[a("mx.example.org")].Addrs)
	}
	f.Keep = func(resolve.Question, string) bool { return false }
	for _, q := range []resolve.Question{mx("example.org"), a("mx.example.org"), cname("al.example.org")} {
		got, err := f.Lookup(t.Context(), q)
		var e *resolve.Error
		if !errors.As(err, &e) || e.Kind != resolve.Filtered || !reflect.DeepEqual(got, resolve.Answer{}) || !strings.Contains(err.Error(), "Filter") {
			t.Errorf("%v: got %+v, %v, want an error of kind Filtered", q, got, err)
		}
	}
	if got, err := f.Lookup(t.Context(), a("none.example.org")); err != nil {
		t.Errorf("nothing to leave out: got %+v, %v", got, err)
	}
}

func TestOverride(t *testing.T) {
	hour := time.Hour
	o := resolve.Override{
		Static: resolve.Static{
			a("mx.example.org"):       {Addrs: addrs("192.0.2.99"), TTL: hour, Secure: true},
			mx("example.net"):         {MX: []resolve.MX{{10, "mx.example.org"}}},
			cname("relay.example"):    {Canonical: "out.example.org", Secure: true, TTL: time.Minute},
			cname("internal.example"): {Canonical: "mx.example.org", TTL: hour},
			cname("loop.example"):     {Canonical: "loop.example"},
		},
		Resolver: resolve.Static{
			a("mx.example.org"):     {Addrs: addrs("203.0.113.1")},
			aaaa("mx.example.org"):  {Addrs: addrs("2001:db8::1")},
			mx("mx.example.org"):    {MX: []resolve.MX{{10, "other.example.org"}}},
			a("example.net"):        {Addrs: addrs("203.0.113.2")},
			a("out.example.org"):    {Addrs: addrs("203.0.113.3"), TTL: hour, Secure: true},
			aaaa("out.example.org"): {Addrs: addrs("2001:db8::3"), TTL: hour},
		},
	}
	for _, tt := range []struct {
		q    resolve.Question
		want resolve.Answer
	}{
		{a("mx.example.org"), resolve.Answer{Addrs: addrs("192.0.2.99"), Canonical: "mx.example.org", TTL: hour, Secure: true}},
		{aaaa("mx.example.org"), resolve.Answer{}},
		{mx("mx.example.org"), resolve.Answer{MX: []resolve.MX{{10, "other.example.org"}}, Canonical: "mx.example.org"}},
		{mx("example.net"), resolve.Answer{MX: []resolve.MX{{10, "mx.example.org"}}, Canonical: "example.net"}},
		{a("example.net"), resolve.Answer{Addrs: addrs("203.0.113.2"), Canonical: "example.net"}},
		{a("relay.example"), resolve.Answer{Addrs: addrs("203.0.113.3"), Canonical: "out.example.org", TTL: time.Minute, Secure: true}},
		{aaaa("relay.example"), resolve.Answer{Addrs: addrs("2001:db8::3"), Canonical: "out.example.org", TTL: time.Minute}},
		{a("internal.example"), resolve.Answer{Addrs: addrs("192.0.2.99"), Canonical: "mx.example.org", TTL: hour}},
		{cname("relay.example"), resolve.Answer{Canonical: "out.example.org", TTL: time.Minute, Secure: true}},
		{a("loop.example"), resolve.Answer{}},
	} {
		if got, err := o.Lookup(t.Context(), tt.q); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v: got %+v, %v, want %+v", tt.q, got, err, tt.want)
		}
	}
	o.Resolver = resolve.Func(func(context.Context, resolve.Question) (resolve.Answer, error) {
		return resolve.Answer{}, errors.New("failed")
	})
	for _, q := range []resolve.Question{mx("mx.example.org"), a("relay.example")} {
		if got, err := o.Lookup(t.Context(), q); err == nil {
			t.Errorf("%v: got %+v, want the other Resolver's error", q, got)
		}
	}
}

// Addresses that are not to be used are left out, as smtp_dns_reply_filter does.
func ExampleFilter() {
	dns := resolve.Static{
		{Name: "mx.example.org", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7")}},
	}
	resolver := resolve.Filter{
		Resolver: dns,
		Keep:     func(q resolve.Question, data string) bool { return !strings.HasPrefix(data, "198.51.100.") },
	}
	answer, err := resolver.Lookup(context.Background(), resolve.Question{Name: "mx.example.org", Type: resolve.TypeA})
	fmt.Println(answer.Addrs, err)
	// Output: [192.0.2.1] <nil>
}

// The mail of one domain goes to a test server, all other mail as ever.
func ExampleOverride() {
	dns := resolve.Static{
		{Name: "example.org", Type: resolve.TypeMX}: {MX: []resolve.MX{{Preference: 10, Host: "mx.example.org"}}},
		{Name: "example.net", Type: resolve.TypeMX}: {MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
	}
	resolver := resolve.Override{
		Static:   resolve.Static{{Name: "example.net", Type: resolve.TypeMX}: {MX: []resolve.MX{{Host: "test.example.com"}}}},
		Resolver: dns,
	}
	for _, domain := range []string{"example.org", "example.net"} {
		answer, err := resolver.Lookup(context.Background(), resolve.Question{Name: domain, Type: resolve.TypeMX})
		fmt.Println(domain, answer.MX[0].Host, err)
	}
	// Output:
	// example.org mx.example.org <nil>
	// example.net test.example.com <nil>
}

// A Resolver that is one function: here no domain has mail exchangers, so that mail
// goes to the hosts that the system finds, as disable_dns_lookups has it.
func ExampleFunc() {
	resolver := resolve.Func(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
		if q.Type == resolve.TypeMX {
			return resolve.Answer{}, nil
		}
		return resolve.System{}.Lookup(ctx, q)
	})
	answer, err := resolver.Lookup(context.Background(), resolve.Question{Name: "localhost", Type: resolve.TypeA})
	fmt.Println(answer.Addrs[0], err)
	// Output: 127.0.0.1 <nil>
}
