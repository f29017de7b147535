package smtpclient_test

import (
	"net/netip"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// The secrets of all tests; see secrets_test.go. Each is in no other text.
const (
	thePassword   = "correct-Horse-7Qx9-battery"
	wrongPassword = "incorrect-Horse-8Zy1-battery"
	theToken      = "ya29.a0AfH6-4kWz-staple"
	staleToken    = "ya29.stale-9Lm2-staple"
	theKey        = "a-Key-5Tn6-of-thirty-two-bytes-or-more"
)

// all are the mechanisms that smtptest has, with those that need TLS.
const allMechanisms = "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN XOAUTH2 OAUTHBEARER EXTERNAL ANONYMOUS"

// submission is a server that offers mechanisms, and knows ann with a password and
// robot with a token.
func submission(extensions ...string) *smtptest.Server {
	return &smtptest.Server{
		Name:       "smtp.example.net",
		Extensions: append([]string{"PIPELINING", "STARTTLS", "ENHANCEDSTATUSCODES"}, extensions...),
		Passwords:  map[string]string{"ann": thePassword, "robot": theToken},
	}
}

// smarthost makes the server the configured next hop of the client, whose TLS
// level is not set.
func (w *world) smarthost(s *smtptest.Server) *smtptest.Server {
	w.dns[resolve.Question{Name: "smtp.example.net", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.87")}}
	w.net["192.0.2.87:587"] = s
	w.client.NextHops = []string{"[smtp.example.net]:587"}
	w.client.TLS = tlspolicy.Policy{Roots: s.Roots()}
	return s
}

// ann is her credential.
func ann(mechanisms ...string) *smtpclient.Credential {
	return &smtpclient.Credential{User: "ann", Password: thePassword, Mechanisms: mechanisms}
}

// deliverAs sends a message with a credential.
func (w *world) deliverAs(c smtpclient.Credentials) smtpclient.Report {
	w.t.Helper()
	w.client.Auth = c
	return w.deliver(w.t.Context(), fromAnn("bob@example.net"), hello)
}

const (
	deliveredBob = "bob@example.net delivered data-done 2.0.0"
	deferredBob  = "bob@example.net deferred "
)

// script answers AUTH and what follows it with these replies in turn.
func script(replies ...string) func(smtptest.Command) smtptest.Action {
	n := 0
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb != "AUTH" && c.Verb != smtptest.AuthResponse {
			return smtptest.Action{}
		}
		if n == len(replies) {
			return smtptest.Action{Reply: "501 5.7.0 the script is over"}
		}
		n++
		return smtptest.Action{Reply: replies[n-1]}
	}
}

// authCause is the AuthError of an outcome.
func authCause(t *testing.T, report smtpclient.Report) *smtpclient.AuthError {
	t.Helper()
	cause, ok := report.Outcomes[0].Cause.(*smtpclient.AuthError)
	if !ok {
		t.Fatalf("the cause is %T: %v", report.Outcomes[0].Cause, report.Outcomes[0].Err())
	}
	return cause
}
