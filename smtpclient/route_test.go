package smtpclient_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// overrides answers some questions by functions and the rest from records.
type overrides struct {
	resolve.Static
	by map[resolve.Question]func() (resolve.Answer, error)
}

func (o overrides) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if f := o.by[q]; f != nil {
		return f()
	}
	return o.Static.Lookup(ctx, q)
}

var (
	mxOfNet    = resolve.Question{Name: "example.net", Type: resolve.TypeMX}
	aOfNet     = resolve.Question{Name: "example.net", Type: resolve.TypeA}
	errNoAnwer = errors.New("SERVFAIL")
)

// What the DNS says about a recipient's domain may fail the recipient; about a
// configured next hop it only defers. An error never does more than defer.
func TestDNSVerdicts(t *testing.T) {
	noDomain := func() (resolve.Answer, error) { return resolve.Answer{NoName: true}, nil }
	failing := func() (resolve.Answer, error) { return resolve.Answer{}, errNoAnwer }
	mad := func() (resolve.Answer, error) { panic("resolver gone mad") }
	tests := []struct {
		name             string
		dns              resolve.Static
		by               map[resolve.Question]func() (resolve.Answer, error)
		want, configured string
	}{
		{"N1 no such domain", nil, map[resolve.Question]func() (resolve.Answer, error){mxOfNet: noDomain},
			"failed resolve 5.1.2", "deferred resolve 4.3.5"},
		{"N11 no MX and no address", nil, nil,
			"failed resolve 5.4.4", "deferred resolve 4.3.5"},
		{"N3 MX lookup fails", resolve.Static{aOfNet: {Addrs: addrs("192.0.2.10")}}, map[resolve.Question]func() (resolve.Answer, error){mxOfNet: failing},
			"deferred resolve 4.4.3", "deferred resolve 4.4.3"},
		{"N5 null MX", resolve.Static{mxOfNet: {MX: []resolve.MX{{}}}}, nil,
			"failed resolve 5.1.10", "deferred resolve 4.3.5"},
		{"N6 null MX beside another", resolve.Static{mxOfNet: {MX: []resolve.MX{{}, {Preference: 10, Host: "mx10.example.net"}}}}, nil,
			"delivered data-done 2.0.0", "delivered data-done 2.0.0"},
		{"N2 implicit MX", resolve.Static{aOfNet: {Addrs: addrs("192.0.2.10")}}, nil,
			"delivered data-done 2.0.0", "delivered data-done 2.0.0"},
		{"N8 MX without addresses", resolve.Static{mxOfNet: {MX: []resolve.MX{{Host: "gone.example.net"}}}, aOfNet: {Addrs: addrs("192.0.2.10")}}, nil,
			"failed resolve 5.4.4", "deferred resolve 4.3.5"},
		{"N14 MX on loopback", resolve.Static{mxOfNet: {MX: []resolve.MX{{Host: "lo.example.net"}}}, {Name: "lo.example.net", Type: resolve.TypeA}: {Addrs: addrs("127.0.0.1")}}, nil,
			"deferred resolve 4.4.4", "delivered data-done 2.0.0"},
		{"H1 resolver panics", nil, map[resolve.Question]func() (resolve.Answer, error){mxOfNet: mad},
			"deferred resolve 4.4.3", "deferred resolve 4.4.3"},
		{"H1 resolver panics on an address", nil, map[resolve.Question]func() (resolve.Answer, error){aOfNet: mad},
			"deferred resolve 4.4.3", "deferred resolve 4.4.3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for configured, want := range map[bool]string{false: tt.want, true: tt.configured} {
				inWorld(t, func(t *testing.T, w *world) {
					w.mx(10, &smtptest.Server{})
					w.net["127.0.0.1:25"] = &smtptest.Server{}
					delete(w.dns, mxOfNet)
					for q, a := range tt.dns {
						w.dns[q] = a
					}
					w.client.Resolver = overrides{w.dns, tt.by}
					if configured {
						w.client.NextHops = []string{"example.net"}
					}
					report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
					expect(t, report, "bob@example.net "+want)
				})
			}
		})
	}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// Recipients of several domains: each domain has its own way, and its own
// verdict.
func TestSeveralDomains(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.Limits.Destinations = 1 // they come in the order of the recipients
		w.dns[resolve.Question{Name: "example.com", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{}}}
		report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net", "carol@example.com", "dave@EXAMPLE.net", "erin@[192.0.2.10]"), smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.com failed resolve 5.1.10",
			"dave@EXAMPLE.net delivered data-done 2.0.0", "erin@[192.0.2.10] delivered data-done 2.0.0")
		var got []string
		for _, m := range mx.Messages() {
			got = append(got, strings.Join(m.To, " "))
		}
		if want := "bob@example.net dave@example.net, erin@[192.0.2.10]"; strings.Join(got, ", ") != want {
			t.Errorf("the server has %q, want %q", got, want)
		}
	})
}

// Next hops are tried in order for who is still open; the envelope's stand in
// place of the client's.
func TestNextHops(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.net
		first["198.51.100.1:587"] = &smtptest.Server{Script: onRcpt("carol@", "450 4.2.1 wait")}
		first["198.51.100.2:25"] = &smtptest.Server{}
		w.client.NextHops = []string{"[198.51.100.9]"}
		env := fromAnn("bob@example.net", "carol@example.com", "postmaster")
		env.NextHops = []string{"[198.51.100.1]:587", "[198.51.100.2]"}
		report := w.deliver(t.Context(), env, hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.com delivered data-done 2.0.0", "postmaster delivered data-done 2.0.0")
		if got := strings.Join(first["198.51.100.2:25"].Messages()[0].To, " "); got != "carol@example.com" {
			t.Errorf("the second next hop has %s", got)
		}
		if got := report.Outcomes[1].Earlier; len(got) != 1 || got[0].Addr != "198.51.100.1:587" {
			t.Errorf("carol's earlier attempts are %+v", got)
		}
	})
}

// A host without addresses is passed by, and is an attempt of its own.
func TestHostWithoutAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(20, &smtptest.Server{})
		a := w.dns[mxOfNet]
		a.MX = append(a.MX, resolve.MX{Preference: 10, Host: "gone.example.net"})
		w.dns[mxOfNet] = a
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if e := report.Outcomes[0].Earlier; len(e) != 1 || e[0].Host != "gone.example.net" || e[0].Stage != smtpclient.StageResolve {
			t.Errorf("earlier attempts %+v", e)
		}
	})
}
