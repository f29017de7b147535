package interop

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// shown is a certificate that a server shows, and the levels at which it is good.
// The next hop is the domain tls.test, and the server its mail exchanger
// NAME.tls.test.
type shown struct {
	name           string
	subject        string // "": NAME.tls.test
	kind           Kind
	stranger       bool // signed by an authority that nobody trusts
	verify, secure bool
}

var shownCertificates = []shown{
	{name: "good", verify: true, secure: true},
	{name: "rsa", kind: WithRSA, verify: true, secure: true},
	{name: "domain", subject: "tls.test", secure: true},
	{name: "elsewhere", subject: "mx.elsewhere.test"},
	{name: "expired", kind: Expired},
	{name: "selfsigned", kind: SelfSigned},
	{name: "unknown", stranger: true},
}

func (s shown) host() string { return s.name + ".tls.test" }

// matrixLevel is one that a client can have, with the certificates it takes.
type matrixLevel struct {
	name   string
	policy func(c *Certificate) tlspolicy.Policy
	takes  func(s shown) bool
}

func always(shown) bool { return true }
func never(shown) bool  { return false }

func matrixLevels(a *Authority) []matrixLevel {
	plain := func(level tlspolicy.Level) func(*Certificate) tlspolicy.Policy {
		return func(*Certificate) tlspolicy.Policy { return tlspolicy.Policy{Level: level, Roots: a.Roots()} }
	}
	fingerprint := func(of func(c *Certificate) []byte) func(*Certificate) tlspolicy.Policy {
		return func(c *Certificate) tlspolicy.Policy {
			return tlspolicy.Policy{Level: tlspolicy.Fingerprint, Fingerprints: []string{fmt.Sprintf("%x", sha256.Sum256(of(c)))}}
		}
	}
	return []matrixLevel{
		{"none", plain(tlspolicy.None), always},
		{"may", plain(tlspolicy.May), always},
		{"encrypt", plain(tlspolicy.Encrypt), always},
		{"fingerprint of certificate", fingerprint(func(c *Certificate) []byte { return c.Leaf.Raw }), always},
		{"fingerprint of key", fingerprint(func(c *Certificate) []byte { return c.Leaf.RawSubjectPublicKeyInfo }), always},
		{"another fingerprint", fingerprint(func(*Certificate) []byte { return nil }), never},
		{"verify", plain(tlspolicy.Verify), func(s shown) bool { return s.verify }},
		{"secure", plain(tlspolicy.Secure), func(s shown) bool { return s.secure }},
	}
}

// pki makes the certificates that the servers show, by their hosts.
func pki(t *testing.T) (trusted *Authority, all map[string]*Certificate) {
	t.Helper()
	trusted, err := NewAuthority("an authority")
	present(t, err)
	stranger, err := NewAuthority("another authority")
	present(t, err)
	all = make(map[string]*Certificate)
	for _, s := range shownCertificates {
		signer, subject := trusted, s.subject
		if s.stranger {
			signer = stranger
		}
		if subject == "" {
			subject = s.host()
		}
		all[s.host()], err = signer.Issue(subject, s.kind)
		present(t, err)
	}
	return trusted, all
}

// tlsServer is a server with all certificates, and where each is shown.
type tlsServer struct {
	server
	port uint16
	addr func(s shown) string
}

// postfixTLS has a door for each certificate, which asks for ours.
func postfixTLS(t *testing.T, trusted *Authority, all map[string]*Certificate) tlsServer {
	t.Helper()
	var master strings.Builder
	door := func(n int) string { return fmt.Sprintf("127.0.1.%d", n+1) }
	for n, s := range shownCertificates {
		fmt.Fprintf(&master, "%s:PORT inet n - n - - smtpd\n  -o smtpd_tls_chain_files=DIR/%s.pem\n  -o smtpd_tls_ask_ccert=yes\n  -o smtpd_tls_CAfile=DIR/ca.pem\n", door(n), s.host())
	}
	p := ownPostfix(t, PostfixSettings{Master: master.String()})
	files := map[string][]byte{"ca.pem": trusted.PEM()}
	for host, c := range all {
		files[host+".pem"] = c.File()
	}
	for name, text := range files {
		present(t, os.WriteFile(filepath.Join(p.dir, name), text, 0o600))
	}
	return tlsServer{p, p.Port, func(s shown) string {
		for n := range shownCertificates {
			if shownCertificates[n].name == s.name {
				return p.Addr(door(n))
			}
		}
		return ""
	}}
}

// eximTLS chooses the certificate by the name that the client asks for. It gives no
// tickets unless it is told to.
func eximTLS(t *testing.T, _ *Authority, all map[string]*Certificate) tlsServer {
	t.Helper()
	e := ownExim(t, EximSettings{Main: "tls_resumption_hosts = *"})
	present(t, e.Shown(all))
	return tlsServer{e, e.Port, func(shown) string { return e.Addr(EximFull) }}
}

var tlsServers = map[string]func(*testing.T, *Authority, map[string]*Certificate) tlsServer{"Postfix": postfixTLS, "Exim": eximTLS}

// said keeps what the client says through it.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *said) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// tapped is a front at the address Watched that keeps what the client says.
func tapped(t *testing.T, s tlsServer, at string) (*said, *Front) {
	t.Helper()
	w := &said{}
	f, err := NewFront(hostPort(Watched, s.port), func(client net.Conn) {
		between(client, at, func(backend net.Conn) { io.Copy(backend, io.TeeReader(client, w)) }, io.Copy)
	})
	present(t, err)
	return w, f
}

// clientOf finds the server of a certificate at Watched, by the domain tls.test.
func (s tlsServer) clientOf(c shown, policy tlspolicy.Policy, tickets tls.ClientSessionCache) *smtpclient.Client {
	return &smtpclient.Client{
		LocalName: "client.example.org",
		NextHops:  []string{"tls.test"},
		Resolver: resolve.Static{
			{Name: "tls.test", Type: resolve.TypeMX}: {MX: []resolve.MX{{Host: c.host()}}},
			{Name: c.host(), Type: resolve.TypeA}:    {Addrs: []netip.Addr{netip.MustParseAddr(Watched)}},
		},
		Routing: resolve.Routing{Local: true, Port: s.port},
		TLS:     policy,
		Cache:   cache.None,
		Dialer:  &smtpclient.Dialer{TLSConfig: &tls.Config{ClientSessionCache: tickets}},
	}
}

// Level by level, certificate by certificate: what is delivered, how it went over
// the wire, and the same with a TLS session that was there before.
func TestTLSMatrix(t *testing.T) {
	trusted, all := pki(t)
	for name, start := range tlsServers {
		t.Run(name, func(t *testing.T) {
			s := start(t, trusted, all)
			for _, c := range shownCertificates {
				for _, l := range matrixLevels(trusted) {
					t.Run(c.name+"/"+l.name, func(t *testing.T) {
						policy := l.policy(all[c.host()])
						tickets := tls.NewLRUClientSessionCache(16)
						s.try(t, c, policy, tickets, l.takes(c))
						resumed := s.try(t, c, policy, tickets, l.takes(c))
						// crypto/tls forgets a session whose certificate has expired.
						if want := l.takes(c) && policy.Level != tlspolicy.None && c.kind != Expired; resumed != want {
							t.Errorf("resumed: %v, want %v", resumed, want)
						}
						if !policy.Level.Authenticates() {
							return
						}
						// One that was opened at a lower level.
						tickets = tls.NewLRUClientSessionCache(16)
						s.try(t, c, tlspolicy.Policy{Level: tlspolicy.Encrypt}, tickets, true)
						if s.try(t, c, policy, tickets, l.takes(c)) {
							t.Error("a session of level encrypt was resumed")
						}
					})
				}
			}
		})
	}
}

// try sends a message and holds what went over the wire against the level. It
// tells whether the TLS session was resumed.
func (s tlsServer) try(t *testing.T, c shown, policy tlspolicy.Policy, tickets tls.ClientSessionCache, takes bool) (resumed bool) {
	t.Helper()
	content := bytes.Repeat([]byte("The secret of the matrix.\r\n"), 2000)
	content = append([]byte("Subject: secret\r\n\r\n"), content...)
	to := s.NewMailbox("example.test")
	w, front := tapped(t, s, s.addr(c))
	report := deliver(t, s.clientOf(c, policy, tickets), content, to)
	front.Close()
	o := report.Outcomes[0]
	said := w.text.Bytes()
	if o.TLS.Wanted != policy.Level {
		t.Errorf("wanted %v, want %v", o.TLS.Wanted, policy.Level)
	}
	if policy.Level != tlspolicy.None && (bytes.Contains(said, []byte("secret")) || bytes.Contains(said, []byte("MAIL FROM"))) {
		t.Error("the message went in plaintext")
	}
	if !takes {
		if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageStartTLS || o.Enhanced != "4.7.5" {
			t.Errorf("%v: %v", o.Status, o.Err())
		}
		if len(said) >= len(content) {
			t.Errorf("the client said %d bytes to a server that it refused", len(said))
		}
		if stored, _ := s.Stored(to, 0); len(stored) != 0 {
			t.Error("the message was stored")
		}
		return o.TLS.Resumed
	}
	if o.Status != smtpclient.Delivered || (o.TLS.Verified != "") != policy.Level.Authenticates() {
		t.Fatalf("%v, %+v: %v", o.Status, o.TLS, o.Err())
	}
	if _, err := s.Stored(to, 1); err != nil {
		t.Error(err)
	}
	return o.TLS.Resumed
}

// The same with a login, at a server that offers PLAIN also without TLS: the password
// is shown inside TLS only, and to nobody whom the level refuses.
func TestTLSMatrixWithLogin(t *testing.T) {
	trusted, all := pki(t)
	s := eximTLS(t, trusted, all)
	for _, c := range shownCertificates {
		for _, l := range matrixLevels(trusted) {
			t.Run(c.name+"/"+l.name, func(t *testing.T) {
				policy := l.policy(all[c.host()])
				credential := &smtpclient.Credential{User: Account, Password: Password, Mechanisms: []string{"PLAIN"}}
				if !policy.Level.Authenticates() {
					credential.Channel = tlspolicy.Encrypt
				}
				client := s.clientOf(c, policy, nil)
				client.Auth = credential
				w, front := tapped(t, s, s.addr(c))
				o := deliver(t, client, simple("login"), s.NewMailbox("example.test")).Outcomes[0]
				front.Close()
				if bytes.Contains(w.text.Bytes(), []byte("AUTH")) {
					t.Error("the login went in plaintext")
				}
				login := ""
				if l.takes(c) && policy.Level != tlspolicy.None {
					login = Account
				}
				if o.Login != login || (o.Status == smtpclient.Delivered) != (login != "") {
					t.Errorf("%v, logged in as %q, want %q: %v", o.Status, o.Login, login, o.Err())
				}
				if !l.takes(c) && (o.Stage != smtpclient.StageStartTLS || w.text.Len() > 4096) {
					t.Errorf("%d bytes went to a server that was refused at %v", w.text.Len(), o.Stage)
				}
			})
		}
	}
}

// A server without STARTTLS gets mail at none and may only.
func TestLevelsWithoutSTARTTLS(t *testing.T) {
	p := postfix(t)
	for level, want := range map[tlspolicy.Level]string{tlspolicy.None: "", tlspolicy.May: "", tlspolicy.Encrypt: "4.7.4", tlspolicy.Fingerprint: "4.7.4", tlspolicy.Verify: "4.7.4", tlspolicy.Secure: "4.7.4"} {
		client := clientTo(p, PostfixPlaintext)
		client.TLS = tlspolicy.Policy{Level: level, Fingerprints: []string{strings.Repeat("0", 64)}}
		o := deliver(t, client, []byte("Subject: x\r\n\r\n"), p.NewMailbox("example.test")).Outcomes[0]
		if delivered := o.Status == smtpclient.Delivered; delivered != (want == "") || !delivered && o.Enhanced != want {
			t.Errorf("%v: %v %v", level, o.Status, o.Err())
		}
	}
}

// Postfix, which asks for a certificate, gets ours, and finds it good.
func TestClientCertificateAtPostfix(t *testing.T) {
	trusted, all := pki(t)
	s := postfixTLS(t, trusted, all)
	ours, err := trusted.Issue("client.example.org", 0)
	present(t, err)
	pair, err := ours.Pair()
	present(t, err)
	good := shownCertificates[0]
	for name, tt := range map[string]struct {
		with []tls.Certificate
		want string // in the Received line
	}{
		"none": {nil, "(no client certificate requested)|(Client did not present a certificate)"},
		"ours": {[]tls.Certificate{pair}, `(Client CN "client.example.org", Issuer "an authority" (verified OK))`},
	} {
		to := s.NewMailbox("example.test")
		_, front := tapped(t, s, s.addr(good))
		client := s.clientOf(good, tlspolicy.Policy{Level: tlspolicy.Verify, Roots: trusted.Roots()}, nil)
		client.Dialer.TLSConfig.Certificates = tt.with
		if err := deliver(t, client, []byte("Subject: x\r\n\r\n"), to).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		front.Close()
		stored, err := s.Stored(to, 1)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(string(stored[0])), " ")
		found := false
		for want := range strings.SplitSeq(tt.want, "|") {
			found = found || strings.Contains(text, want)
		}
		if !found {
			t.Errorf("%s: want %s in\n%s", name, tt.want, stored[0])
		}
	}
}
