package smtpclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// cutHandshakes is a server whose TLS never comes about.
func cutHandshakes() *smtptest.Server {
	return &smtptest.Server{Script: on("STARTTLS", action{Reply: "220 go", Fault: smtptest.DropAfter})}
}

// A host whose handshake failed is not asked for TLS for an hour, and the report
// says why.
func TestBrokenTLSIsRemembered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, cutHandshakes())
		fallback := func() string {
			t.Helper()
			return w.another(t, delivered).TLS.Fallback.Error()
		}
		for _, step := range []struct {
			wait     time.Duration
			sessions int // of this call
			fallback string
		}{
			{0, 2, "TLS handshake failed"},
			{0, 1, "TLS failed with this host within the last hour: TLS handshake failed"},
			{59 * time.Minute, 1, "within the last hour"},
			{time.Minute, 2, "TLS handshake failed"}, // it is not renewed by use
		} {
			time.Sleep(step.wait)
			before := mx.Sessions()
			if got := fallback(); !strings.HasPrefix(got, step.fallback) && !strings.Contains(got, "last hour") || !strings.Contains(got, step.fallback) {
				t.Errorf("after %v more: fallback %q, want %q", step.wait, got, step.fallback)
			}
			if got := mx.Sessions() - before; got != step.sessions {
				t.Errorf("after %v more: %d sessions, want %d", step.wait, got, step.sessions)
			}
		}
	})
}

// What is remembered is read at May only, and is about one host (T35).
func TestBrokenTLSLowersNothing(t *testing.T) {
	for name, policy := range map[string]tlspolicy.Policy{
		"encrypt":  {Level: tlspolicy.Encrypt},
		"verify":   {Level: tlspolicy.Verify},
		"no retry": {Level: tlspolicy.May, NoPlaintextRetry: true},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, cutHandshakes())
			w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			w.client.TLS = policy
			report := w.deliver(t.Context(), fromAnn("carol@example.net"), hello)
			expect(t, report, "carol@example.net deferred starttls 4.7.5")
			if n := len(mx.Messages()); n != 1 {
				t.Errorf("%s: %d messages, want the first only", name, n)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, cutHandshakes())
		w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		w.net["192.0.2.99:25"] = &smtptest.Server{}
		w.client.NextHops = []string{"[192.0.2.99]"}
		if got := w.another(t, delivered).TLS; got.Reached != tlspolicy.Encrypt || got.Fallback != nil {
			t.Errorf("another host: %+v", got)
		}
	})
}

// What is never remembered: plaintext that was injected, a refusal, a message
// that asked for less, and anything where the caller wants no memory.
func TestWhatIsNotRemembered(t *testing.T) {
	for name, tt := range map[string]struct {
		act   action
		setUp func(w *world, env *smtpclient.Envelope)
	}{
		"T8 injected": {act: action{Raw: []byte("220 go\r\n250 injected\r\n")}},
		"T5 refused":  {act: action{Reply: "454 4.7.0 not now"}},
		"T36 TLS-Required: no": {act: action{Reply: "220 go", Fault: smtptest.DropAfter},
			setUp: func(_ *world, env *smtpclient.Envelope) { env.TLS = tlspolicy.NotRequired }},
		"no memory": {act: action{Reply: "220 go", Fault: smtptest.DropAfter},
			setUp: func(w *world, _ *smtpclient.Envelope) { w.client.Cache = cache.None }},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			broken := true
			w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
				if c.Verb == "STARTTLS" && broken {
					return tt.act
				}
				return action{}
			}})
			env := fromAnn("bob@example.net")
			if tt.setUp != nil {
				tt.setUp(w, &env)
			}
			w.deliver(t.Context(), env, "TLS-Required: No\r\n"+hello)
			broken = false
			report := w.deliver(t.Context(), fromAnn("carol@example.net"), "TLS-Required: No\r\n"+hello)
			if got := report.Outcomes[0].TLS; got.Reached != tlspolicy.Encrypt || got.Fallback != nil {
				t.Errorf("%s: the next message has %+v", name, got)
			}
		})
	}
}

// Whoever can write into the Cache can have mail at May go in plaintext, for as
// long as may is what was asked for, and nothing else. What it says is safe to
// log.
func TestPoisonedMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		const key = "tls-broken/mx10.example.net/192.0.2.10:25"
		if err := w.client.Cache.Set(t.Context(), key, []byte("\r\n250 forged\x1b["+strings.Repeat("x", 1000)), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := w.another(t, delivered).TLS; got.Reached != tlspolicy.None || strings.ContainsAny(got.Fallback.Error(), "\r\n\x1b") || len(got.Fallback.Error()) > 300 {
			t.Errorf("TLS %+v", got)
		}
		w.client.TLS = tlspolicy.Encrypt
		if got := w.another(t, delivered).TLS; got.Reached != tlspolicy.Encrypt {
			t.Errorf("at encrypt: TLS %+v", got)
		}
	})
}

// -retry-plaintext off: at May a failed handshake is a failed host, a server
// without TLS is not.
func TestNoPlaintextRetry(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, cutHandshakes())
		plain := w.mx(20, &smtptest.Server{Extensions: pipelined})
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.May, NoPlaintextRetry: true}
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
		if mx.Sessions() != 1 || len(mx.Messages()) != 0 || len(plain.Messages()) != 1 {
			t.Errorf("%d sessions and %d messages at the first host, %d messages at the second", mx.Sessions(), len(mx.Messages()), len(plain.Messages()))
		}
	})
}
