package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

var ticketKey = bytes.Repeat([]byte{7}, 32)

// another delivers a message to somebody who had none before.
func (w *world) another(t *testing.T, want string) smtpclient.Outcome {
	t.Helper()
	w.letters++
	to := fmt.Sprintf("user%d@example.net", w.letters)
	report := w.deliver(t.Context(), fromAnn(to), hello)
	expect(t, report, to+" "+want)
	return report.Outcomes[0]
}

const delivered = "delivered data-done 2.0.0"

// resumed delivers one message and tells whether its TLS session was resumed.
func (w *world) resumed(t *testing.T) bool {
	t.Helper()
	return w.another(t, delivered).TLS.Resumed
}

// stores are where sessions can be kept.
func stores() map[string]tls.ClientSessionCache {
	return map[string]tls.ClientSessionCache{
		"in memory": tls.NewLRUClientSessionCache(16),
		"sealed":    &smtpclient.TicketCache{Cache: &cache.Memory{}, Key: ticketKey},
	}
}

// A TLS session is resumed where the caller gives a place to keep it, and it is
// verified again.
func TestResumption(t *testing.T) {
	for name, store := range stores() {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{MaxVersion: version}})
				w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: mx.Roots()}
				for range 2 {
					if w.resumed(t) {
						t.Errorf("%s: a session was resumed that nobody kept", name)
					}
				}
				w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: store}
				if w.resumed(t) || !w.resumed(t) {
					t.Errorf("%s, %s: not resumed, or too early", name, tls.VersionName(version))
				}
				if s := w.another(t, delivered).TLS; !s.Resumed || s.Reached != tlspolicy.Verify || s.Verified != "pkix" {
					t.Errorf("%s: TLS %+v", name, s)
				}
			})
		}
	}
}

// No session is resumed under another level, policy or identity (T30).
func TestResumptionNeverMixes(t *testing.T) {
	for name, change := range map[string]func(w *world, p *tlspolicy.Policy){
		"level":    func(_ *world, p *tlspolicy.Policy) { p.Level = tlspolicy.Encrypt },
		"names":    func(_ *world, p *tlspolicy.Policy) { p.Names = []string{"mx10.example.net", ".example.net"} },
		"roots":    func(_ *world, p *tlspolicy.Policy) { p.Roots = p.Roots.Clone() },
		"versions": func(_ *world, p *tlspolicy.Policy) { p.MinVersion = tls.VersionTLS13 },
		"SNI":      func(_ *world, p *tlspolicy.Policy) { p.ServerName = "mx.example.net" },
		"our name": func(w *world, _ *tlspolicy.Policy) { w.client.LocalName = "other.example.org" },
		"client certificate": func(w *world, _ *tlspolicy.Policy) {
			w.client.Dialer.TLSConfig.Certificates = []tls.Certificate{*newAuthority(w.t).leaf("client.example.org", time.Hour)}
		},
		"unknown client certificate": func(w *world, _ *tlspolicy.Policy) {
			w.client.Dialer.TLSConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
		},
	} {
		for where, store := range stores() {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx10.example.net"}}})
				policy := tlspolicy.Policy{Level: tlspolicy.Verify, Roots: mx.Roots(), Names: []string{"mx10.example.net"}}
				w.client.TLS = policy
				w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: store}
				w.resumed(t)
				if !w.resumed(t) {
					t.Fatalf("%s: not resumed", where)
				}
				c := *w.client.Dialer
				c.TLSConfig = c.TLSConfig.Clone()
				w.client.Dialer = &c
				change(w, &policy)
				w.client.TLS = policy
				if w.resumed(t) {
					t.Errorf("%s, another %s: the session was resumed", where, name)
				}
			})
		}
	}
}

// oneSlot is a store that gives every session to everybody.
type oneSlot struct {
	mu sync.Mutex
	cs *tls.ClientSessionState
}

func (s *oneSlot) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cs, s.cs != nil
}

func (s *oneSlot) Put(_ string, cs *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cs = cs
}

// A store that mixes sessions up is not believed.
func TestResumptionFromAStoreThatMixes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}})
		w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: &oneSlot{}}
		w.resumed(t)
		if !w.resumed(t) {
			t.Fatal("not resumed")
		}
		w.client.LocalName = "other.example.org"
		if w.resumed(t) {
			t.Error("the session of another name of ours was resumed")
		}
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: mx.Roots()}
		w.another(t, "deferred starttls 4.7.5")
	})
}

// A certificate that has expired since is refused on the resumed session, and a
// full handshake shows the new one at once (T31).
func TestResumedCertificateExpires(t *testing.T) {
	for renewed, want := range map[bool]string{true: "delivered data-done 2.0.0", false: "deferred starttls 4.7.5"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			ca := newAuthority(t)
			var shown atomic.Pointer[tls.Certificate]
			shown.Store(ca.leaf("mx10.example.net", time.Hour))
			mx := w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return shown.Load(), nil
			}}})
			w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: ca.roots()}
			w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			w.resumed(t)
			if !w.resumed(t) {
				t.Fatal("not resumed")
			}
			time.Sleep(2 * time.Hour)
			if renewed {
				shown.Store(ca.leaf("mx10.example.net", time.Hour))
			}
			if n := len(mx.Messages()); w.another(t, want).Err() != nil && n != 2 {
				t.Errorf("%d messages, want none behind an expired certificate", n)
			}
		})
	}
}

// The authority has expired since, and the server's certificate has not, so that
// crypto/tls resumes the session: what it was found good for then does not count.
func TestResumedSessionOfExpiredAuthority(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			ca := newAuthority(t)
			ca.expire(2 * time.Hour)
			mx := w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{MaxVersion: version, Certificates: []tls.Certificate{*ca.leaf("mx10.example.net", 100*time.Hour)}}})
			w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: ca.roots()}
			w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			w.resumed(t)
			if !w.resumed(t) {
				t.Fatal("not resumed")
			}
			time.Sleep(3 * time.Hour)
			if o := w.another(t, "deferred starttls 4.7.5"); len(mx.Messages()) != 2 || mx.Sessions() != 4 {
				t.Errorf("%s: %d messages in %d sessions, want 2 in 4, the last a full handshake: %v", tls.VersionName(version), len(mx.Messages()), mx.Sessions(), o.Err())
			}
		})
	}
}

// Where a resumed session is refused, for whatever reason, a full handshake has
// the last word.
func TestRefusedResumption(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: mx.Roots()}
		w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(8), VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.DidResume {
				return errors.New("the revocation list has changed")
			}
			return nil
		}}
		first, second := w.resumed(t), w.resumed(t)
		if first || second || mx.Sessions() != 3 {
			t.Errorf("%d sessions, want three, none of them resumed", mx.Sessions())
		}
	})
}

// What is in the Cache is of no use without the key, nor elsewhere, nor later.
func TestTicketCache(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		memory := &keyed{Memory: &cache.Memory{}}
		with := func(key []byte, life time.Duration) {
			w.client.Dialer = &smtpclient.Dialer{DialContext: w.net.DialContext,
				TLSConfig: &tls.Config{ClientSessionCache: &smtpclient.TicketCache{Cache: memory, Key: key, Life: life}}}
		}
		with(ticketKey, 0)
		w.resumed(t)
		kept := memory.values(t)
		if len(kept) != 1 {
			t.Fatalf("%d values in the cache, want 1", len(kept))
		}
		for key, value := range kept {
			if !strings.HasPrefix(key, "tls-session/") || bytes.Contains(value, []byte("example")) || bytes.Contains(value, []byte("postrider")) {
				t.Errorf("%s: %q can be read", key, value)
			}
			value[len(value)/2] ^= 1
			memory.Set(t.Context(), key, value, time.Hour)
			if w.resumed(t) {
				t.Error("a value that was changed was believed")
			}
			memory.Set(t.Context(), key, []byte("x"), time.Hour)
			if w.resumed(t) {
				t.Error("garbage was believed")
			}
		}
		if !w.resumed(t) {
			t.Error("a good value was not")
		}
		with(bytes.Repeat([]byte{8}, 32), 0)
		if w.resumed(t) {
			t.Error("another key opens it")
		}
		with(ticketKey, time.Minute)
		w.resumed(t)
		memory.forever = true
		w.resumed(t)
		time.Sleep(2 * time.Minute)
		if w.resumed(t) {
			t.Error("a cache that keeps values too long makes sessions live longer")
		}
		// One that was put under the key of another channel.
		memory.forever = false
		for key, value := range memory.values(t) {
			w.client.LocalName = "other.example.org"
			w.resumed(t)
			for other := range memory.values(t) {
				if other != key {
					memory.Set(t.Context(), other, value, time.Hour)
				}
			}
			if w.resumed(t) {
				t.Error("the session of another channel was resumed")
			}
			break
		}
	})
}

// No session is kept for more than a week (RFC 8446, Section 4.6.1), nor without a
// Life for more than an hour.
func TestTicketCacheLife(t *testing.T) {
	for life, want := range map[time.Duration]time.Duration{0: time.Hour, time.Minute: time.Minute, 10 * 24 * time.Hour: 7 * 24 * time.Hour} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			kept := &lives{Memory: &cache.Memory{}}
			w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: &smtpclient.TicketCache{Cache: kept, Key: ticketKey, Life: life}}
			w.resumed(t)
			if len(kept.ttl) != 1 || kept.ttl[0] != want {
				t.Errorf("Life %v: kept for %v, want %v", life, kept.ttl, want)
			}
		})
	}
}

// lives is a cache that notes for how long values are kept.
type lives struct {
	*cache.Memory
	ttl []time.Duration
}

func (l *lives) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	l.ttl = append(l.ttl, ttl)
	return l.Memory.Set(ctx, key, value, ttl)
}

// A key that is none is a fault of the configuration.
func TestTicketCacheKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: &smtpclient.TicketCache{Key: []byte("secret")}}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred input 4.3.5")
		if !strings.Contains(report.Err().Error(), "TicketCache.Key") {
			t.Errorf("%v", report.Err())
		}
	})
}

// keyed is a cache whose values can be seen.
type keyed struct {
	*cache.Memory
	mu      sync.Mutex
	seen    map[string]bool
	forever bool // values are kept for too long
}

func (k *keyed) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	k.mu.Lock()
	if k.seen == nil {
		k.seen = make(map[string]bool)
	}
	k.seen[key] = true
	if k.forever {
		ttl = 24 * time.Hour
	}
	k.mu.Unlock()
	return k.Memory.Set(ctx, key, value, ttl)
}

func (k *keyed) values(t *testing.T) map[string][]byte {
	t.Helper()
	values := make(map[string][]byte)
	for key := range k.seen {
		if value, ok, _ := k.Get(t.Context(), key); ok {
			values[key] = value
		}
	}
	return values
}
