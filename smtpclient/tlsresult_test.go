package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// recorder keeps all results.
type recorder struct {
	mu  sync.Mutex
	all []tlspolicy.Result
}

func (r *recorder) Record(_ context.Context, result tlspolicy.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, result)
}

func (r *recorder) String() string {
	var words []string
	for _, result := range r.all {
		word := result.Failure
		if word == "" {
			word = "success"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// One result for each connection on which TLS was tried, or should have been,
// with the result types of RFC 8460.
func TestTLSResults(t *testing.T) {
	sts := tlspolicy.Published{Type: "sts", Domain: "example.net", Hosts: []string{"*.example.net"}}
	for name, tt := range map[string]struct {
		policy tlspolicy.Policy
		server *smtptest.Server
		want   string
	}{
		"success":                  {tlspolicy.Policy{Level: tlspolicy.May}, &smtptest.Server{}, "success"},
		"verified":                 {tlspolicy.Policy{Level: tlspolicy.Verify, Published: sts}, &smtptest.Server{}, "success"},
		"not offered, may":         {tlspolicy.Policy{Level: tlspolicy.May}, &smtptest.Server{Extensions: pipelined}, ""},
		"T1 not offered, testing":  {tlspolicy.Policy{Level: tlspolicy.May, Published: sts}, &smtptest.Server{Extensions: pipelined}, "starttls-not-supported"},
		"T2 not offered, required": {tlspolicy.Policy{Level: tlspolicy.Encrypt}, &smtptest.Server{Extensions: pipelined}, "starttls-not-supported"},
		"T5 refused":               {tlspolicy.Policy{Level: tlspolicy.May}, &smtptest.Server{Script: on("STARTTLS", action{Reply: "454 4.7.0 no"})}, "starttls-not-supported"},
		"T8 injected":              {tlspolicy.Policy{Level: tlspolicy.May}, &smtptest.Server{Script: on("STARTTLS", action{Raw: []byte("220 go\r\n250 x\r\n")})}, "validation-failure"},
		"T11 cut":                  {tlspolicy.Policy{Level: tlspolicy.May}, cutHandshakes(), "validation-failure"},
		"T13 expired":              {tlspolicy.Policy{Level: tlspolicy.Verify}, &smtptest.Server{Certificate: smtptest.Certificate{NotAfter: time.Unix(0, 0)}}, "certificate-expired"},
		"T14 other name":           {tlspolicy.Policy{Level: tlspolicy.Verify}, &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}}, "certificate-host-mismatch"},
		"T15 self-signed":          {tlspolicy.Policy{Level: tlspolicy.Verify}, &smtptest.Server{Certificate: smtptest.Certificate{SelfSigned: true}}, "certificate-not-trusted"},
		"T14 testing": {tlspolicy.Policy{Level: tlspolicy.May, Names: []string{"hostname"}, Published: sts},
			&smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}}, "certificate-host-mismatch"},
		"T14 testing, encrypt": {tlspolicy.Policy{Level: tlspolicy.Encrypt, Published: sts},
			&smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}}, "certificate-host-mismatch"},
		"testing, encrypt, good": {tlspolicy.Policy{Level: tlspolicy.Encrypt, Published: sts}, &smtptest.Server{}, "success"},
		"testing, good":          {tlspolicy.Policy{Level: tlspolicy.May, Names: []string{"hostname"}, Published: sts}, &smtptest.Server{}, "success"},
		"none":                   {tlspolicy.Policy{Level: tlspolicy.None}, &smtptest.Server{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				results := &recorder{}
				w.mx(10, tt.server)
				tt.policy.Roots = tt.server.Roots()
				w.client.TLS, w.client.TLSResults = tt.policy, results
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				if got := results.String(); got != tt.want {
					t.Fatalf("results %q, want %q", got, tt.want)
				}
				for _, r := range results.all {
					o := report.Outcomes[0]
					if r.Domain != "example.net" || r.Hello != "mx.example.net" || r.Host != "mx10.example.net" || r.Addr.String() != "192.0.2.10" || !r.LocalAddr.IsValid() || r.Time.IsZero() || r.Policy != tt.policy.Level ||
						fmt.Sprint(r.Published) != fmt.Sprint(tt.policy.Published) || (r.Reason == "") != (r.Failure == "") || o.TLS.Failure != r.Failure {
						t.Errorf("%+v; in the report %+v", r, o.TLS)
					}
				}
			})
		})
	}
}

// A policy that cannot be followed is a result, too, if its Source says which.
func TestResultOfASource(t *testing.T) {
	for err, want := range map[error]string{
		&tlspolicy.ResultError{Type: "sts-policy-fetch-error", Err: errPolicy}: "sts-policy-fetch-error",
		errPolicy: "",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			results := &recorder{}
			w.mx(10, &smtptest.Server{})
			w.client.TLS, w.client.TLSResults = undecided{err}, results
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net deferred policy 4.7.5")
			if got := results.String(); got != want {
				t.Errorf("results %q, want %q", got, want)
			}
		})
	}
}

var errPolicy = errors.New("the policy cannot be had")

type undecided struct{ err error }

func (u undecided) Decide(context.Context, tlspolicy.Query) (tlspolicy.Policy, error) {
	return tlspolicy.Policy{}, u.err
}

// A Trace sees the result type with the stage that failed.
func TestTraceOfTLSFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Certificate: smtptest.Certificate{SelfSigned: true}})
		w.client.TLS = tlspolicy.Verify
		var got []string
		trace := &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
			if e.Stage == smtpclient.StageStartTLS && e.Cause != nil {
				got = append(got, e.TLS.Failure)
			}
		}}
		w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net"), hello)
		if len(got) != 1 || got[0] != "certificate-not-trusted" {
			t.Errorf("the trace tells %q", got)
		}
	})
}
