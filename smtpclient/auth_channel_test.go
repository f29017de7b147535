package smtpclient_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// auths are the commands AUTH that a server heard, each with its session and whether
// that was inside TLS, as the server saw it.
func auths(s *smtptest.Server) func() []string {
	var heard []string
	before := s.Script
	s.Script = func(c smtptest.Command) smtptest.Action {
		if c.Verb == "AUTH" {
			mechanism, _, _ := strings.Cut(c.Args, " ")
			heard = append(heard, fmt.Sprintf("%s in session %d, TLS %v", mechanism, c.Session, c.TLS))
		}
		if before != nil {
			return before(c)
		}
		return smtptest.Action{}
	}
	return func() []string { return heard }
}

// What may be shown where: Credential.Channel against what the channel has come to,
// for a mechanism that shows what can be used again and for one that does not
// (invariant 6). The server says what it heard.
func TestChannelOfCredential(t *testing.T) {
	reached := []tlspolicy.Level{tlspolicy.None, tlspolicy.Encrypt, tlspolicy.Fingerprint, tlspolicy.DANE, tlspolicy.Verify, tlspolicy.Secure}
	token := func(mechanism string) *smtpclient.Credential {
		return &smtpclient.Credential{User: "robot", Token: tokenOf(theToken), Mechanisms: []string{mechanism}}
	}
	own := func(string) *smtpclient.Credential {
		c := singer()
		c.Mechanisms = []string{"X-SONG"}
		return c
	}
	password := func(mechanism string) *smtpclient.Credential { return ann(mechanism) }
	usable := map[string]func(string) *smtpclient.Credential{"PLAIN": password, "LOGIN": password, "XOAUTH2": token, "OAUTHBEARER": token, "X-SONG": own}
	proving := map[string]func(string) *smtpclient.Credential{"SCRAM-SHA-256": password, "SCRAM-SHA-1": password, "CRAM-MD5": password}
	for channel, want := range map[tlspolicy.Level]struct{ usable, proving string }{
		0:                     {"no no yes yes yes yes", "yes yes yes yes yes yes"},
		tlspolicy.None:        {"yes yes yes yes yes yes", "yes yes yes yes yes yes"},
		tlspolicy.Encrypt:     {"no yes yes yes yes yes", "no yes yes yes yes yes"},
		tlspolicy.Fingerprint: {"no no yes no no no", "no no yes no no no"},
		tlspolicy.DANEOnly:    {"no no yes yes no no", "no no yes yes no no"},
		tlspolicy.Verify:      {"no no yes no yes yes", "no no yes no yes yes"},
		tlspolicy.Secure:      {"no no yes no no yes", "no no yes no no yes"},
	} {
		for i, level := range reached {
			try := func(mechanisms map[string]func(string) *smtpclient.Credential, want string) {
				shown := strings.Fields(want)[i] == "yes"
				for mechanism, credential := range mechanisms {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true
						w.wires.open = shown && level == tlspolicy.None
						s := submission(allMechanisms, "AUTH X-SONG")
						ca := newAuthority(t)
						leaf := ca.leaf(s.Name, time.Hour)
						s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*leaf}}
						if mechanism == "X-SONG" {
							s.Script = script("334 bGE=", "235 ok")
						}
						heard := auths(s)
						w.smarthost(s)
						w.client.TLS = tlspolicy.Policy{Level: level, Roots: ca.roots(), Fingerprints: []string{fingerprintOf(leaf)}, TLSA: []resolve.TLSA{key(t, leaf)}}
						report := w.deliverAs(on1(credential(mechanism), channel))
						if got := len(heard()) > 0; got != shown || (report.Err() == nil) != shown {
							t.Errorf("Channel %v, channel at %v: the server heard %q, want %v; %v", channel, level, heard(), shown, report.Err())
						}
					})
				}
			}
			try(usable, want.usable)
			try(proving, want.proving)
		}
	}
}

// Nothing that was learned or remembered before, and no way on which a second
// connection comes about, lowers what the first one had to be.
func TestNoWayAroundTheChannel(t *testing.T) {
	stranger := func() *smtptest.Server {
		s := submission("AUTH PLAIN XOAUTH2")
		s.Certificate.Names = []string{"mx.example.com"}
		return s
	}
	// inClear takes STARTTLS away from a session on, where others can see AUTH.
	inClear := func(from int) func(smtptest.Command) smtptest.Action {
		return func(c smtptest.Command) smtptest.Action {
			if c.Verb == "EHLO" && c.Session >= from {
				return smtptest.Action{Reply: "250-smtp\r\n250 AUTH PLAIN XOAUTH2"}
			}
			return smtptest.Action{}
		}
	}
	robot := func(channel tlspolicy.Level) *smtpclient.Credential {
		return on1(&smtpclient.Credential{User: "robot", Token: tokenOf(staleToken, theToken)}, channel)
	}
	for name, tt := range map[string]struct {
		server *smtptest.Server
		before func(w *world) // as a delivery without a credential
		level  tlspolicy.Level
		c      *smtpclient.Credential
		want   string
		heard  string // of AUTH
	}{
		"a TLS session resumed with a stranger": {
			server: stranger(), before: keepTickets, c: ann("PLAIN"), want: "starttls 4.7.5",
		},
		"a TLS session resumed that was not verified": {
			server: submission("AUTH PLAIN"), before: keepTickets, level: tlspolicy.Encrypt, c: ann("PLAIN"), want: "auth 4.7.11",
		},
		"a broken TLS remembered": {
			server: func() *smtptest.Server {
				s := submission("AUTH PLAIN SCRAM-SHA-1")
				s.TLSConfig = &tls.Config{MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10, CipherSuites: []uint16{0xfefe}}
				return s
			}(),
			before: func(w *world) {
				w.client.TLS = tlspolicy.May
				if o := w.another(w.t, delivered); o.TLS.Fallback == nil {
					w.t.Error("TLS was not broken")
				}
			}, level: tlspolicy.May, c: ann(), want: "starttls 4.7.5",
		},
		"the connection of a second token, without TLS": {
			server: func() *smtptest.Server { s := submission("AUTH XOAUTH2"); s.Script = inClear(1); return s }(),
			c:      robot(0), want: "starttls 4.7.4", heard: "XOAUTH2 in session 0, TLS true",
		},
		"the connection of a second token, without TLS, at may": {
			server: func() *smtptest.Server { s := submission("AUTH XOAUTH2"); s.Script = inClear(1); return s }(),
			level:  tlspolicy.May, c: robot(tlspolicy.Encrypt), want: "auth 4.7.11", heard: "XOAUTH2 in session 0, TLS true",
		},
		"HELO on a new connection, where EHLO is answered by closing": {
			server: func() *smtptest.Server {
				s := submission("AUTH PLAIN")
				s.Script = on("EHLO", action{Fault: smtptest.Drop})
				return s
			}(),
			level: tlspolicy.May, c: on1(ann(), tlspolicy.Encrypt), want: "auth 4.7.4",
		},
		"a second address that is a stranger": {
			server: stranger(), before: func(w *world) {
				w.dns[resolve.Question{Name: "smtp.example.net", Type: resolve.TypeA}] = resolve.Answer{
					Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.86"), netip.MustParseAddr("192.0.2.87")}}
			}, c: ann(), want: "starttls 4.7.5",
		},
		"STARTTLS stripped": {
			server: func() *smtptest.Server { s := submission("AUTH PLAIN"); s.Script = inClear(0); return s }(),
			c:      ann(), want: "starttls 4.7.4",
		},
		"STARTTLS stripped at may": {
			server: func() *smtptest.Server { s := submission("AUTH PLAIN"); s.Script = inClear(0); return s }(),
			level:  tlspolicy.May, c: ann(), want: "auth 4.7.11",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				heard := auths(tt.server)
				w.smarthost(tt.server)
				if tt.before != nil {
					tt.before(w)
				}
				w.client.TLS = tlspolicy.Policy{Level: tt.level, Roots: tt.server.Roots()}
				w.client.Auth = tt.c
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, deferredBob+tt.want)
				if got := strings.Join(heard(), ", "); got != tt.heard {
					t.Errorf("the server heard %q, want %q", got, tt.heard)
				}
			})
		})
	}
}

// keepTickets has TLS sessions kept, by a delivery at encrypt.
func keepTickets(w *world) {
	w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	w.client.TLS = tlspolicy.Encrypt
	w.another(w.t, delivered)
}

// A TLS session that was verified is resumed and verified again, and good for a
// credential; so is channel binding.
func TestCredentialOnResumedSession(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256-PLUS"} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			inWorld(t, func(t *testing.T, w *world) {
				s := submission(allMechanisms)
				s.TLSConfig = &tls.Config{MaxVersion: version}
				w.smarthost(s)
				w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
				w.client.Auth = ann(mechanism)
				w.another(t, delivered)
				if o := w.another(t, delivered); !o.TLS.Resumed || o.TLS.Verified != "pkix" || o.Login != "ann" {
					t.Errorf("%s: TLS %+v, logged in as %q", mechanism, o.TLS, o.Login)
				}
			})
		}
	}
}

// A hook that panics holds no place in the pool, and the error says where it was.
func TestCredentialHooksThatPanic(t *testing.T) {
	for name, c := range map[string]smtpclient.Credentials{
		"Lookup": credentialHook(func(smtpclient.CredentialQuery) (*smtpclient.Credential, error) { panic("gone mad") }),
		"Token":  &smtpclient.Credential{User: "robot", Token: func(context.Context) (string, error) { panic("gone mad") }},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.smarthost(submission("AUTH XOAUTH2 PLAIN"))
			pool := &smtpclient.Pool{PerDestination: 1}
			w.client.Pool = pool
			report := w.deliverAs(c)
			expect(t, report, deferredBob+"auth 4.3.0")
			if text := report.Err().Error(); !strings.Contains(text, name) || !strings.Contains(text, "gone mad") {
				t.Errorf("%s: %s", name, text)
			}
			trace := smtpclient.Trace{Start: func(_ context.Context, e smtpclient.Event) {
				if e.Stage == smtpclient.StageAuth && e.Addr != "" {
					panic("trace gone mad")
				}
			}}
			w.client.Auth = &smtpclient.Credential{User: "robot", Token: tokenOf(theToken)}
			w.deliver(smtpclient.WithTrace(t.Context(), &trace), fromAnn("bob@example.net"), hello)
			if n := pool.Stats().InUse; n != 0 {
				t.Errorf("%s: %d places are held", name, n)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			expect(t, w.deliver(ctx, fromAnn("bob@example.net"), hello), deliveredBob)
			if err := pool.Close(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// An open session is used again by who would log in as the same, and by nobody else:
// not by another sender, not without a credential, not with another password.
func TestCredentialInPool(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := submission("AUTH PLAIN XOAUTH2")
		s.Passwords["carol"] = thePassword
		w.smarthost(s)
		pool := &smtpclient.Pool{KeepAll: true, IdleTime: time.Hour}
		defer pool.Close(t.Context())
		w.client.Pool = pool
		robot := &smtpclient.Credential{User: "robot", Token: tokenOf(theToken)}
		for i, tt := range []struct {
			c        smtpclient.Credentials
			login    string // "": the delivery fails
			sessions int    // so far
		}{
			{ann(), "ann", 1},
			{ann(), "ann", 1},
			{&smtpclient.Credential{User: "carol", Password: thePassword}, "carol", 2},
			{&smtpclient.Credential{User: "ann", Password: wrongPassword}, "", 3},
			{on1(ann(), tlspolicy.Verify), "ann", 4},
			{robot, "robot", 5},
			{robot, "robot", 5},
			{&smtpclient.Credential{User: "robot", Token: tokenOf(theToken)}, "robot", 6},
			{ann(), "ann", 6},
		} {
			w.client.Auth = tt.c
			want := delivered
			if tt.login == "" {
				want = "deferred auth 4.7.8"
			}
			if o := w.another(t, want); o.Login != tt.login || s.Sessions() != tt.sessions {
				t.Errorf("delivery %d: logged in as %q on %d sessions, want %q on %d", i, o.Login, s.Sessions(), tt.login, tt.sessions)
			}
		}
		for i, m := range s.Messages() {
			if want := []string{"ann", "ann", "carol", "ann", "robot", "robot", "robot", "ann"}[i]; m.Login != want {
				t.Errorf("message %d came from %q, want %q", i, m.Login, want)
			}
		}
		l := eavesdrop.New(thePassword, theToken)
		l.Value(pool)
		l.Value(w.client.Client)
		if len(l.Leaks()) > 0 {
			t.Errorf("a pool prints %.500s", l.Leaks())
		}
		w.client.Auth, w.client.TLS = nil, tlspolicy.Policy{Level: tlspolicy.Secure, Roots: s.Roots()}
		if o := w.another(t, delivered); o.Login != "" || s.Messages()[8].Login != "" {
			t.Errorf("without a credential: logged in as %q and %q", o.Login, s.Messages()[8].Login)
		}
	})
}
