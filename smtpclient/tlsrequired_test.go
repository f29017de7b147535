package smtpclient_test

import (
	"context"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// TLS-Required: no asks for TLS and does not insist. What the operator has
// configured is no wish of the domain, and holds (T36; RFC 8689, Section 4.2.2).
func TestTLSNotRequired(t *testing.T) {
	for name, tt := range map[string]struct {
		source  tlspolicy.Source
		server  *smtptest.Server
		want    string
		reached tlspolicy.Level
	}{
		"TLS is there":        {nil, &smtptest.Server{}, delivered, tlspolicy.Encrypt},
		"no TLS":              {nil, &smtptest.Server{Extensions: pipelined}, delivered, tlspolicy.None},
		"TLS is broken":       {nil, cutHandshakes(), delivered, tlspolicy.None},
		"published by all":    {published{}, &smtptest.Server{Extensions: pipelined}, delivered, tlspolicy.None},
		"a wrong certificate": {published{}, &smtptest.Server{Certificate: smtptest.Certificate{SelfSigned: true}}, delivered, tlspolicy.Encrypt},
		"configured":          {tlspolicy.Encrypt, &smtptest.Server{Extensions: pipelined}, "deferred starttls 4.7.4", tlspolicy.None},
		"DANE":                {tlspolicy.DANE, &smtptest.Server{Extensions: pipelined}, delivered, tlspolicy.None},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				results := &recorder{}
				w.mx(10, tt.server)
				w.client.TLS, w.client.TLSResults = tt.source, results
				env := fromAnn("bob@example.net")
				env.TLS = tlspolicy.NotRequired
				report := w.deliver(t.Context(), env, "TLS-Required: No\r\n"+hello)
				expect(t, report, "bob@example.net "+tt.want)
				if got := report.Outcomes[0].TLS.Reached; got != tt.reached || len(results.all) != 0 {
					t.Errorf("reached %v, want %v; results %+v", got, tt.reached, results.all)
				}
			})
		})
	}
}

// published is a domain that demands a verified server.
type published struct{}

func (published) Decide(_ context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	if q.Message == tlspolicy.NotRequired {
		return tlspolicy.Policy{}, nil
	}
	return tlspolicy.Policy{Level: tlspolicy.Verify, Published: tlspolicy.Published{Type: "sts", Domain: "example.net"}}, nil
}

// REQUIRETLS where the operator does not enforce it: the rows of Postfix's
// smtp_requiretls_policy.
func TestRequireTLSPolicy(t *testing.T) {
	const lacks, with = "STARTTLS DSN", "STARTTLS DSN REQUIRETLS"
	for _, tt := range []struct {
		mode       tlspolicy.RequireTLS
		level      tlspolicy.Level
		extensions string
		act        action // of STARTTLS
		want       string
		args       string // of MAIL
	}{
		{tlspolicy.RequireTLSEnforce, tlspolicy.May, with, action{}, delivered, "RET=FULL REQUIRETLS"},
		{tlspolicy.RequireTLSEnforce, tlspolicy.May, lacks, action{}, "failed mail 5.7.30", ""},
		{tlspolicy.RequireTLSEncrypted, tlspolicy.None, "DSN", action{}, "failed starttls 5.7.10", ""},
		{tlspolicy.RequireTLSEncrypted, tlspolicy.May, with, action{}, delivered, "RET=FULL REQUIRETLS"},
		{tlspolicy.RequireTLSEncrypted, tlspolicy.May, lacks, action{}, delivered, "RET=HDRS"},
		{tlspolicy.RequireTLSEncrypted, tlspolicy.May, with, action{Reply: "454 4.7.0 no"}, "failed starttls 5.7.10", ""},
		{tlspolicy.RequireTLSEncrypted, tlspolicy.Verify, with, action{}, "deferred starttls 4.7.5", ""}, // nobody trusts the certificate
		{tlspolicy.RequireTLSOffered, tlspolicy.May, with, action{}, delivered, "RET=FULL REQUIRETLS"},
		{tlspolicy.RequireTLSOffered, tlspolicy.May, lacks, action{}, delivered, "RET=HDRS"},
		{tlspolicy.RequireTLSOffered, tlspolicy.May, "DSN REQUIRETLS", action{}, delivered, "RET=HDRS"}, // the word in plaintext
		{tlspolicy.RequireTLSOffered, tlspolicy.May, with, action{Reply: "454 4.7.0 no"}, delivered, "RET=HDRS"},
		{tlspolicy.RequireTLSOffered, tlspolicy.Verify, with, action{}, "deferred starttls 4.7.5", ""},
		{tlspolicy.RequireTLSIgnore, tlspolicy.May, with, action{}, delivered, "RET=FULL"},
		{tlspolicy.RequireTLSIgnore, tlspolicy.May, "DSN", action{}, delivered, "RET=FULL"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			mx := w.mx(10, &smtptest.Server{Extensions: strings.Fields(tt.extensions), Script: on("STARTTLS", tt.act)})
			w.secureMX()
			policy := tlspolicy.Policy{Level: tt.level, RequireTLS: tt.mode}
			if tt.mode == tlspolicy.RequireTLSEnforce {
				policy.Roots = mx.Roots()
			}
			w.client.TLS = policy
			env := fromAnn("bob@example.net")
			env.TLS, env.Return = tlspolicy.EveryHop, smtpclient.ReturnFull
			report := w.deliver(t.Context(), env, hello)
			expect(t, report, "bob@example.net "+tt.want)
			args := ""
			if m := mx.Messages(); len(m) == 1 {
				args = m[0].FromArgs
			}
			if args != tt.args {
				t.Errorf("policy %d, server with %q: MAIL has %q, want %q", tt.mode, tt.extensions, args, tt.args)
			}
			if left := report.Outcomes[0].Notes; tt.args == "RET=HDRS" && !strings.Contains(strings.Join(left, " "), "REQUIRETLS") {
				t.Errorf("nothing says that REQUIRETLS was left out: %q", left)
			}
		})
	}
}

// An MTA-STS policy proves the host as DNSSEC does (RFC 8689, Section 4.2.1).
func TestRequireTLSBySTS(t *testing.T) {
	for kind, want := range map[string]string{"sts": delivered, "": "failed mail 5.7.10", "tlsa": "failed mail 5.7.10"} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: []string{"STARTTLS", "REQUIRETLS"}})
			w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: mx.Roots(), Published: tlspolicy.Published{Type: kind}}
			env := fromAnn("bob@example.net")
			env.TLS = tlspolicy.EveryHop
			expect(t, w.deliver(t.Context(), env, hello), "bob@example.net "+want)
		})
	}
}

// A level that the fingerprint or a name has to fit is not exchanged for another
// by REQUIRETLS.
func TestRequireTLSKeepsTheLevel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: []string{"STARTTLS", "REQUIRETLS"}})
		w.secureMX()
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Fingerprint, Fingerprints: []string{strings.Repeat("0", 64)}, Roots: mx.Roots()}
		env := fromAnn("bob@example.net")
		env.TLS = tlspolicy.EveryHop
		report := w.deliver(t.Context(), env, hello)
		expect(t, report, "bob@example.net failed starttls 5.7.10")
		if got := report.Outcomes[0].TLS.Wanted; got != tlspolicy.Fingerprint {
			t.Errorf("wanted %v", got)
		}
	})
}
