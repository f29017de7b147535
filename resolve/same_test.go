package resolve_test

import (
	"testing"

	"github.com/postrider/postrider/resolve"
)

// The order in which hosts of one preference come is chance, and changes nothing;
// what the world says of a domain does.
func TestSameHosts(t *testing.T) {
	dns := resolve.Static{
		mx("one.example"):    mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{10, "mx2.example.org"}, resolve.MX{20, "mx3.example.org"}),
		mx("same.example"):   mxs(resolve.MX{20, "mx3.example.org"}, resolve.MX{10, "MX2.example.org."}, resolve.MX{10, "mx1.example.org"}),
		mx("weaker.example"): mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{20, "mx2.example.org"}, resolve.MX{20, "mx3.example.org"}),
		mx("fewer.example"):  mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{10, "mx2.example.org"}),
	}
	for _, name := range []string{"mx1.example.org", "mx2.example.org", "mx3.example.org"} {
		dns[a(name)] = ips("192.0.2.1")
	}
	proved := mxs(resolve.MX{10, "mx1.example.org"}, resolve.MX{10, "mx2.example.org"}, resolve.MX{20, "mx3.example.org"})
	proved.Secure = true
	dns[mx("proved.example")] = proved
	routes := &resolve.Routes{Resolver: dns}
	begin := func(domain string) *resolve.Route {
		t.Helper()
		r, err := routes.Begin(t.Context(), parseHop(t, domain))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one := begin("one.example")
	for domain, want := range map[string]bool{"one.example": true, "same.example": true, "weaker.example": false, "fewer.example": false,
		"proved.example": false, "mx1.example.org": false, "[mx1.example.org]": false} {
		for range 10 {
			if got := begin(domain); one.SameHosts(got) != want || got.SameHosts(one) != want {
				t.Fatalf("%s and one.example have the same hosts: %v, want %v", domain, !want, want)
			}
		}
	}
	if one := begin("[mx1.example.org]:587"); one.SameHosts(begin("[mx1.example.org]")) {
		t.Error("the port makes no difference")
	}
}
