package smtpclient_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// below tells that what the server got is less than the level asks for.
func below(level tlspolicy.Level, m smtptest.Message, genuine bool) bool {
	return level.Mandatory() && m.TLS == nil || level.Authenticates() && !genuine
}

// attacks are what somebody on the way can do to a session, or to the Cache.
var attacks = map[string]struct {
	extensions []string // of what stands in for the real server
	script     func(smtptest.Command) action
	config     *tls.Config
	forged     bool // with a certificate of its own
	poisoned   bool // the cache says that TLS is broken
}{
	"T3 STARTTLS stripped":        {extensions: pipelined},
	"T3 STARTTLS masked":          {script: helloWithout},
	"T5 STARTTLS refused for now": {script: on("STARTTLS", action{Reply: "454 4.7.0 not now"})},
	"T6 STARTTLS refused":         {script: on("STARTTLS", action{Reply: "502 5.5.1 what"})},
	"T7 STARTTLS answered wrong":  {script: on("STARTTLS", action{Reply: "250 ok"})},
	"T8 injected":                 {script: on("STARTTLS", action{Raw: []byte("220 go\r\n250 STARTTLS\r\n")})},
	"T9 injected fragment":        {script: on("STARTTLS", action{Raw: []byte("220 go\r\n2")})},
	"T11 handshake broken":        {script: on("STARTTLS", action{Reply: "220 go", Fault: smtptest.DropAfter})},
	"T12 handshake stalled":       {script: on("STARTTLS", action{Reply: "220 go", Fault: smtptest.Stall})},
	"T15 certificate swapped":     {forged: true},
	"TLS 1.1 only":                {config: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, forged: true},
	"cache poisoned":              {extensions: pipelined, poisoned: true},
	"cache poisoned, TLS good":    {poisoned: true},
	"EHLO dropped":                {script: on("EHLO", action{Fault: smtptest.Drop})},
}

// helloWithout is a middlebox that writes over what it does not like.
func helloWithout(c smtptest.Command) action {
	if c.Verb == "EHLO" && !c.TLS {
		return action{Reply: "250-mx10.example.net\n250 XXXXXXXA"}
	}
	return action{}
}

// Whatever is done to a session, no mail goes below the level that was
// configured: not with a fresh session, not where one could be resumed, and not
// with a cache that is empty or has been written to (invariant 6).
func TestDowngrades(t *testing.T) {
	for name, attack := range attacks {
		for _, level := range []tlspolicy.Level{tlspolicy.May, tlspolicy.Encrypt, tlspolicy.Fingerprint, tlspolicy.Verify, tlspolicy.Secure} {
			for _, before := range []string{"fresh", "resumable", "emptied"} {
				t.Run(fmt.Sprintf("%s/%v/%s", name, level, before), func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true
						ca := newAuthority(t)
						genuine := ca.leaf("mx10.example.net", 100*time.Hour)
						w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*genuine}}})
						w.client.TLS = policyFor(level, ca, genuine)
						w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
						if before != "fresh" {
							w.another(t, delivered)
						}
						if before == "emptied" {
							w.client.Cache = &cache.Memory{}
							w.client.Dialer.TLSConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
						}
						evil := &smtptest.Server{Extensions: attack.extensions, Script: attack.script, TLSConfig: attack.config}
						if evil.TLSConfig == nil && !attack.forged {
							evil.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*genuine}}
						}
						defer evil.Close()
						w.net["192.0.2.10:25"] = evil
						if attack.poisoned {
							w.client.Cache.Set(t.Context(), "tls-broken/mx10.example.net/192.0.2.10:25", []byte("x"), time.Hour)
						}
						w.letters++
						report, _ := w.client.Deliver(t.Context(), fromAnn(fmt.Sprintf("user%d@example.net", w.letters)), smtpclient.Bytes([]byte(hello)))
						for _, m := range evil.Messages() {
							if below(level, m, !attack.forged) {
								t.Errorf("a message came below the level: %+v", m)
							}
						}
						if o := report.Outcomes[0]; o.Status == smtpclient.Failed || o.Status == smtpclient.Unknown {
							t.Errorf("an attack ends as %v: %v", o.Status, o.Err())
						}
					})
				})
			}
		}
	}
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
