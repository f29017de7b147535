package smtpclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// mixup is a world in which a pool could give a delivery the session of another.
type mixup struct {
	w       *world
	servers []*smtptest.Server
	said    map[[2]int]string // by server and session: the last EHLO, and AUTH
}

func newMixup(w *world) *mixup {
	m := &mixup{w: w, said: map[[2]int]string{}}
	for i := range 2 {
		m.servers = append(m.servers, &smtptest.Server{
			Name:       "client.example.org", // which is our own name: a loop, where the DNS leads there
			Extensions: []string{"PIPELINING", "STARTTLS", "AUTH PLAIN LOGIN XOAUTH2"},
			Passwords:  map[string]string{"ann": thePassword, "robot": theToken},
			TLSConfig:  &tls.Config{ClientAuth: tls.RequestClientCert},
			Script: func(c smtptest.Command) smtptest.Action {
				key := [2]int{i, c.Session}
				switch c.Verb {
				case "EHLO", "LHLO":
					m.said[key] = c.Verb + " " + c.Args
				case "AUTH":
					m.said[key] += " AUTH " + c.Args
				}
				return smtptest.Action{}
			},
		})
	}
	addr := func(host, ip string) {
		w.dns[resolve.Question{Name: host, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr(ip)}}
	}
	w.dns[resolve.Question{Name: "example.net", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx.example.net"}}}
	addr("mx.example.net", "192.0.2.10")
	addr("other.example.net", "192.0.2.10")
	addr("far.example.net", "192.0.2.20")
	w.net["192.0.2.10:25"], w.net["192.0.2.10:2525"], w.net["192.0.2.20:25"] = m.servers[0], m.servers[0], m.servers[1]
	w.client.Cache = cache.None
	w.client.Pool = &smtpclient.Pool{KeepAll: true}
	return m
}

// view is what became of a delivery, and how the server saw it.
func (m *mixup) view(v variant) string {
	c := m.w.client
	c.NextHops = []string{"[mx.example.net]:25"}
	c.TLS = tlspolicy.Encrypt
	env := fromAnn("bob@example.net")
	v.set(m, &c.Client, &env)
	before := []int{len(m.servers[0].Messages()), len(m.servers[1].Messages())}
	report, _ := c.Deliver(m.w.t.Context(), env, smtpclient.Bytes([]byte(hello)))
	o := report.Outcomes[0]
	seen := fmt.Sprintf("%v %s, %v, verified %q", o.Status, o.Enhanced, o.TLS.Wanted, o.TLS.Verified)
	for i, s := range m.servers {
		for _, got := range s.Messages()[before[i]:] {
			seen += fmt.Sprintf(" server %d %q login %q", i, m.said[[2]int{i, got.Session}], got.Login)
			if t := got.TLS; t != nil {
				seen += fmt.Sprintf(" TLS %x %x %s certificates %d", t.Version, t.CipherSuite, t.ServerName, len(t.PeerCertificates))
			}
		}
	}
	return seen
}

// variant is a delivery that differs from the usual one in a field of the key.
type variant struct {
	name string
	set  func(m *mixup, c *smtpclient.Client, env *smtpclient.Envelope)
}

// asItIs is a Source with one policy, as it is.
type asItIs tlspolicy.Policy

func (p asItIs) Decide(context.Context, tlspolicy.Query) (tlspolicy.Policy, error) {
	return tlspolicy.Policy(p), nil
}

func withPolicy(name string, change func(m *mixup, p *tlspolicy.Policy)) variant {
	return variant{name, func(m *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) {
		p := tlspolicy.Policy{Level: tlspolicy.Encrypt}
		change(m, &p)
		c.TLS = asItIs(p)
	}}
}

func withCredential(name string, credential smtpclient.Credential) variant {
	return variant{name, func(_ *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) {
		credential.Mechanisms = slices.Clone(credential.Mechanisms)
		copied := credential
		c.Auth = &copied
	}}
}

// clientCertificate is one that nobody knows.
func clientCertificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func variants(t *testing.T) []variant {
	certificate := clientCertificate(t)
	ann := smtpclient.Credential{User: "ann", Password: thePassword, Channel: tlspolicy.None, Mechanisms: []string{"PLAIN"}}
	changed := func(change func(c *smtpclient.Credential)) smtpclient.Credential {
		c := ann
		change(&c)
		return c
	}
	return []variant{
		{"usual", func(*mixup, *smtpclient.Client, *smtpclient.Envelope) {}},
		{"by MX", func(_ *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) { c.NextHops = nil }}, // loops
		{"other address", func(_ *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) {
			c.NextHops = []string{"[far.example.net]:25"}
		}},
		{"other port", func(_ *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) {
			c.NextHops = []string{"[mx.example.net]:2525"}
		}},
		{"other host", func(_ *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) {
			c.NextHops = []string{"[other.example.net]:25"}
		}},
		{"LMTP", func(_ *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) {
			c.Protocol, c.NextHops = smtpclient.LMTP, []string{"[mx.example.net]:2525"}
		}},
		{"EHLO name", func(_ *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) { c.LocalName = "other.example.org" }},
		{"client certificate", func(m *mixup, c *smtpclient.Client, _ *smtpclient.Envelope) {
			c.Dialer = &smtpclient.Dialer{DialContext: m.w.net.DialContext, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
		}},
		{"requires TLS", func(m *mixup, c *smtpclient.Client, env *smtpclient.Envelope) {
			env.TLS = tlspolicy.EveryHop
			c.TLS = tlspolicy.Policy{Level: tlspolicy.Encrypt, Roots: m.servers[0].Roots()}
		}},
		withPolicy("none", func(_ *mixup, p *tlspolicy.Policy) { p.Level = tlspolicy.None }),
		withPolicy("may", func(_ *mixup, p *tlspolicy.Policy) { p.Level = tlspolicy.May }),
		withPolicy("implicit", func(_ *mixup, p *tlspolicy.Policy) { p.Implicit = true }),
		withPolicy("verify", func(m *mixup, p *tlspolicy.Policy) { p.Level, p.Roots = tlspolicy.Verify, m.servers[0].Roots() }),
		withPolicy("roots", func(_ *mixup, p *tlspolicy.Policy) { p.Level, p.Roots = tlspolicy.Verify, x509.NewCertPool() }),
		withPolicy("names", func(m *mixup, p *tlspolicy.Policy) {
			p.Level, p.Roots, p.Names = tlspolicy.Verify, m.servers[0].Roots(), []string{"elsewhere.example.com"}
		}),
		withPolicy("fingerprint", func(_ *mixup, p *tlspolicy.Policy) {
			p.Level, p.Fingerprints = tlspolicy.Fingerprint, []string{fmt.Sprintf("%064x", 1)}
		}),
		withPolicy("TLSA", func(_ *mixup, p *tlspolicy.Policy) {
			p.Level, p.TLSA, p.Names = tlspolicy.DANEOnly, []resolve.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}}, []string{"mx.example.net"}
		}),
		withPolicy("SNI", func(_ *mixup, p *tlspolicy.Policy) { p.ServerName = "sni.example.net" }),
		withPolicy("least version", func(_ *mixup, p *tlspolicy.Policy) { p.MinVersion = tls.VersionTLS13 }),
		withPolicy("most version", func(_ *mixup, p *tlspolicy.Policy) { p.MaxVersion = tls.VersionTLS12 }),
		withPolicy("cipher", func(_ *mixup, p *tlspolicy.Policy) {
			p.MaxVersion, p.Ciphers = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		}),
		withPolicy("other cipher", func(_ *mixup, p *tlspolicy.Policy) {
			p.MaxVersion, p.Ciphers = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		}),
		withPolicy("no retry", func(_ *mixup, p *tlspolicy.Policy) { p.Level, p.NoPlaintextRetry = tlspolicy.May, true }),
		withCredential("ann", ann),
		withCredential("wrong password", changed(func(c *smtpclient.Credential) { c.Password = wrongPassword })),
		withCredential("robot", changed(func(c *smtpclient.Credential) { c.User, c.Password = "robot", theToken })),
		withCredential("identity", changed(func(c *smtpclient.Credential) { c.Identity = "robot" })),
		withCredential("mechanism", changed(func(c *smtpclient.Credential) { c.Mechanisms = []string{"LOGIN"} })),
		withCredential("channel", changed(func(c *smtpclient.Credential) { c.Channel = tlspolicy.Secure })),
		withCredential("token", changed(func(c *smtpclient.Credential) {
			c.User, c.Password, c.Mechanisms = "robot", "", []string{"XOAUTH2"}
			c.Token = func(context.Context) (string, error) { return theToken, nil }
		})),
	}
}

// Whatever delivery was before it, each one has the session that it would have got
// alone, as far as a server or the outcome can tell: for each two of the variants, in
// both orders (invariants 6 and 7).
func TestPoolNeverMixesUp(t *testing.T) {
	all := variants(t)
	alone := make([]string, len(all))
	different := map[string]string{}
	for i, v := range all {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			m := newMixup(w)
			alone[i] = m.view(v)
			w.client.Pool.Close(t.Context())
		})
		different[alone[i]] = v.name
	}
	if len(different) < 18 {
		t.Errorf("only %d of %d variants can be told apart", len(different), len(all))
	}
	for i, first := range all {
		for j, second := range all {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				m := newMixup(w)
				m.view(first)
				if got := m.view(second); got != alone[j] {
					t.Errorf("%s after %s: %s, alone: %s", second.name, all[i].name, got, alone[j])
				}
				w.client.Pool.Close(t.Context())
			})
		}
	}
}
