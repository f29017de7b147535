package interop

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// A server with AUTH, how it can be verified, and what it offers.
type authServer struct {
	addr  string // inside TLS after STARTTLS
	roots *x509.CertPool
	// mechanisms are all that it has to offer, so that none is forgotten here.
	mechanisms []string
}

// authServers start them.
var authServers = map[string]func(t *testing.T) authServer{
	"Postfix with Dovecot":          postfixDovecot,
	"Postfix with Cyrus, sasldb":    postfixCyrus,
	"Postfix with Cyrus, saslauthd": postfixSaslauthd,
	"Exim":                          eximAuth,
	"go-smtp":                       goSMTPAuth,
}

func postfixDovecot(t *testing.T) authServer {
	d, err := StartDovecot()
	present(t, err)
	t.Cleanup(d.Stop)
	return postfixAuth(t, PostfixSettings{Main: "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = " + d.Socket + "\nsmtpd_sasl_security_options =\n"},
		"PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER ANONYMOUS")
}

func postfixCyrus(t *testing.T) authServer {
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		openDir(t, d)
	}
	settings, err := NewCyrus(dir)
	present(t, err)
	return postfixAuth(t, settings, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 ANONYMOUS")
}

func postfixSaslauthd(t *testing.T) authServer {
	s, err := StartSaslauthd()
	present(t, err)
	t.Cleanup(s.Stop)
	return postfixAuth(t, s.Settings, "PLAIN LOGIN")
}

func postfixAuth(t *testing.T, settings PostfixSettings, mechanisms string) authServer {
	p := ownPostfix(t, settings)
	roots, err := rootsOf(filepath.Join(p.dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return authServer{p.Addr(PostfixFull), roots, strings.Fields(mechanisms)}
}

// submit sends a message through a server by its name.
func (a authServer) submit(t *testing.T, level tlspolicy.Level, c smtpclient.Credentials) smtpclient.Outcome {
	t.Helper()
	_, port, _ := net.SplitHostPort(a.addr)
	host, _, _ := net.SplitHostPort(a.addr)
	client := &smtpclient.Client{
		LocalName: "client.example.org",
		NextHops:  []string{"[mx.example.test]:" + port},
		Resolver: resolve.Static{
			resolve.Question{Name: "mx.example.test", Type: resolve.TypeA}: resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr(host)}},
		},
		TLS:   tlspolicy.Policy{Level: level, Roots: a.roots},
		Auth:  c,
		Cache: cache.None,
	}
	// The last mailbox: one that NewMailbox would give away belongs to another test.
	return deliver(t, client, simple("auth"), mailbox(mailboxes(domains()[0]), domains()[0])).Outcomes[0]
}

func credentialFor(mechanism, secret string) *smtpclient.Credential {
	c := &smtpclient.Credential{User: Account, Mechanisms: []string{mechanism}}
	switch mechanism {
	case "XOAUTH2", "OAUTHBEARER":
		c.Token = func(context.Context) (string, error) { return secret, nil }
	case "EXTERNAL", "ANONYMOUS":
	default:
		c.Password = secret
	}
	return c
}

func secretFor(mechanism string) string {
	if mechanism == "XOAUTH2" || mechanism == "OAUTHBEARER" {
		return Token
	}
	return Password
}

// Each mechanism that a server offers: with the right password and a wrong one,
// inside TLS, and in plaintext, where what shows the password stays away unless it
// is allowed.
func TestAuthWithServers(t *testing.T) {
	shows := []string{"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"}
	for name, start := range authServers {
		t.Run(name, func(t *testing.T) {
			a := start(t)
			a.checkOffer(t)
			for _, m := range a.mechanisms {
				plus := strings.HasSuffix(m, "-PLUS")
				if o := a.submit(t, 0, credentialFor(m, secretFor(m))); o.Status != smtpclient.Delivered || o.Login != Account || o.TLS.Verified != "pkix" {
					t.Errorf("%s: %v, logged in as %q, TLS %+v", m, o.Err(), o.Login, o.TLS)
				}
				if m != "ANONYMOUS" && m != "EXTERNAL" {
					if o := a.submit(t, 0, credentialFor(m, "wrong-"+secretFor(m))); !errors.Is(o.Err(), smtpclient.AuthBadCredentials) || o.Status != smtpclient.Deferred || o.Reply.Code != 535 {
						t.Errorf("%s, wrong password: %v", m, o.Err())
					} else {
						t.Logf("%s, wrong password: %v", m, o.Err())
					}
				}
				if plus {
					continue
				}
				o := a.submit(t, tlspolicy.None, credentialFor(m, secretFor(m)))
				if !slices.Contains(shows, m) {
					if o.Status != smtpclient.Delivered {
						t.Errorf("%s in plaintext: %v", m, o.Err())
					}
					continue
				}
				if !errors.Is(o.Err(), smtpclient.AuthEncryptionRequired) {
					t.Errorf("%s in plaintext: %v", m, o.Err())
				}
				c := credentialFor(m, secretFor(m))
				c.Channel = tlspolicy.None
				if o := a.submit(t, tlspolicy.None, c); o.Status != smtpclient.Delivered {
					t.Errorf("%s in plaintext, allowed: %v", m, o.Err())
				}
			}
			a.refusesInPlaintext(t)
			// The strongest is taken where nothing is said.
			if o := a.submit(t, 0, &smtpclient.Credential{User: Account, Password: Password}); slices.Contains(a.mechanisms, "PLAIN") && o.Status != smtpclient.Delivered {
				t.Errorf("the strongest: %v", o.Err())
			}
		})
	}
}

// refusesInPlaintext has each mechanism show a wrong password without TLS.
func (a authServer) refusesInPlaintext(t *testing.T) {
	t.Helper()
	for _, m := range a.mechanisms {
		if m == "ANONYMOUS" || m == "EXTERNAL" || strings.HasSuffix(m, "-PLUS") {
			continue
		}
		c := credentialFor(m, "wrong-"+secretFor(m))
		c.Channel = tlspolicy.None
		if o := a.submit(t, tlspolicy.None, c); !errors.Is(o.Err(), smtpclient.AuthBadCredentials) || o.Status != smtpclient.Deferred || o.TLS.Reached != tlspolicy.None {
			t.Errorf("%s, wrong password in plaintext: %v, TLS %+v", m, o.Err(), o.TLS)
		}
	}
}

// checkOffer holds what a server offers inside TLS against the list.
func (a authServer) checkOffer(t *testing.T) {
	t.Helper()
	d := &smtpclient.Dialer{LocalName: "client.example.org"}
	s, err := d.Dial(t.Context(), smtpclient.Target{Addr: a.addr, Host: "mx.example.test", Policy: tlspolicy.Policy{Level: tlspolicy.Verify, Roots: a.roots}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	params, _ := s.Extension("AUTH")
	offered, listed := strings.Fields(params), slices.Clone(a.mechanisms)
	slices.Sort(offered)
	slices.Sort(listed)
	if !slices.Equal(slices.Compact(offered), listed) {
		t.Errorf("the server offers %q, the test has %q", offered, listed)
	}
}

// openDir lets other users read what is in a folder.
func openDir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func eximAuth(t *testing.T) authServer {
	e := exim(t)
	roots, err := rootsOf(filepath.Join(e.dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return authServer{e.Addr(EximFull), roots, []string{"PLAIN", "LOGIN", "CRAM-MD5"}}
}

func goSMTPAuth(t *testing.T) authServer {
	g, err := StartGoSMTPWith(strings.Fields("EXTERNAL ANONYMOUS PLAIN LOGIN OAUTHBEARER SCRAM-SHA-256 SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return authServer{g.Addr, g.Roots, g.mechanisms}
}
