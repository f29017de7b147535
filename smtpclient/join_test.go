package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// sharing makes domains that have the exchangers of example.net.
func (w *world) sharing(domains ...string) {
	mx := w.dns[resolve.Question{Name: "example.net", Type: resolve.TypeMX}]
	for _, d := range domains {
		w.dns[resolve.Question{Name: d, Type: resolve.TypeMX}] = mx
	}
}

// joinedTransactions are the recipients of each message that a server has.
func joinedTransactions(servers ...*smtptest.Server) string {
	var all []string
	for _, s := range servers {
		for _, m := range s.Messages() {
			slices.Sort(m.To)
			all = append(all, strings.ReplaceAll(strings.Join(m.To, " "), ".example", ""))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// byDomain is a Source and Credentials that go by the next hop.
type byDomain struct {
	policies    map[string]tlspolicy.Policy // May for others
	passwords   map[string]string
	beforeLater func(host string) // before hosts are judged
}

func (b *byDomain) forAll(p tlspolicy.Policy) {
	for _, d := range []string{"a.example", "b.example", "c.example"} {
		b.policies[d] = p
	}
}

func (b *byDomain) Decide(_ context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	if b.beforeLater != nil {
		b.beforeLater(q.Host.Name)
	}
	for _, key := range []string{q.Route.NextHop.Name + " " + q.Host.Name, q.Route.NextHop.Name} {
		if p, ok := b.policies[key]; ok {
			return p, nil
		}
	}
	return tlspolicy.Policy{Level: tlspolicy.May}, nil
}

func (b *byDomain) Lookup(_ context.Context, q smtpclient.CredentialQuery) (*smtpclient.Credential, error) {
	if password := b.passwords[q.NextHop.Name]; password != "" {
		return &smtpclient.Credential{User: "ann", Password: password, Channel: tlspolicy.Encrypt}, nil
	}
	return nil, nil
}

// Domains share a transaction where everything is the same for them, and in no other
// case.
func TestJoinDomains(t *testing.T) {
	encrypt := tlspolicy.Policy{Level: tlspolicy.Encrypt}
	for name, c := range map[string]struct {
		off    bool
		set    func(w *world, b *byDomain, s *smtptest.Server)
		want   string
		logins int
	}{
		"off":      {off: true, want: "x@a, x@b, x@c"},
		"all same": {want: "x@a x@b x@c"},
		"one has another level": {
			set:  func(_ *world, b *byDomain, _ *smtptest.Server) { b.policies["b.example"] = encrypt },
			want: "x@a x@c, x@b",
		},
		"the first has another level": {
			set:  func(_ *world, b *byDomain, _ *smtptest.Server) { b.policies["a.example"] = encrypt },
			want: "x@a, x@b x@c",
		},
		"names of the exchanger": {
			set: func(_ *world, b *byDomain, s *smtptest.Server) {
				b.forAll(tlspolicy.Policy{Level: tlspolicy.Verify, Names: []string{"hostname"}, Roots: s.Roots()})
			},
			want: "x@a x@b x@c",
		},
		"names of the domain": {
			set: func(_ *world, b *byDomain, s *smtptest.Server) {
				s.Certificate.Names = []string{"a.example", "b.example", "c.example"}
				b.forAll(tlspolicy.Policy{Level: tlspolicy.Secure, Names: []string{"nexthop"}, Roots: s.Roots()})
			},
			want: "x@a, x@b, x@c",
		},
		"another preference": {
			set: func(w *world, _ *byDomain, _ *smtptest.Server) {
				w.dns[resolve.Question{Name: "b.example", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Preference: 5, Host: "mx10.example.net"}}}
			},
			want: "x@a x@c, x@b",
		},
		"one host more": {
			set: func(w *world, _ *byDomain, _ *smtptest.Server) {
				w.dns[resolve.Question{Name: "c.example", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{
					{Preference: 10, Host: "mx10.example.net"}, {Preference: 90, Host: "mx90.example.net"}}}
			},
			want: "x@a x@b, x@c",
		},
		"not proved by DNSSEC": {
			set: func(w *world, _ *byDomain, _ *smtptest.Server) {
				for q, a := range w.dns {
					a.Secure = q.Name != "c.example"
					w.dns[q] = a
				}
			},
			want: "x@a x@b, x@c",
		},
		"another way out": {
			set: func(w *world, _ *byDomain, _ *smtptest.Server) {
				usual, other := w.client.Dialer, *w.client.Dialer
				w.client.Source = func(_ context.Context, q smtpclient.SourceQuery) (*smtpclient.Dialer, error) {
					if q.NextHop.Name == "b.example" {
						return &other, nil
					}
					return usual, nil
				}
			},
			want: "x@a x@c, x@b",
		},
		"no way out for one": {
			set: func(w *world, _ *byDomain, _ *smtptest.Server) {
				w.client.Source = func(_ context.Context, q smtpclient.SourceQuery) (*smtpclient.Dialer, error) {
					if q.NextHop.Name == "a.example" {
						return nil, errors.New("no way out")
					}
					return nil, nil
				}
			},
			want: "x@b x@c",
		},
		"a domain that does not exist": {
			set: func(w *world, _ *byDomain, _ *smtptest.Server) {
				w.dns[resolve.Question{Name: "b.example", Type: resolve.TypeMX}] = resolve.Answer{NoName: true}
			},
			want: "x@a x@c",
		},
		"other passwords": {
			set: func(w *world, b *byDomain, s *smtptest.Server) {
				s.Passwords = map[string]string{"ann": "sesame"}
				b.passwords = map[string]string{"a.example": "sesame", "c.example": "sesame"}
				w.client.Auth = b
			},
			want:   "x@a x@c, x@b",
			logins: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				s, b := &smtptest.Server{}, &byDomain{policies: map[string]tlspolicy.Policy{}}
				w.mx(10, s)
				w.sharing("a.example", "b.example", "c.example")
				w.client.JoinDomains = !c.off
				w.client.TLS = b
				if c.set != nil {
					c.set(w, b, s)
				}
				report := w.deliver(t.Context(), fromAnn("x@a.example", "x@b.example", "x@c.example"), hello)
				w.settle()
				if got := joinedTransactions(s); got != c.want {
					t.Errorf("transactions %q, want %q: %v", got, c.want, report.Err())
				}
				logins := 0
				for _, o := range report.Outcomes {
					if o.Login != "" {
						logins++
					}
				}
				if logins != c.logins {
					t.Errorf("%d were sent logged in, want %d", logins, c.logins)
				}
			})
		})
	}
}

// At the second host the policies differ: who is still open there goes apart, and has
// that host on a session that suits him.
func TestJoinDomainsPartsLater(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := &byDomain{policies: map[string]tlspolicy.Policy{"b.example mx20.example.net": {Level: tlspolicy.Encrypt}}}
		w.client.TLS, w.client.JoinDomains = b, true
		first := w.mx(10, &smtptest.Server{Script: on("RCPT", action{Reply: "450 4.2.1 not here"})})
		second := w.mx(20, &smtptest.Server{})
		w.sharing("a.example", "b.example", "c.example")
		report := w.deliver(t.Context(), fromAnn("x@a.example", "x@b.example", "x@c.example"), hello)
		if got := joinedTransactions(second); got != "x@a x@c, x@b" || first.Sessions() != 2 {
			t.Errorf("transactions %q, %d sessions with the first: %v", got, first.Sessions(), report.Err())
		}
		for _, o := range report.Outcomes {
			if want := o.Address == "x@b.example"; want != (o.TLS.Wanted == tlspolicy.Encrypt) {
				t.Errorf("%s: TLS %+v", o.Address, o.TLS)
			}
		}
	})
}

// Each recipient keeps a verdict of his own, and a receiver that takes only one domain
// at a time gets the other one by the next host.
func TestJoinDomainsVerdicts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.JoinDomains = true
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			switch {
			case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody@"):
				return action{Reply: "550 5.1.1 no such user"}
			case c.Verb == "RCPT" && strings.Contains(c.Args, "@b.example"):
				return action{Reply: "451 4.3.0 one domain at a time"}
			}
			return action{}
		}})
		second := w.mx(20, &smtptest.Server{})
		w.sharing("a.example", "b.example")
		expect(t, w.deliver(t.Context(), fromAnn("x@a.example", "nobody@a.example", "x@b.example", "nobody@b.example"), hello),
			"x@a.example delivered data-done 2.0.0", "nobody@a.example failed rcpt 5.1.1",
			"x@b.example delivered data-done 2.0.0", "nobody@b.example failed rcpt 5.1.1")
		if got := joinedTransactions(second); got != "x@b" {
			t.Errorf("the second host got %q", got)
		}
	})
}

// Whatever goes wrong on the way, everybody has an outcome: both ends are compared by
// deliver.
func TestJoinDomainsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(w *world, b *byDomain, cancel context.CancelFunc)
		want string
	}{
		"no host answers": {
			func(w *world, _ *byDomain, _ context.CancelFunc) { w.absentMX(10) },
			"a deferred connect, b deferred connect, c deferred connect",
		},
		"the source panics": {
			func(_ *world, b *byDomain, _ context.CancelFunc) {
				b.beforeLater = func(string) { panic("no policy") }
			},
			"a deferred resolve, b deferred resolve, c deferred resolve",
		},
		"cancelled at the lookup": {
			func(w *world, _ *byDomain, cancel context.CancelFunc) { cancel() },
			"a deferred resolve, b deferred resolve, c deferred resolve",
		},
		"cancelled at the policy": {
			func(_ *world, b *byDomain, cancel context.CancelFunc) {
				b.beforeLater = func(string) { cancel() }
			},
			"a deferred policy, b deferred resolve, c deferred resolve",
		},
		"a fallback": {
			func(w *world, _ *byDomain, _ context.CancelFunc) {
				w.absentMX(10)
				w.client.Fallback = []string{"[192.0.2.77]"}
				w.net["192.0.2.77:25"] = &smtptest.Server{}
			},
			"a delivered data-done, b delivered data-done, c delivered data-done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				b := &byDomain{}
				w.client.TLS, w.client.JoinDomains = b, true
				w.mx(10, &smtptest.Server{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				c.set(w, b, cancel)
				w.sharing("a.example", "b.example", "c.example")
				report := w.deliver(ctx, fromAnn("x@a.example", "x@b.example", "x@c.example"), hello)
				var got []string
				for _, o := range report.Outcomes {
					got = append(got, fmt.Sprintf("%s %v %v", strings.TrimSuffix(o.Address[2:], ".example"), o.Status, o.Stage))
				}
				if strings.Join(got, ", ") != c.want {
					t.Errorf("got %s, want %s: %v", strings.Join(got, ", "), c.want, report.Err())
				}
			})
		})
	}
}

// Shared transactions go through a pool as any others.
func TestJoinDomainsInPool(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.client.JoinDomains = true
		s := w.mx(10, &smtptest.Server{})
		w.sharing("a.example", "b.example")
		for range 3 {
			w.sent++
			report := w.deliver(t.Context(), fromAnn(fmt.Sprintf("x%d@a.example", w.sent), fmt.Sprintf("x%d@b.example", w.sent)), hello)
			if report.Err() != nil {
				t.Error(report.Err())
			}
		}
		if got := joinedTransactions(s); got != "x1@a x1@b, x2@a x2@b, x3@a x3@b" || s.Sessions() != 1 {
			t.Errorf("%d sessions: %q", s.Sessions(), got)
		}
	})
}

// A session that is open to a worse host is tried first; a domain that wants more of
// that host than the others does not go along.
func TestJoinDomainsPartAtAnOpenSession(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.client.TLS = &byDomain{policies: map[string]tlspolicy.Policy{"b.example mx20.example.net": {Level: tlspolicy.Encrypt}}}
		w.client.JoinDomains = true
		w.absentMX(10)
		s := w.mx(20, &smtptest.Server{})
		w.sharing("a.example", "b.example")
		for n, name := range []string{"x", "y"} {
			report := w.deliver(t.Context(), fromAnn(name+"@a.example", name+"@b.example"), hello)
			expect(t, report, name+"@a.example delivered data-done 2.0.0", name+"@b.example delivered data-done 2.0.0")
			if a, b := report.Outcomes[0], report.Outcomes[1]; a.Reused != n || b.Reused != n {
				t.Errorf("%s: reused %d and %d times", name, a.Reused, b.Reused)
			}
		}
		if got := joinedTransactions(s); got != "x@a, x@b, y@a, y@b" && got != "x@a, y@a, x@b, y@b" {
			t.Errorf("the server got %q", got)
		}
	})
}
