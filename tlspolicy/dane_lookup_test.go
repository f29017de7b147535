package tlspolicy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// tlsaDNS is a signed internet of one host. Answers for names are set by tests;
// every other name does not exist. Lookups with an error fail.
type tlsaDNS struct {
	resolve.Static
	fail  map[resolve.Question]error
	asked []resolve.Question
}

func (d *tlsaDNS) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	d.asked = append(d.asked, q)
	if err := d.fail[q]; err != nil {
		return resolve.Answer{}, err
	}
	return d.Static.Lookup(ctx, q)
}

var noKey = make([]byte, 32)

// tlsa puts records below a name.
func (d *tlsaDNS) tlsa(base string, secure bool, r ...resolve.TLSA) {
	d.Static[tlsaOf(base)] = resolve.Answer{TLSA: r, Secure: secure}
}

func tlsaOf(base string) resolve.Question {
	return resolve.Question{Name: "_25._tcp." + base, Type: resolve.TypeTLSA}
}

var (
	ee       = resolve.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: noKey}
	ta       = resolve.TLSA{Usage: 2, MatchingType: 1, Data: noKey}
	unusable = resolve.TLSA{Usage: 1, Selector: 1, MatchingType: 1, Data: noKey}
)

// Which policy comes of what the DNS says, at DANE and at DANEOnly. Without an
// error there, DANEOnly comes to the same.
func TestDANEDecide(t *testing.T) {
	failed := errors.New("SERVFAIL")
	for _, tt := range []struct {
		name  string
		set   func(d *tlsaDNS, q *tlspolicy.Query)
		level tlspolicy.Level // 0: no opinion
		base  string          // of the records, in SNI
		names []string        // for DANE-TA
		err   bool            // at DANE, and then at DANEOnly too
		only  string          // what DANEOnly says
	}{
		{name: "secure records", level: tlspolicy.DANE, base: "mx.example.net", names: []string{"mx.example.net", "example.net"},
			set: func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", true, ee) }},
		{name: "names of an alias of the next hop", level: tlspolicy.DANE, base: "mx.example.net", names: []string{"mx.example.net", "alias.example.org", "example.net"},
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				d.tlsa("mx.example.net", true, ta)
				q.Route.NextHop.Name = "alias.example.org"
				d.Static[resolve.Question{Name: "alias.example.org", Type: resolve.TypeCNAME}] = resolve.Answer{Canonical: "example.net", Secure: true}
				d.Static[resolve.Question{Name: "example.net", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx.example.net"}}, Secure: true}
			}},
		{name: "D18 a host that was configured, at another port", level: tlspolicy.DANE, base: "relay.example.org", names: []string{"relay.example.org"},
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				q.Route.NextHop = resolve.NextHop{Kind: resolve.ViaHost, Name: "relay.example.org", Port: 587}
				q.Host.Name, q.Host.Port = "relay.example.org", 587
				d.Static[resolve.Question{Name: "_587._tcp.relay.example.org", Type: resolve.TypeTLSA}] = resolve.Answer{TLSA: records(ta), Secure: true}
			}},
		{name: "D2 MX records not secure: names of the host only", level: tlspolicy.DANE, base: "mx.example.net", names: []string{"mx.example.net"}, only: "MX records are not secured",
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				d.tlsa("mx.example.net", true, ee)
				q.Route.Secure = false
			}},
		{name: "D3 addresses not secure: nobody is asked", only: "addresses of the host are not secured",
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				d.fail[tlsaOf("mx.example.net")] = failed
				q.Host.Secure = false
			}},
		{name: "D5 SERVFAIL", err: true, set: func(d *tlsaDNS, q *tlspolicy.Query) { d.fail[tlsaOf("mx.example.net")] = failed }},
		{name: "D5 bogus", err: true, set: func(d *tlsaDNS, q *tlspolicy.Query) {
			d.fail[tlsaOf("mx.example.net")] = &resolve.Error{Kind: resolve.Bogus}
		}},
		{name: "D5 timeout", err: true, set: func(d *tlsaDNS, q *tlspolicy.Query) {
			d.fail[tlsaOf("mx.example.net")] = context.DeadlineExceeded
		}},
		{name: "D6 no records, proven", only: "no TLSA records", set: func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", true) }},
		{name: "D6 no records, not signed", only: "no TLSA records", set: func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", false) }},
		{name: "records that are not signed", only: "no TLSA records", set: func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", false, ee) }},
		{name: "D7 PKIX-EE only", level: tlspolicy.Encrypt, base: "mx.example.net", only: "cannot be used",
			set: func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", true, unusable) }},
		{name: "D7 unknown usage, selector and matching type", level: tlspolicy.Encrypt, base: "mx.example.net", only: "cannot be used",
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				d.tlsa("mx.example.net", true, resolve.TLSA{Usage: 255, Selector: 1, MatchingType: 1, Data: noKey},
					resolve.TLSA{Usage: 3, Selector: 9, MatchingType: 1, Data: noKey}, resolve.TLSA{Usage: 3, Selector: 1, MatchingType: 9, Data: noKey})
			}},
		{name: "D7 malformed", level: tlspolicy.Encrypt, base: "mx.example.net", only: "cannot be used",
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				d.tlsa("mx.example.net", true, resolve.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: noKey[:31]},
					resolve.TLSA{Usage: 3, MatchingType: 2, Data: noKey}, resolve.TLSA{Usage: 3, MatchingType: 1},
					resolve.TLSA{Usage: 3, Data: []byte("no certificate")}, resolve.TLSA{Usage: 2, Selector: 1, Data: []byte("no key")})
			}},
		{name: "D8 usable and unusable", level: tlspolicy.DANE, base: "mx.example.net", names: []string{"mx.example.net", "example.net"},
			set: func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", true, unusable, ee) }},
		{name: "D11 secure alias: the target first", level: tlspolicy.DANE, base: "host.example.org", names: []string{"host.example.org", "example.net"},
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				q.Host.Canonical = "host.example.org"
				d.tlsa("host.example.org", true, ee)
				d.tlsa("mx.example.net", true, ta)
			}},
		{name: "D11 secure alias: else the alias", level: tlspolicy.DANE, base: "mx.example.net", names: []string{"mx.example.net", "example.net"},
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				q.Host.Canonical = "host.example.org"
				d.tlsa("host.example.org", false, ee)
				d.tlsa("mx.example.net", true, ta)
			}},
		{name: "D11 secure alias: a failure at the target counts", err: true,
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				q.Host.Canonical = "host.example.org"
				d.fail[tlsaOf("host.example.org")] = failed
				d.tlsa("mx.example.net", true, ta)
			}},
		{name: "D11 secure alias of an unsigned host: the alias only", level: tlspolicy.DANE, base: "mx.example.net", names: []string{"mx.example.net", "example.net"},
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				q.Host.Canonical, q.Host.Secure = "host.example.org", false
				d.Static[resolve.Question{Name: "mx.example.net", Type: resolve.TypeCNAME}] = resolve.Answer{Canonical: "host.example.org", Secure: true}
				d.fail[tlsaOf("host.example.org")] = failed
				d.tlsa("mx.example.net", true, ta)
			}},
		{name: "D11 unsigned alias: nobody is asked", only: "addresses of the host are not secured",
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				q.Host.Canonical, q.Host.Secure = "host.example.org", false
				d.Static[resolve.Question{Name: "mx.example.net", Type: resolve.TypeCNAME}] = resolve.Answer{Canonical: "host.example.org"}
				d.fail[tlsaOf("host.example.org")], d.fail[tlsaOf("mx.example.net")] = failed, failed
			}},
		{name: "D11 the lookup of the alias fails", err: true,
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				q.Host.Canonical, q.Host.Secure = "host.example.org", false
				d.fail[resolve.Question{Name: "mx.example.net", Type: resolve.TypeCNAME}] = failed
			}},
		{name: "D14 more records than a Resolver gives", err: true,
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				d.tlsa("mx.example.net", true, slices.Repeat(records(ee), 100)...)
			}},
		{name: "D14 as many that are not signed", only: "no TLSA records",
			set: func(d *tlsaDNS, q *tlspolicy.Query) {
				d.tlsa("mx.example.net", false, slices.Repeat(records(ee), 100)...)
			}},
		{name: "an address in the MX record", only: "an address or a socket", set: func(d *tlsaDNS, q *tlspolicy.Query) { q.Host.Name = "192.0.2.10" }},
		{name: "a socket", only: "an address or a socket", set: func(d *tlsaDNS, q *tlspolicy.Query) {
			q.Route.NextHop, q.Host.Name = resolve.NextHop{Kind: resolve.ViaSocket, Name: "/run/lmtp"}, "/run/lmtp"
		}},
		{name: "a name too long to have records", only: "no TLSA records", set: func(d *tlsaDNS, q *tlspolicy.Query) {
			q.Host.Name = strings.Repeat("a.", 125) + "org"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, level := range []tlspolicy.Level{tlspolicy.DANE, tlspolicy.DANEOnly} {
				d := &tlsaDNS{Static: resolve.Static{}, fail: map[resolve.Question]error{}}
				q := tlspolicy.Query{
					Route:    &resolve.Route{NextHop: resolve.NextHop{Name: "example.net"}, Secure: true},
					Host:     resolve.Host{Name: "mx.example.net", Port: 25, Secure: true, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}},
					Resolver: d,
				}
				tt.set(d, &q)
				p, err := level.Decide(t.Context(), q)
				want := tt.level
				if level == tlspolicy.DANEOnly && want == tlspolicy.DANE {
					want = level
				}
				fails := tt.err || level == tlspolicy.DANEOnly && tt.only != ""
				switch {
				case fails && err == nil:
					t.Errorf("%v: %+v, want an error", level, p)
				case fails && tlspolicy.FailureType(err) != map[bool]string{true: "dnssec-invalid", false: "dane-required"}[tt.err]:
					t.Errorf("%v: %v is a failure of type %s", level, err, tlspolicy.FailureType(err))
				case fails && level == tlspolicy.DANEOnly && !strings.Contains(err.Error(), tt.only):
					t.Errorf("%v: %v, want words on %q", level, err, tt.only)
				case !fails && (err != nil || p.Level != want || p.ServerName != tt.base || fmt.Sprint(p.Names) != fmt.Sprint(tt.names)):
					t.Errorf("%v: level %v, base %q, names %q, %v; want %v, %q, %q", level, p.Level, p.ServerName, p.Names, err, want, tt.base, tt.names)
				case !fails && tt.base != "" && (p.Published.Type != "tlsa" || p.Published.Domain != tt.base):
					t.Errorf("%v: published %+v", level, p.Published)
				}
			}
		})
	}
}

// What is published is in the report as in the zone.
func TestDANEPublished(t *testing.T) {
	d := &tlsaDNS{Static: resolve.Static{}}
	d.tlsa("mx.example.net", true, ee, unusable)
	q := tlspolicy.Query{Route: &resolve.Route{Secure: true}, Host: resolve.Host{Name: "mx.example.net", Port: 25, Secure: true}, Resolver: d}
	p, err := tlspolicy.DANE.Decide(t.Context(), q)
	zeros := strings.Repeat("0", 64)
	if want := []string{"3 1 1 " + zeros, "1 1 1 " + zeros}; err != nil || !slices.Equal(p.Published.Lines, want) {
		t.Errorf("%+v, %v; want %q", p.Published, err, want)
	}
}

// Where the MX records are not secure, records that do not fit keep mail away,
// but such that do fit prove nothing: the host may be the wrong one.
func TestDANEInsecureMX(t *testing.T) {
	p := newPKI(t)
	d := &tlsaDNS{Static: resolve.Static{}}
	d.tlsa("mx.example.net", true, record(3, 1, 1, p.leaf.cert))
	q := tlspolicy.Query{Route: &resolve.Route{NextHop: resolve.NextHop{Name: "example.net"}}, Host: resolve.Host{Name: "mx.example.net", Port: 25, Secure: true}, Resolver: d}
	policy, err := tlspolicy.Sources{tlspolicy.DANE, tlspolicy.May}.Decide(t.Context(), q)
	if err != nil || policy.Level != tlspolicy.DANE {
		t.Fatalf("%+v, %v", policy, err)
	}
	if proof, err := policy.Check(handshake(p.leaf.cert)); proof != "" || err != nil {
		t.Errorf("the right key: proof %q, %v", proof, err)
	}
	if _, err := policy.Check(handshake(p.other.cert)); err == nil {
		t.Error("the wrong key passes")
	}
	q.Route.NextHop.Name, q.Route.Secure = "mx.example.net", true // so that the names are the same
	proven, err := tlspolicy.DANE.Decide(t.Context(), q)
	if err != nil || proven.ID() == policy.ID() || !slices.Equal(proven.Names, policy.Names) {
		t.Errorf("the same with DNSSEC: %+v, %v; it must have another ID than %+v", proven, err, policy)
	}
}

// S21: TLSA records come first. Those that prove nothing leave MTA-STS in force,
// and MTA-STS never makes up for TLSA records that do not fit.
func TestDANEBeforeMTASTS(t *testing.T) {
	for _, tt := range []struct {
		name      string
		mx        bool // secured by DNSSEC
		records   []resolve.TLSA
		fits      bool
		published string
		proof     string // for a certificate that MTA-STS likes; "": refused
		stranger  bool   // a host that the policy does not name is refused
	}{
		{"usable", true, records(ee), true, "tlsa", "dane-ee", false},
		{"usable, does not fit", true, records(ee), false, "tlsa", "", false},
		{"none", true, nil, false, "sts", "pkix", true},
		{"unusable", true, records(unusable), false, "sts", "pkix", true},
		{"usable by insecure MX", false, records(ee), true, "sts", "pkix", true},
		{"usable by insecure MX, does not fit", false, records(ee), false, "sts", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inSTSWorld(t, func(t *testing.T, w *stsWorld) {
				leaf := w.root.leaf(t, "mx10.example.net")
				if tt.fits {
					tt.records = records(record(3, 1, 1, leaf.cert))
				}
				decide := func(host string) (tlspolicy.Policy, error) {
					q := w.query(host)
					q.Host.Secure, q.Route.Secure = true, tt.mx
					q.Resolver = resolverFunc(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
						if q.Type == resolve.TypeTLSA {
							return resolve.Answer{TLSA: tt.records, Secure: true}, nil
						}
						return w.Lookup(ctx, q)
					})
					return tlspolicy.Sources{tlspolicy.DANE, w.sts, tlspolicy.May}.Decide(t.Context(), q)
				}
				p, err := decide("mx10.example.net")
				if err != nil || p.Published.Type != tt.published {
					t.Fatalf("%+v, %v", p, err)
				}
				if proof, err := p.Check(handshake(leaf.cert)); proof != tt.proof || (err == nil) != (tt.proof != "") {
					t.Errorf("proof %q, %v; want %q", proof, err, tt.proof)
				}
				alone, _ := w.sts.Decide(t.Context(), w.query("mx10.example.net"))
				if same := alone.ID() == p.ID(); tt.published == "sts" && same != tt.mx {
					t.Errorf("the policy has the ID of MTA-STS alone: %v, want %v", same, tt.mx)
				}
				if p, err := decide("mx.example.com"); (err != nil) != tt.stranger {
					t.Errorf("a host that the policy does not name: %+v, %v", p, err)
				}
			})
		})
	}
}

// RFC 8689, Section 4.2.2: what the domain publishes is not enforced on a message with
// TLS-Required: no; what was configured is.
func TestNotRequiredAndDANE(t *testing.T) {
	d := &tlsaDNS{Static: resolve.Static{}}
	d.tlsa("mx.example.net", true, ee)
	q := tlspolicy.Query{Route: &resolve.Route{Secure: true}, Host: resolve.Host{Name: "mx.example.net", Port: 25, Secure: true},
		Resolver: d, Message: tlspolicy.NotRequired}
	sts := tlspolicy.Policy{Level: tlspolicy.Verify, Published: tlspolicy.Published{Type: "sts"}}
	for want, source := range map[tlspolicy.Level]tlspolicy.Source{
		0: tlspolicy.DANE, tlspolicy.May: tlspolicy.Sources{tlspolicy.DANE, tlspolicy.May},
		tlspolicy.DANEOnly: tlspolicy.DANEOnly, tlspolicy.Verify: tlspolicy.Sources{tlspolicy.DANE, sts},
	} {
		if p, err := source.Decide(t.Context(), q); err != nil || p.Level != want {
			t.Errorf("level %v, %v; want %v", p.Level, err, want)
		}
	}
	table, err := tlspolicy.ParseTable(strings.NewReader("example.net secure policy_type=sts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Route.NextHop = resolve.NextHop{Name: "example.net"}
	if p, err := table.Decide(t.Context(), q); err != nil || p.Level != 0 {
		t.Errorf("an entry with the policy of the domain: level %v, %v", p.Level, err)
	}
}

type resolverFunc func(context.Context, resolve.Question) (resolve.Answer, error)

func (f resolverFunc) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	return f(ctx, q)
}

// What is only the least can be raised by the sources behind it, in a list within
// a list as well, and by nothing lowered.
func TestSourcesRaise(t *testing.T) {
	d := &tlsaDNS{Static: resolve.Static{}}
	d.tlsa("mx.example.net", true, unusable)
	q := tlspolicy.Query{Route: &resolve.Route{Secure: true}, Host: resolve.Host{Name: "mx.example.net", Port: 25, Secure: true}, Resolver: d}
	for next, want := range map[tlspolicy.Level]tlspolicy.Level{
		0: tlspolicy.Encrypt, tlspolicy.None: tlspolicy.Encrypt, tlspolicy.May: tlspolicy.Encrypt, tlspolicy.Encrypt: tlspolicy.Encrypt,
		tlspolicy.Verify: tlspolicy.Verify, tlspolicy.Secure: tlspolicy.Secure,
	} {
		p, err := tlspolicy.Sources{tlspolicy.Sources{tlspolicy.DANE}, next}.Decide(t.Context(), q)
		if err != nil || p.Level != want {
			t.Errorf("unusable records before %q: %v, %v; want %v", next, p.Level, err, want)
		}
	}
	p, err := tlspolicy.Sources{tlspolicy.DANE, tlspolicy.Policy{Implicit: true}}.Decide(t.Context(), q)
	if err != nil || p.Level != tlspolicy.Encrypt || !p.Implicit {
		t.Errorf("before implicit TLS: %+v, %v", p, err)
	}
	delete(d.Static, tlsaOf("mx.example.net"))
	p, err = tlspolicy.Policy{Level: tlspolicy.DANE, Implicit: true, ServerName: "mail.example.org"}.Decide(t.Context(), q)
	if err != nil || p.Level != tlspolicy.Encrypt || p.ServerName != "mail.example.org" {
		t.Errorf("without records the policy lost what else it says: %+v, %v", p, err)
	}
}
