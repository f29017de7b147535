package tlspolicy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// The levels DANE and DANEOnly as Sources. In Sources the next one is asked where
// DANE does not apply.
func ExampleLevel_dane() {
	dns := resolve.Static{
		{Name: "_25._tcp.mx.example.net", Type: resolve.TypeTLSA}: {
			TLSA:   []resolve.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: bytes.Repeat([]byte{0xab}, 32)}},
			Secure: true,
		},
	}
	source := tlspolicy.Sources{tlspolicy.DANE, tlspolicy.Encrypt}
	for _, host := range []string{"mx.example.net", "mx.example.com"} {
		policy, err := source.Decide(context.Background(), tlspolicy.Query{
			Route:    &resolve.Route{NextHop: resolve.NextHop{Name: "example.net"}, Secure: true},
			Host:     resolve.Host{Name: host, Port: 25, Secure: true},
			Resolver: dns,
		})
		fmt.Println(host, policy.Level, policy.Published.Lines, err)
	}
	// Output:
	// mx.example.net dane [3 1 1 abababababababababababababababababababababababababababababababab] <nil>
	// mx.example.com encrypt [] <nil>
}

// MTA-STS asks the domain itself, and knows its hosts by name.
func ExampleMTASTS() {
	policyHost := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "version: STSv1\nmode: enforce\nmx: *.example.com\nmax_age: 604800\n")
	}))
	defer policyHost.Close()
	sts := &tlspolicy.MTASTS{Cache: &cache.Memory{}, Client: policyHost.Client()} // without Client: port 443 of mta-sts.example.com

	for _, host := range []string{"mx.example.com", "mx.example.net"} {
		policy, err := sts.Decide(context.Background(), tlspolicy.Query{
			Route:    &resolve.Route{NextHop: resolve.NextHop{Name: "example.com"}},
			Host:     resolve.Host{Name: host, Port: 25},
			Resolver: resolve.Static{{Name: "_mta-sts.example.com", Type: resolve.TypeTXT}: {TXT: []string{"v=STSv1; id=20260101"}}},
		})
		fmt.Printf("%s %q %v\n", host, policy.Level, err)
	}
	// Output:
	// mx.example.com "verify" <nil>
	// mx.example.net "" the MTA-STS policy of example.com does not allow the host mx.example.net, only ["*.example.com"]
}

// One Source for all clients of a program, with a cache of policies that outlives
// it: pass a cache that is kept on disk in place of the Memory.
func ExampleMTASTS_client() {
	sts := &tlspolicy.MTASTS{Cache: &cache.Memory{}}
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		TLS: tlspolicy.Sources{
			tlspolicy.Table{"example.net": tlspolicy.Sources{sts, tlspolicy.Secure}}, // a policy, or else the domain's own name
			tlspolicy.DANE, sts, tlspolicy.May,
		},
	}
	_ = client // client.Deliver...
}
