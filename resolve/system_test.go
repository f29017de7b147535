package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// noDNS is a system whose name servers cannot be reached.
func noDNS() resolve.System {
	return resolve.System{Net: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}}
}

// The hosts file is read without any DNS.
func TestSystemReadsHostsFile(t *testing.T) {
	got, err := noDNS().Lookup(t.Context(), a("localhost"))
	if err != nil || len(got.Addrs) == 0 || !got.Addrs[0].IsLoopback() || got.Secure || got.TTL != 0 {
		t.Errorf("got %+v, %v, want 127.0.0.1", got, err)
	}
}

// What the system cannot find out is an error, never an answer that there is
// nothing: mail would bounce.
func TestSystemErrors(t *testing.T) {
	for _, q := range []resolve.Question{a("mx.example.org"), aaaa("mx.example.org"), mx("example.org"),
		{Name: "_smtp._tcp.example.org", Type: resolve.TypeSRV}, {Name: "example.org", Type: resolve.TypeTXT}} {
		got, err := noDNS().Lookup(t.Context(), q)
		var e *resolve.Error
		if !errors.As(err, &e) || e.Question != q || !e.Temporary() || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v: got %+v, %v, want an *Error", q, got, err)
		}
	}
	for _, q := range []resolve.Question{cname("mx.example.org"), {Name: "_25._tcp.mx.example.org", Type: resolve.TypeTLSA}, {Name: "example.org", Type: 99}} {
		if got, err := noDNS().Lookup(t.Context(), q); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), q.Type.String()) {
			t.Errorf("%v: got %+v, %v, want errors.ErrUnsupported", q, got, err)
		}
	}
	for _, name := range []string{"", ".", "a..b", strings.Repeat("a", 64)} {
		if got, err := noDNS().Lookup(t.Context(), a(name)); err == nil {
			t.Errorf("%q: got %+v, want an error", name, got)
		}
	}
}

// A host of one family is one without addresses of the other.
func TestSystemFamilies(t *testing.T) {
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN example.org.\nsix AAAA 2001:db8::1\nfour A 192.0.2.1\n"}}}
	defer srv.Close()
	r := systemAt(srv)
	for q, want := range map[resolve.Question]int{a("six.example.org"): 0, aaaa("six.example.org"): 1, a("four.example.org"): 1, aaaa("four.example.org"): 0} {
		got, err := r.Lookup(t.Context(), q)
		if err != nil || len(got.Addrs) != want {
			t.Errorf("%v: got %+v, %v, want %d", q, got, err, want)
		}
	}
}

// smtp_host_lookup = dns, native: what the DNS does not know may be in the hosts
// file; what it cannot tell may be there, too, and waits.
func TestFirst(t *testing.T) {
	const relay = "localhost"
	fault := dnstest.None
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN .\nmx.example.org A 192.0.2.1\n", Secure: true}}, Script: func(string, uint16) dnstest.Fault { return fault }}
	defer srv.Close()
	r := resolve.First{dnsAt(srv), noDNS()}
	if got, err := r.Lookup(t.Context(), a("mx.example.org")); err != nil || len(got.Addrs) != 1 || !got.Secure {
		t.Errorf("in the DNS: got %+v, %v", got, err)
	}
	if got, err := r.Lookup(t.Context(), a(relay)); err != nil || len(got.Addrs) == 0 || got.Secure {
		t.Errorf("in the hosts file: got %+v, %v", got, err)
	}
	fault = dnstest.ServFail
	if got, err := r.Lookup(t.Context(), a(relay)); err == nil {
		t.Errorf("the DNS failed: got %+v, want an error", got)
	}
}

func TestFirstOfSeveral(t *testing.T) {
	fails := resolve.Func(func(context.Context, resolve.Question) (resolve.Answer, error) {
		return resolve.Answer{}, errors.New("failed")
	})
	unable := resolve.Func(func(context.Context, resolve.Question) (resolve.Answer, error) {
		return resolve.Answer{}, fmt.Errorf("not here: %w", errors.ErrUnsupported)
	})
	has := resolve.Static{a("x"): {Addrs: addrs("192.0.2.1")}}
	noName := resolve.Static{a("x"): {NoName: true}}
	nothing := resolve.Static{}
	for _, tt := range []struct {
		name  string
		first resolve.First
		want  string
	}{
		{"records end it", resolve.First{nothing, has, fails}, "192.0.2.1"},
		{"an error ends it", resolve.First{nothing, fails, has}, "failed"},
		{"who is not able is passed over", resolve.First{unable, has}, "192.0.2.1"},
		{"at the end, too", resolve.First{noName, unable}, "no name"},
		{"nobody has any", resolve.First{noName, nothing}, "no name"},
		{"the first one says it", resolve.First{nothing, noName}, "nothing"},
		{"nobody is able", resolve.First{unable, unable}, "unsupported"},
		{"nobody", resolve.First{}, "unsupported"},
	} {
		got, err := tt.first.Lookup(t.Context(), a("x"))
		text := "nothing"
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			text = "unsupported"
		case err != nil:
			text = err.Error()
		case len(got.Addrs) > 0:
			text = got.Addrs[0].String()
		case got.NoName:
			text = "no name"
		}
		if text != tt.want {
			t.Errorf("%s: got %s (%+v, %v), want %s", tt.name, text, got, err, tt.want)
		}
	}
}

// Hosts that are in no DNS, but in the hosts file, as smtp_host_lookup = dns,
// native finds them. (Static stands for the DNS, so that the example needs no
// network.)
func ExampleFirst() {
	dns := resolve.Static{}
	resolver := resolve.First{dns, resolve.System{}}
	answer, err := resolver.Lookup(context.Background(), resolve.Question{Name: "localhost", Type: resolve.TypeA})
	fmt.Println(answer.Addrs[0], err)
	// Output: 127.0.0.1 <nil>
}
