package smtpclient_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// standing is what a client is told about TLS, and what nothing may go without
// then.
type standing struct {
	name    string
	tls     bool // TLS, of version 1.2 or higher
	genuine bool // the certificate of the real server
	proves  bool // a good session counts as verified

	ca   *authority
	leaf *tls.Certificate // of the real server
	set  func(t *testing.T, w *world, ca *authority, genuine *tls.Certificate) (close func())
}

func standings() []standing {
	var all []standing
	for _, l := range []tlspolicy.Level{tlspolicy.None, tlspolicy.May, tlspolicy.Encrypt, tlspolicy.Fingerprint, tlspolicy.Verify, tlspolicy.Secure} {
		all = append(all, standing{name: l.String(), tls: l.Mandatory(), genuine: l.Authenticates(), proves: l.Authenticates(),
			set: func(_ *testing.T, w *world, ca *authority, genuine *tls.Certificate) func() {
				w.client.TLS = policyFor(l, ca, genuine)
				return func() {}
			}})
	}
	for name, set := range publishers {
		all = append(all, standing{name: name, tls: true, genuine: true, proves: name != "dane by insecure MX", set: set})
	}
	return append(all, standing{name: "REQUIRETLS", tls: true, genuine: true, proves: true, set: func(_ *testing.T, w *world, ca *authority, _ *tls.Certificate) func() {
		w.secureMX()
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.May, Roots: ca.roots()}
		return func() {}
	}})
}

// attack is what somebody can do to a session, the DNS or the Cache.
type attack struct {
	name       string
	extensions []string // of what stands in for the real server; nil: the usual
	script     func(smtptest.Command) action
	oldTLS     bool // TLS 1.1 at most
	forged     bool // a certificate of its own
	strike     func(t *testing.T, w *world)
	// hides: what the domain publishes for MTA-STS cannot be had any more; forgets:
	// what was known of it is gone; forges: the cache has what a lying DNS said.
	hides, forgets, forges bool
	sealed                 bool // the client's cache is
}

// costs tells that a policy of the domain is lost, as is documented of tlspolicy:
// MTA-STS where nobody remembers it (RFC 8461, Section 10.2), and all that was
// published where somebody writes good entries into the cache, whom the client
// believes as it does the DNS.
func (a attack) costs(s standing, past string) bool {
	switch s.name {
	case "mta-sts":
		return a.hides && (past == pasts[0] || a.forgets) || a.forges
	case "dane", "dane by insecure MX":
		return a.forges
	}
	return false
}

var sessionAttacks = []attack{
	{name: "T3 STARTTLS stripped", extensions: pipelined},
	{name: "T3 STARTTLS masked", script: helloWithout},
	{name: "T5 STARTTLS refused for now", script: on("STARTTLS", action{Reply: "454 4.7.0 not now"})},
	{name: "T6 STARTTLS refused", script: on("STARTTLS", action{Reply: "502 5.5.1 what"})},
	{name: "T7 STARTTLS answered wrong", script: on("STARTTLS", action{Reply: "250 ok"})},
	{name: "T8 injected", script: on("STARTTLS", action{Raw: []byte("220 go\r\n250 STARTTLS\r\n")})},
	{name: "T9 injected fragment", script: on("STARTTLS", action{Raw: []byte("220 go\r\n2")})},
	{name: "T11 handshake broken", script: on("STARTTLS", action{Reply: "220 go", Fault: smtptest.DropAfter})},
	{name: "T12 handshake stalled", script: on("STARTTLS", action{Reply: "220 go", Fault: smtptest.Stall})},
	{name: "T15 certificate swapped", forged: true},
	{name: "TLS 1.1", oldTLS: true},
	{name: "TLS 1.1, certificate swapped", oldTLS: true, forged: true},
	{name: "EHLO refused", script: on("EHLO", action{Reply: "502 5.5.1 what"})},
	{name: "EHLO dropped", script: on("EHLO", action{Fault: smtptest.Drop})},
}

// strikes are done to the DNS and the Cache. Each is tried before a server without
// STARTTLS, and one with a certificate of its own.
var strikes = []attack{
	{name: "TLSA withheld", strike: withhold(tlsaOfMX)},
	{name: "TXT withheld", strike: withhold(stsOfNet), hides: true},
	{name: "policy host withheld", strike: withhold(policyHosts), hides: true},
	{name: "all that is published withheld", strike: withhold(tlsaOfMX, stsOfNet, policyHosts), hides: true},
	{name: "TXT removed", strike: func(_ *testing.T, w *world) { delete(w.dns, stsOfNet) }, hides: true},
	{name: "id changed, policy host withheld", hides: true, strike: func(t *testing.T, w *world) {
		w.dns[stsOfNet] = resolve.Answer{TXT: []string{"v=STSv1; id=2;"}}
		withhold(policyHosts)(t, w)
	}},
	{name: "cache emptied", strike: emptied},
	{name: "cache emptied, all withheld", hides: true, forgets: true, strike: func(t *testing.T, w *world) {
		emptied(t, w)
		withhold(tlsaOfMX, stsOfNet, policyHosts)(t, w)
	}},
	{name: "cache poisoned with garbage", strike: poisoned(func([]byte, []byte) []byte { return []byte("x") })},
	{name: "cache poisoned, a bit of each", strike: poisoned(func(own, _ []byte) []byte {
		own[len(own)/2] ^= 1
		return own
	})},
	{name: "cache poisoned, entries exchanged", strike: poisoned(func(_, other []byte) []byte { return other })},
	{name: "cache poisoned, TLS said to be broken", strike: func(t *testing.T, w *world) {
		w.client.Cache.Set(t.Context(), "tls-broken/mx10.example.net/192.0.2.10:25", []byte("x"), time.Hour)
	}},
	{name: "cache forged", strike: forged, forges: true},
	{name: "cache forged, but sealed", sealed: true, strike: forged},
	{name: "cache forged under another key, but sealed", sealed: true, strike: forgedSealed},
}

// forged puts in the cache what another client has in it whom the DNS tells that
// nothing is signed, and that there is no policy.
func forged(t *testing.T, w *world) {
	memory := &keyed{Memory: &cache.Memory{}}
	w.forge(t, memory)
	w.putForged(t, memory)
}

// forgedSealed is forged by somebody who knows that values are sealed, but not how.
func forgedSealed(t *testing.T, w *world) {
	memory := &keyed{Memory: &cache.Memory{}}
	w.forge(t, sealedIn(t, memory, bytes.Repeat([]byte{9}, 32)))
	w.putForged(t, memory)
}

func sealedIn(t *testing.T, c cache.Cache, key []byte) cache.Cache {
	s, err := cache.Seal(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// putForged writes to the store below the client's cache, as others can.
func (w *world) putForged(t *testing.T, memory *keyed) {
	store := w.store
	if store == nil {
		store = w.client.Cache
	}
	values := memory.values(t)
	if len(values) == 0 {
		t.Error("nothing was forged")
	}
	for key, value := range values {
		store.Set(t.Context(), key, value, time.Hour)
	}
}

func (w *world) forge(t *testing.T, into cache.Cache) {
	lies := resolve.Static{}
	for q, a := range w.dns {
		a.Secure = false
		if q.Type != resolve.TypeTLSA && q.Type != resolve.TypeTXT {
			lies[q] = a
		}
	}
	c := w.client
	c.Resolver, c.Cache, c.Auth, c.Dialer = lies, into, nil, &smtpclient.Dialer{DialContext: w.net.DialContext}
	c.Deliver(t.Context(), fromAnn("somebody@example.net"), smtpclient.Bytes([]byte(hello)))
}

// withhold has no answer to some questions.
func withhold(questions ...resolve.Question) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) { w.client.Resolver = failFor(w.dns, questions...) }
}

func emptied(_ *testing.T, w *world) { w.remember(&keyed{Memory: &cache.Memory{}}) }

// remember gives the client another Cache, for TLS sessions, too.
func (w *world) remember(c cache.Cache) {
	d := *w.client.Dialer
	d.TLSConfig = &tls.Config{ClientSessionCache: &smtpclient.TicketCache{Cache: c, Key: ticketKey}}
	w.client.Cache, w.client.Dialer = c, &d
}

// poisoned changes every entry of the cache, knowing its value and that of another
// one.
func poisoned(change func(own, other []byte) []byte) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		memory := w.client.Cache.(*keyed)
		var other []byte
		for range 2 {
			for key, value := range memory.values(t) {
				value = bytes.Clone(value)
				memory.Set(t.Context(), key, change(bytes.Clone(value), other), time.Hour)
				other = value
			}
		}
	}
}

// allAttacks are all of them.
func allAttacks() []attack {
	all := sessionAttacks
	for _, s := range strikes {
		for _, before := range []attack{{name: "STARTTLS stripped", extensions: pipelined}, {name: "certificate swapped", forged: true}} {
			s.extensions, s.forged = before.extensions, before.forged
			s := s
			s.name += ", " + before.name
			all = append(all, s)
		}
	}
	return all
}

// helloWithout is a middlebox that writes over what it does not like.
func helloWithout(c smtptest.Command) action {
	if c.Verb == "EHLO" && !c.TLS {
		return action{Reply: "250-mx10.example.net\n250 XXXXXXXA"}
	}
	return action{}
}

// evil stands in for the real server, and notes what it should not have got.
type evil struct {
	*smtptest.Server
	mu  sync.Mutex
	got []string
}

func (s standing) against(a attack) *evil {
	e := &evil{}
	config := &tls.Config{}
	if !a.forged {
		config.Certificates = []tls.Certificate{*s.leaf}
	}
	if a.oldTLS {
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}
	e.Server = &smtptest.Server{Extensions: a.extensions, TLSConfig: config, Passwords: annsPassword, Script: func(c smtptest.Command) action {
		if s.forbids(c, a) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.got = append(e.got, c.Verb+" "+c.Args)
		}
		if a.script == nil {
			return action{}
		}
		return a.script(c)
	}}
	return e
}

// forbids tells whether a command must not come: any part of a message, and AUTH,
// which the credential of these tests has for no channel without TLS.
func (s standing) forbids(c smtptest.Command, a attack) bool {
	below := s.tls && (!c.TLS || a.oldTLS) || s.genuine && a.forged
	switch c.Verb {
	case "MAIL", "RCPT", "DATA", "BDAT", smtptest.EndOfData:
		return below
	case "AUTH", smtptest.AuthResponse:
		return below || !c.TLS
	}
	return false
}

var annsPassword = map[string]string{"ann": thePassword}

// What was between client and server before the attack.
var pasts = []string{"nothing", "a session", "a session with a login"}

// Whatever is done to sessions, the DNS or the Cache, no message and no credential
// goes below what is configured, what the message asks for, or what the domain
// publishes: not with a fresh session, nor where one could be resumed (invariant
// 6). What is lost is in attack.costs.
func TestDowngrades(t *testing.T) {
	ca := newAuthority(t)
	leaf := ca.leaf("mx10.example.net", 1000*time.Hour)
	for _, s := range standings() {
		s.ca, s.leaf = ca, leaf
		for _, a := range allAttacks() {
			for _, past := range pasts {
				t.Run(s.name+"/"+a.name+"/after "+past, func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true
						w.downgrade(t, s, a, past)
					})
				})
			}
		}
	}
}

func (w *world) downgrade(t *testing.T, s standing, a attack, past string) {
	emptied(t, w)
	if a.sealed {
		w.store = &keyed{Memory: &cache.Memory{}}
		w.remember(sealedIn(t, w.store, bytes.Repeat([]byte{7}, 32)))
	}
	w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*s.leaf}}, Passwords: annsPassword,
		Extensions: []string{"PIPELINING", "STARTTLS", "REQUIRETLS"}})
	defer s.set(t, w, s.ca, s.leaf)()
	if past == pasts[2] {
		c := ann("PLAIN")
		if !s.proves {
			c.Channel = tlspolicy.Encrypt
		}
		w.client.Auth = smtpclient.CredentialTable{"mx10.example.net": c}
	}
	if past != pasts[0] {
		o := w.attempt(t, s)
		withoutTLS := s.name == "none" && past == pasts[2]
		if (o.Status == smtpclient.Delivered) == withoutTLS || (o.Login == "ann") != (past == pasts[2] && !withoutTLS) {
			t.Fatalf("before the attack: %v, logged in as %q: %v", o.Status, o.Login, o.Err())
		}
	}
	if a.strike != nil {
		a.strike(t, w)
	}
	server := s.against(a)
	defer server.Close()
	w.gone = append(w.gone, w.net["192.0.2.10:25"])
	w.net["192.0.2.10:25"] = server.Server
	o := w.attempt(t, s)
	w.settle()
	if a.costs(s, past) {
		if o.Status != smtpclient.Delivered && w.client.Auth == nil {
			t.Errorf("documented as lost, but: %v", o.Err())
		}
		if !s.proves {
			return
		}
		server.got = slices.DeleteFunc(server.got, func(line string) bool { return !strings.HasPrefix(line, "A") })
	}
	if len(server.got) > 0 {
		t.Errorf("below the level came %q", server.got)
	}
	if o.Status == smtpclient.Unknown || o.Status == smtpclient.Failed && s.name != "REQUIRETLS" {
		t.Errorf("an attack ends as %v: %v", o.Status, o.Err())
	}
}

// attempt sends a message to somebody who had none before.
func (w *world) attempt(t *testing.T, s standing) smtpclient.Outcome {
	w.letters++
	env := fromAnn(fmt.Sprintf("user%d@example.net", w.letters))
	if s.name == "REQUIRETLS" {
		env.TLS = tlspolicy.EveryHop
	}
	report, _ := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
	return report.Outcomes[0]
}

// policyFor is a policy of each level that the genuine server fits.
func policyFor(level tlspolicy.Level, ca *authority, genuine *tls.Certificate) tlspolicy.Policy {
	p := tlspolicy.Policy{Level: level, Roots: ca.roots()}
	switch level {
	case tlspolicy.Fingerprint:
		p.Fingerprints = []string{fingerprintOf(genuine)}
	case tlspolicy.Secure:
		p.Names = []string{"dot-nexthop"}
	}
	return p
}

// The good server is served at each level: the table above cannot pass because
// nothing ever goes.
func TestLevelsDeliver(t *testing.T) {
	for _, level := range []tlspolicy.Level{tlspolicy.None, tlspolicy.May, tlspolicy.Encrypt, tlspolicy.Fingerprint, tlspolicy.Verify, tlspolicy.Secure} {
		inWorld(t, func(t *testing.T, w *world) {
			ca := newAuthority(t)
			genuine := ca.leaf("mx10.example.net", time.Hour)
			w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*genuine}}})
			w.client.TLS = policyFor(level, ca, genuine)
			reached := map[tlspolicy.Level]tlspolicy.Level{tlspolicy.May: tlspolicy.Encrypt}[level]
			if reached == 0 {
				reached = level
			}
			if s := w.another(t, delivered).TLS; s.Wanted != level || s.Reached != reached || (s.Verified != "") != level.Authenticates() {
				t.Errorf("%v: %+v", level, s)
			}
		})
	}
}

// At secure the names of hosts do not count: who forges MX records gains nothing.
// At verify he does, as it is documented.
func TestForgedMX(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{tlspolicy.Secure: "deferred starttls 4.7.5", tlspolicy.Verify: delivered} {
		inWorld(t, func(t *testing.T, w *world) {
			ca := newAuthority(t)
			host := "mx.attacker.example"
			q := w.dns
			w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*ca.leaf(host, time.Hour)}}})
			for question, answer := range q {
				if question.Name == "mx10.example.net" {
					question.Name = host
					q[question] = answer
				}
			}
			a := q[mxOfNet]
			a.MX[0].Host = host
			q[mxOfNet] = a
			w.client.TLS = tlspolicy.Policy{Level: level, Roots: ca.roots()}
			w.another(t, want)
		})
	}
}

// Level verify, and certificates that are not what they should be, on a session
// that is resumed: the certificate of then is judged by the policy of now (T31).
func TestResumedSessionIsVerifiedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ca := newAuthority(t)
		var checked atomic.Int32
		w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*ca.leaf("mx10.example.net", time.Hour)}}})
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: ca.roots()}
		w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(8), InsecureSkipVerify: true,
			VerifyConnection: func(cs tls.ConnectionState) error {
				checked.Add(1)
				if len(cs.PeerCertificates) == 0 {
					return x509.UnknownAuthorityError{}
				}
				return nil
			}}
		w.another(t, delivered)
		if o := w.another(t, delivered); !o.TLS.Resumed || o.TLS.Verified != "pkix" || checked.Load() != 2 {
			t.Errorf("%+v, and our own check ran %d times", o.TLS, checked.Load())
		}
	})
}
