package smtpclient_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// secureMX says that the MX records of example.net are proven.
func (w *world) secureMX() {
	a := w.dns[mxOfNet]
	a.Secure = true
	w.dns[mxOfNet] = a
}

// At level Verify only a certificate of a trusted authority for the host's name
// will do, and there is no way around it (T13 to T15, invariant 6).
func TestLevelVerify(t *testing.T) {
	for name, tt := range map[string]struct {
		certificate smtptest.Certificate
		extensions  []string
		strangers   bool // trust other authorities
		want        string
	}{
		"good":          {want: "delivered data-done 2.0.0"},
		"other name":    {certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}, want: "deferred starttls 4.7.5"},
		"expired":       {certificate: smtptest.Certificate{NotAfter: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}, want: "deferred starttls 4.7.5"},
		"self-signed":   {certificate: smtptest.Certificate{SelfSigned: true}, want: "deferred starttls 4.7.5"},
		"not trusted":   {strangers: true, want: "deferred starttls 4.7.5"},
		"not offered":   {extensions: pipelined, want: "deferred starttls 4.7.4"},
		"wildcard":      {certificate: smtptest.Certificate{Names: []string{"*.example.net"}}, want: "delivered data-done 2.0.0"},
		"wildcard, up":  {certificate: smtptest.Certificate{Names: []string{"*.net"}}, want: "deferred starttls 4.7.5"},
		"several names": {certificate: smtptest.Certificate{Names: []string{"a.example", "mx10.example.net"}}, want: "delivered data-done 2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				mx := w.mx(10, &smtptest.Server{Certificate: tt.certificate, Extensions: tt.extensions})
				roots := mx.Roots()
				if tt.strangers {
					other := &smtptest.Server{}
					defer other.Close()
					roots = other.Roots()
				}
				w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: roots}
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
				if s := report.Outcomes[0].TLS; s.Wanted != tlspolicy.Verify || report.Err() == nil && (s.Reached != tlspolicy.Verify || s.Verified != "pkix") {
					t.Errorf("TLS %+v", s)
				}
				if report.Err() != nil && len(mx.Messages()) != 0 {
					t.Error("a message went to a server that was not verified")
				}
			})
		})
	}
}

// REQUIRETLS: found, verified, and promised inside TLS; else the next host, and at
// the end it fails (T37, T38).
func TestRequireTLS(t *testing.T) {
	with := []string{"PIPELINING", "STARTTLS", "REQUIRETLS"}
	for name, tt := range map[string]struct {
		server   *smtptest.Server
		insecure bool // the MX records are not proven
		hops     []string
		from     string
		want     string
		args     string
	}{
		"all is well":                {server: &smtptest.Server{Extensions: with}, want: "delivered data-done 2.0.0", args: "REQUIRETLS"},
		"found by DNS without proof": {server: &smtptest.Server{Extensions: with}, insecure: true, want: "failed mail 5.7.10"},
		"configured next hop":        {server: &smtptest.Server{Extensions: with}, insecure: true, hops: []string{"[mx10.example.net]"}, want: "delivered data-done 2.0.0", args: "REQUIRETLS"},
		"no TLS":                     {server: &smtptest.Server{Extensions: pipelined}, want: "failed starttls 5.7.10"},
		"TLS refused":                {server: &smtptest.Server{Script: on("STARTTLS", action{Reply: "454 4.7.0 no"})}, want: "failed starttls 5.7.10"},
		"not verified":               {server: &smtptest.Server{Extensions: with, Certificate: smtptest.Certificate{SelfSigned: true}}, want: "failed starttls 5.7.10"},
		"not offered":                {server: &smtptest.Server{}, want: "failed mail 5.7.30"},
		"offered only in plaintext": {server: &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == "EHLO" && !c.TLS {
				return action{Reply: "250-mx\n250-REQUIRETLS\n250 STARTTLS"}
			}
			return action{}
		}}, want: "failed mail 5.7.30"},
		"unreachable": {server: nil, want: "deferred connect 4.4.1"},
		"lost":        {server: &smtptest.Server{Script: on("STARTTLS", action{Fault: smtptest.Drop})}, want: "deferred starttls 4.4.2"},
		"a notice":    {server: &smtptest.Server{}, insecure: true, from: "<>", want: "delivered data-done 2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				mx := w.mx(10, tt.server)
				if !tt.insecure {
					w.secureMX()
				}
				// The policy asks for less; the message for more.
				w.client.TLS = tlspolicy.Policy{Level: tlspolicy.May, Roots: w.net.Roots()}
				w.client.NextHops = tt.hops
				env := fromAnn("bob@example.net")
				env.TLS = tlspolicy.EveryHop
				if tt.from != "" {
					env.From = tt.from
				}
				report := w.deliver(t.Context(), env, hello)
				expect(t, report, "bob@example.net "+tt.want)
				if tt.args != "" && mx.Messages()[0].FromArgs != tt.args {
					t.Errorf("MAIL has %q", mx.Messages()[0].FromArgs)
				}
			})
			inWorld(t, func(t *testing.T, w *world) {
				if report := tt.want; report[:6] != "failed" || tt.insecure {
					return
				}
				w.unruly = true
				w.mx(10, &smtptest.Server{Extensions: tt.server.Extensions, Certificate: tt.server.Certificate, Script: tt.server.Script})
				w.mx(20, &smtptest.Server{Extensions: with})
				w.secureMX()
				w.client.TLS = tlspolicy.Policy{Level: tlspolicy.May, Roots: w.net.Roots()}
				env := fromAnn("bob@example.net")
				env.TLS = tlspolicy.EveryHop
				expect(t, w.deliver(t.Context(), env, hello), "bob@example.net delivered data-done 2.0.0")
			})
		})
	}
}

// A configured next hop whose hosts come from MX records is no better than the
// records, unless the policy knows the server by something that no record can
// change.
func TestRequireTLSToConfiguredDomain(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{
		tlspolicy.May: "failed mail 5.7.10", tlspolicy.Verify: "failed mail 5.7.10", tlspolicy.Secure: delivered, tlspolicy.Fingerprint: delivered,
	} {
		inWorld(t, func(t *testing.T, w *world) {
			ca := newAuthority(t)
			genuine := ca.leaf("mx10.example.net", time.Hour)
			w.mx(10, &smtptest.Server{Extensions: []string{"STARTTLS", "REQUIRETLS"}, TLSConfig: &tls.Config{Certificates: []tls.Certificate{*genuine}}})
			w.client.NextHops = []string{"example.net"}
			w.client.TLS = policyFor(level, ca, genuine)
			env := fromAnn("bob@example.net")
			env.TLS = tlspolicy.EveryHop
			expect(t, w.deliver(t.Context(), env, hello), "bob@example.net "+want)
		})
	}
}

// On a session by hand it is the session that must be verified.
func TestRequireTLSOnSession(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{tlspolicy.Encrypt: "failed mail 5.7.10", tlspolicy.Verify: "delivered data-done 2.0.0"} {
		server := &smtptest.Server{Extensions: []string{"STARTTLS", "REQUIRETLS"}}
		target := smtpclient.Target{Host: "mx.example.net", Policy: tlspolicy.Policy{Level: level, Roots: server.Roots()}}
		inSession(t, server, target, func(t *testing.T, s *heldSession) {
			env := fromAnn("bob@example.net")
			env.TLS = tlspolicy.EveryHop
			report, _ := s.Send(t.Context(), env, smtpclient.Bytes([]byte(hello)))
			expect(t, report, "bob@example.net "+want)
		})
	}
}
