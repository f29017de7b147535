package resolve_test

import (
	"reflect"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

const searchZone = `
$ORIGIN .
relay.first.example  A     192.0.2.1
relay.second.example A     192.0.2.2
only.second.example  A     192.0.2.3
nodata.first.example TXT   "no address"
plain                A     192.0.2.4
mx.example.org       A     192.0.2.5
sub.host.second.example A  192.0.2.6
bad.first.example    A     192.0.2.7
bad.second.example   A     192.0.2.8
`

// Names are absolute unless Search says otherwise, and then no answer is Secure.
func TestDNSSearch(t *testing.T) {
	const both = resolve.SearchSingle | resolve.SearchDotted
	tests := []struct {
		name   string
		search resolve.Search
		want   []string // names that are asked for
		addr   string   // "": no records
		noName bool
	}{
		{"relay", 0, []string{"relay"}, "", true},
		{"plain", 0, []string{"plain"}, "192.0.2.4", false},
		{"relay", resolve.SearchSingle, []string{"relay.first.example"}, "192.0.2.1", false},
		{"only", resolve.SearchSingle, []string{"only.first.example", "only"}, "", true},
		{"only", both, []string{"only.first.example", "only.second.example"}, "192.0.2.3", false},
		{"plain", both, []string{"plain.first.example", "plain.second.example", "plain"}, "192.0.2.4", false},
		{"relay", resolve.SearchDotted, []string{"relay"}, "", true},
		{"mx.example.org", both, []string{"mx.example.org"}, "192.0.2.5", false},
		{"sub.host", resolve.SearchSingle, []string{"sub.host"}, "", true},
		{"sub.host", both, []string{"sub.host", "sub.host.first.example", "sub.host.second.example"}, "192.0.2.6", false},
		{"nodata", both, []string{"nodata.first.example", "nodata.second.example", "nodata"}, "", false},
	}
	for _, tt := range tests {
		srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: searchZone, Secure: true}}}
		r := &resolve.DNS{Servers: []string{loopback}, DialContext: srv.DialContext, Search: tt.search,
			SearchList: []string{"First.example.", "second.example"}}
		got, err := r.Lookup(t.Context(), a(tt.name))
		var names []string
		for _, q := range srv.Questions() {
			names = append(names, q.Name)
		}
		srv.Close()
		addr := ""
		if len(got.Addrs) > 0 {
			addr = got.Addrs[0].String()
		}
		if err != nil || addr != tt.addr || got.NoName != tt.noName || !reflect.DeepEqual(names, tt.want) || got.Secure != (tt.search == 0) {
			t.Errorf("%s by %d: got %+v, %v after %v; want %s, NoName %v after %v", tt.name, tt.search, got, err, names, tt.addr, tt.noName, tt.want)
		}
	}
}

// Where the first meaning of a name cannot be found out, the next one may be
// somebody else's.
func TestDNSSearchEndsAtAnError(t *testing.T) {
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: searchZone}}, Script: func(name string, _ uint16) dnstest.Fault {
		if name == "bad.first.example" {
			return dnstest.ServFail
		}
		return dnstest.None
	}}
	defer srv.Close()
	r := &resolve.DNS{Servers: []string{loopback}, DialContext: srv.DialContext, Search: resolve.SearchSingle | resolve.SearchDotted,
		SearchList: []string{"first.example", "second.example"}}
	if got, err := r.Lookup(t.Context(), a("bad")); err == nil {
		t.Errorf("got %+v, want an error", got)
	}
}
