package smtpclient_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func fingerprintOf(cert *tls.Certificate) string {
	return fmt.Sprintf("%x", sha256.Sum256(cert.Certificate[0]))
}

// No certificate is shown unless one is configured, and then to servers that ask
// for one (T22).
func TestClientCertificate(t *testing.T) {
	for name, with := range map[string]bool{"none": false, "one": true} {
		for _, asks := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert} {
			inWorld(t, func(t *testing.T, w *world) {
				ours := newAuthority(t).leaf("client.example.org", time.Hour)
				mx := w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{ClientAuth: asks}})
				if with {
					w.client.Dialer.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*ours}}
				}
				w.another(t, delivered)
				shown := mx.Messages()[0].TLS.PeerCertificates
				if want := with && asks != tls.NoClientCert; (len(shown) == 1) != want || want && !slices.Equal(shown[0].Raw, ours.Certificate[0]) {
					t.Errorf("%s, server asks %v: %d certificates", name, asks, len(shown))
				}
			})
		}
	}
}

// A server that demands a certificate which we do not have fails the handshake. In
// TLS 1.3 it says so only behind it, where we read the reply to EHLO, or the greeting.
func TestClientCertificateDemanded(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for level, want := range map[tlspolicy.Level]string{tlspolicy.May: delivered, tlspolicy.Encrypt: "deferred starttls 4.7.5"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				results := &recorder{}
				w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16}, TLSConfig: &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: version}})
				w.client.TLS, w.client.TLSResults = level, results
				o := w.another(t, want)
				if got := results.String(); got != "validation-failure" || o.TLS.Failure != got || (o.TLS.Fallback != nil) != (level == tlspolicy.May) {
					t.Errorf("%s at %v: results %q, in the report %+v", tls.VersionName(version), level, got, o.TLS)
				}
			})
		}
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.net["192.0.2.10:465"] = &smtptest.Server{ImplicitTLS: true, Wire: smtptest.Wire{Window: 1 << 16}, TLSConfig: &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: version}}
			w.client.NextHops = []string{"[192.0.2.10]:465"}
			w.another(t, "deferred starttls 4.7.5")
		})
	}
}

// The Dialer's authorities are for policies that bring none.
func TestRootsOfDialer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.TLS = tlspolicy.Verify
		w.another(t, "deferred starttls 4.7.5") // those of the system
		w.client.Dialer.TLSConfig = &tls.Config{RootCAs: mx.Roots()}
		w.another(t, delivered)
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: x509.NewCertPool()}
		w.another(t, "deferred starttls 4.7.5")
	})
}

// What the caller's tls.Config says does not take anything from the policy (T33).
func TestTLSConfigLowersNothing(t *testing.T) {
	for name, config := range map[string]*tls.Config{
		"InsecureSkipVerify": {InsecureSkipVerify: true},
		"VerifyConnection":   {VerifyConnection: func(tls.ConnectionState) error { return nil }},
		"ServerName":         {ServerName: "mx.example.com", InsecureSkipVerify: true},
		"all":                {InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}})
			w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: mx.Roots()}
			w.client.Dialer.TLSConfig = config
			w.another(t, "deferred starttls 4.7.5")
			if name == "ServerName" && config.ServerName != "mx.example.com" {
				t.Error("the caller's config was changed")
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}})
		w.client.TLS = tlspolicy.Encrypt
		w.client.Dialer.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS10}
		w.another(t, "deferred starttls 4.7.5")
		w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Encrypt, MinVersion: tls.VersionTLS10}
		w.another(t, delivered)
	})
}

// The caller's own check counts, and a server that it refuses gets no mail in
// plaintext either.
func TestOwnVerifyConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		w.client.Dialer.TLSConfig = &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return errors.New("not this one") }}
		o := w.another(t, "deferred starttls 4.7.5")
		if mx.Sessions() != 1 || o.TLS.Fallback != nil {
			t.Errorf("%d sessions, %+v", mx.Sessions(), o.TLS)
		}
	})
}

// Floors of protocols and ciphers, of the policy and of the Dialer.
func TestVersionsAndCiphers(t *testing.T) {
	const gcm = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	for name, tt := range map[string]struct {
		policy  tlspolicy.Policy
		dialer  *tls.Config
		server  *tls.Config
		want    string
		version uint16
		cipher  uint16
	}{
		"maximum":             {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt, MaxVersion: tls.VersionTLS12}, want: delivered, version: tls.VersionTLS12},
		"minimum":             {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt, MinVersion: tls.VersionTLS13}, server: &tls.Config{MaxVersion: tls.VersionTLS12}, want: "deferred starttls 4.7.5"},
		"minimum of Dialer":   {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt}, dialer: &tls.Config{MinVersion: tls.VersionTLS13}, server: &tls.Config{MaxVersion: tls.VersionTLS12}, want: "deferred starttls 4.7.5"},
		"maximum of Dialer":   {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt}, dialer: &tls.Config{MaxVersion: tls.VersionTLS12}, want: delivered, version: tls.VersionTLS12},
		"policy over Dialer":  {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt, MaxVersion: tls.VersionTLS13}, dialer: &tls.Config{MaxVersion: tls.VersionTLS12}, want: delivered, version: tls.VersionTLS13},
		"cipher":              {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt, MaxVersion: tls.VersionTLS12, Ciphers: []uint16{gcm}}, want: delivered, cipher: gcm},
		"cipher of Dialer":    {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt, MaxVersion: tls.VersionTLS12}, dialer: &tls.Config{CipherSuites: []uint16{gcm}}, want: delivered, cipher: gcm},
		"no cipher in common": {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt, Ciphers: []uint16{gcm}}, server: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, want: "deferred starttls 4.7.5"},
		"no ALPN (T20)":       {policy: tlspolicy.Policy{Level: tlspolicy.Encrypt}, server: &tls.Config{NextProtos: []string{"smtp"}}, want: delivered},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{TLSConfig: tt.server})
			w.client.TLS, w.client.Dialer.TLSConfig = tt.policy, tt.dialer
			s := w.another(t, tt.want).TLS
			if tt.version != 0 && s.Version != tt.version || tt.cipher != 0 && s.Cipher != tt.cipher {
				t.Errorf("%s: %s, %s", name, tls.VersionName(s.Version), tls.CipherSuiteName(s.Cipher))
			}
		})
	}
}

// An old server without forward secrecy is better than plaintext, and not good
// enough where TLS is required.
func TestOpportunisticCiphers(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{tlspolicy.May: delivered, tlspolicy.Encrypt: "deferred starttls 4.7.5"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
				Certificates: []tls.Certificate{rsaCertificate(t)}}})
			w.client.TLS = level
			o := w.another(t, want)
			if level == tlspolicy.May && (o.TLS.Fallback != nil || o.TLS.Cipher != tls.TLS_RSA_WITH_AES_128_GCM_SHA256) {
				t.Errorf("%+v", o.TLS)
			}
		})
	}
}

// SNI is the host, or what the policy says, and never an address (T21).
func TestServerName(t *testing.T) {
	for name, tt := range map[string]struct {
		hop    string
		policy tlspolicy.Policy
		want   string
	}{
		"host":     {"", tlspolicy.Policy{Level: tlspolicy.Encrypt}, "mx10.example.net"},
		"nexthop":  {"", tlspolicy.Policy{Level: tlspolicy.Encrypt, ServerName: "nexthop"}, "example.net"},
		"hostname": {"", tlspolicy.Policy{Level: tlspolicy.Encrypt, ServerName: "hostname"}, "mx10.example.net"},
		"literal":  {"", tlspolicy.Policy{Level: tlspolicy.Encrypt, ServerName: "mail.example.org"}, "mail.example.org"},
		"address":  {"[192.0.2.10]", tlspolicy.Policy{Level: tlspolicy.Encrypt}, ""},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			asked := make(chan string, 1)
			ca := newAuthority(t)
			w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				asked <- hello.ServerName
				return ca.leaf("mx10.example.net", time.Hour), nil
			}}})
			w.client.TLS = tt.policy
			if tt.hop != "" {
				w.client.NextHops = []string{tt.hop}
			}
			w.another(t, delivered)
			if got := <-asked; got != tt.want {
				t.Errorf("%s: SNI %q, want %q", name, got, tt.want)
			}
		})
	}
}

// A certificate with the address in it verifies a host that was named by it.
func TestVerifyByAddress(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.10": delivered, "192.0.2.11": "deferred starttls 4.7.5"} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{addr}}})
			w.client.NextHops = []string{"[192.0.2.10]"}
			w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: mx.Roots()}
			w.another(t, want)
		})
	}
}

// Dialled by hand, next hop and host are the Target's: secure and verify are the
// same.
func TestLevelsOfDial(t *testing.T) {
	for _, level := range []tlspolicy.Level{tlspolicy.Verify, tlspolicy.Secure} {
		server := &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.net"}}}
		target := smtpclient.Target{Host: "mx.example.net", Policy: tlspolicy.Policy{Level: level, Roots: server.Roots()}}
		inSession(t, server, target, func(t *testing.T, s *heldSession) {
			if p := s.Peer(); p.TLS.Reached != level || p.TLS.Verified != "pkix" {
				t.Errorf("%+v", p.TLS)
			}
		})
	}
}
