package tlspolicy_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// Policies by next hop; what the table does not have is encrypt.
func ExampleTable() {
	source := tlspolicy.Sources{
		tlspolicy.Table{
			"example.org":            tlspolicy.Secure,
			".example.org":           tlspolicy.Verify,
			"[smtp.example.com]:587": tlspolicy.Policy{Level: tlspolicy.Verify, Names: []string{".example.com"}},
		},
		tlspolicy.Encrypt,
	}
	for _, name := range []string{"example.org", "lists.example.org", "[smtp.example.com]:587", "example.net"} {
		hop, _ := resolve.ParseNextHop(name)
		policy, err := source.Decide(context.Background(), tlspolicy.Query{
			Route: &resolve.Route{NextHop: hop},
			Host:  resolve.Host{Name: "mx.example.net"},
		})
		fmt.Println(hop, policy.Level, policy.Names, err)
	}
	// Output:
	// example.org secure [example.org .example.org] <nil>
	// lists.example.org verify [mx.example.net] <nil>
	// [smtp.example.com]:587 verify [.example.com] <nil>
	// example.net encrypt [] <nil>
}

// A fault in a table is told with its place, and nothing of the table is used.
func ExampleParseTable() {
	table, err := tlspolicy.ParseTable(strings.NewReader("example.org secure\nexample.net verify mach=nexthop\n"), nil)
	fmt.Println(table, err)
	// Output:
	// map[] TLS policy table, line 2, column 20: unknown attribute "mach"
}
