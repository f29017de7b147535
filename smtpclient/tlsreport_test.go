package smtpclient_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

type brokenRecorder struct{}

func (brokenRecorder) Record(context.Context, tlspolicy.Result) { panic("out of order") }

// Whatever becomes of a report, the delivery does not notice (D21, H1).
func TestPanickingRecorder(t *testing.T) {
	for name, tt := range map[string]struct {
		source tlspolicy.Source
		want   string
	}{
		"session": {tlspolicy.May, delivered},
		"policy":  {undecided{&tlspolicy.ResultError{Type: "dnssec-invalid", Err: errPolicy}}, "deferred policy 4.7.5"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{})
				w.client.TLS, w.client.TLSResults = tt.source, brokenRecorder{}
				expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net "+tt.want)
			})
		})
	}
}

// collector asks the world's DNS, in which example.net wants reports.
func (w *world) collector() *tlspolicy.Collector {
	w.dns[resolve.Question{Name: "_smtp._tls.example.net", Type: resolve.TypeTXT}] = resolve.Answer{TXT: []string{"v=TLSRPTv1; rua=mailto:tlsrpt@example.net"}}
	c := &tlspolicy.Collector{Contact: "tlsrpt@example.org", Resolver: w.dns, Cache: w.client.Cache}
	w.client.TLSResults = c
	return c
}

// reported is what the report of today says: successes, and failures by type.
func reported(t *testing.T, c *tlspolicy.Collector) string {
	t.Helper()
	var words []string
	for r, err := range c.Reports(t.Context(), time.Now()) {
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Policies []struct {
				Details []struct {
					Type string `json:"result-type"`
					N    int    `json:"failed-session-count"`
				} `json:"failure-details"`
			} `json:"policies"`
		}
		if err := json.Unmarshal(r.JSON, &body); err != nil {
			t.Fatal(err)
		}
		words = append(words, fmt.Sprintf("%s %d", r.Domain, r.Successes))
		for _, p := range body.Policies {
			for _, d := range p.Details {
				words = append(words, fmt.Sprintf("%s %d", d.Type, d.N))
			}
		}
	}
	return strings.Join(words, ", ")
}

// A Client with a Collector counts each TLS handshake once (D22): a session that is used
// again is not another one, and a resumed TLS session is, unless it is to be skipped.
func TestCollectedSessions(t *testing.T) {
	for name, tt := range map[string]struct {
		pool *smtpclient.Pool
		skip bool
		want string
	}{
		"a connection each":         {nil, false, "example.net 3"},
		"a pool":                    {&smtpclient.Pool{KeepAll: true}, false, "example.net 1"},
		"resumed sessions left out": {nil, true, "example.net 1"},
		"left out, over a pool":     {&smtpclient.Pool{KeepAll: true}, true, "example.net 1"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.collector()
				c.SkipResumed = tt.skip
				w.mx(10, &smtptest.Server{})
				w.client.TLS, w.client.Pool = tlspolicy.May, tt.pool
				w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
				for range 3 {
					w.another(t, delivered)
				}
				if tt.pool != nil {
					tt.pool.Close(t.Context())
				}
				if got := reported(t, c); got != tt.want {
					t.Errorf("the report says %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// A first try that fails and the plaintext that follows are one failure; the hosts of a
// domain add up.
func TestCollectedFailures(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		c := w.collector()
		w.mx(10, cutHandshakes())
		w.mx(20, &smtptest.Server{})
		w.client.TLS = tlspolicy.Encrypt
		w.another(t, delivered)
		w.client.TLS = tlspolicy.May
		w.another(t, delivered)
		if got, want := reported(t, c), "example.net 1, validation-failure 2"; got != want {
			t.Errorf("the report says %s, want %s", got, want)
		}
	})
}

// The session that brings a report is in no report (RFC 8460, Section 3).
func TestReportIsNotCollected(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.collector()
		w.mx(10, &smtptest.Server{})
		w.client.TLS = tlspolicy.May
		env := fromAnn("tlsrpt@example.net")
		env.TLS = tlspolicy.NotRequired
		expect(t, w.deliver(t.Context(), env, "TLS-Required: No\r\n"+hello), "tlsrpt@example.net "+delivered)
		if got := reported(t, c); got != "" {
			t.Errorf("the report says %s", got)
		}
	})
}

// A report is for a domain or a host with a name, over SMTP.
func TestResultDomains(t *testing.T) {
	for hop, want := range map[string]string{
		"example.net":            "example.net",
		"[mx10.example.net]":     "mx10.example.net",
		"[mx10.example.net]:587": "mx10.example.net",
		"[192.0.2.10]":           "",
		"unix:/socket":           "",
	} {
		for _, protocol := range []smtpclient.Protocol{smtpclient.SMTP, smtpclient.LMTP} {
			inWorld(t, func(t *testing.T, w *world) {
				results := &recorder{}
				s := w.mx(10, &smtptest.Server{})
				if protocol == smtpclient.LMTP {
					s.Mode = smtptest.LMTP
				}
				port := "25"
				switch {
				case strings.HasSuffix(hop, "587"):
					port = "587"
				case protocol == smtpclient.LMTP:
					port = "24"
				}
				w.net = smtptest.Network{"192.0.2.10:" + port: s}
				w.client.Dialer = &smtpclient.Dialer{DialContext: w.net.DialContext}
				if hop == "unix:/socket" {
					w.net["/socket"], w.net["192.0.2.10:"+port] = s, nil
				}
				w.dns[resolve.Question{Name: "example.net", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
				w.client.TLS, w.client.TLSResults, w.client.Protocol, w.client.NextHops = tlspolicy.May, results, protocol, []string{hop}
				w.another(t, delivered)
				wanted := want
				if protocol == smtpclient.LMTP {
					wanted = ""
				}
				if len(results.all) != 1 || results.all[0].Domain != wanted {
					t.Errorf("%s in %v: %+v, want %q", hop, protocol, results.all, wanted)
				}
			})
		}
	}
}
