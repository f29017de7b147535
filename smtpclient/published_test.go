package smtpclient_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// What example.net publishes about TLS, with DNS answers that an attack can hold
// back or change.
var (
	tlsaOfMX    = resolve.Question{Name: "_25._tcp.mx10.example.net", Type: resolve.TypeTLSA}
	stsOfNet    = resolve.Question{Name: "_mta-sts.example.net", Type: resolve.TypeTXT}
	policyHosts = resolve.Question{Name: "mta-sts.example.net", Type: resolve.TypeA}
)

// secure has DNSSEC for what is there of mx10.example.net and its domain, and
// publishes TLSA records.
func (w *world) secure(records ...resolve.TLSA) {
	for q, a := range w.dns {
		a.Secure = true
		w.dns[q] = a
	}
	w.dns[resolve.Question{Name: "mx10.example.net", Type: resolve.TypeAAAA}] = resolve.Answer{Secure: true}
	w.dns[tlsaOfMX] = resolve.Answer{TLSA: records, Secure: true}
}

// key is the record 3 1 1 of a certificate.
func key(t *testing.T, c *tls.Certificate) resolve.TLSA {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return resolve.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: sum[:]}
}

// sts publishes an MTA-STS policy by HTTPS, and gives a Source that gets to it.
// The policy host is gone after close.
func (w *world) sts(ca *authority, policy string) (source *tlspolicy.MTASTS, close func()) {
	w.dns[stsOfNet] = resolve.Answer{TXT: []string{"v=STSv1; id=1;"}}
	w.dns[policyHosts] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.80")}}
	conns := make(chan net.Conn)
	listener := &chanListener{conns: conns, closed: make(chan struct{})}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, policy)
	})}
	done := make(chan struct{})
	go func() {
		server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*ca.leaf("mta-sts.example.net", 1000*time.Hour)}}))
		done <- struct{}{}
	}()
	source = &tlspolicy.MTASTS{Roots: ca.roots(), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case conns <- theirs:
			return ours, nil
		case <-listener.closed:
			return nil, net.ErrClosed
		}
	}}
	return source, func() {
		time.Sleep(time.Minute) // net.Pipe holds up the alerts of connections that are closed
		server.Close()
		<-done
	}
}

type chanListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *chanListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *chanListener) Close() error   { close(l.closed); return nil }
func (l *chanListener) Addr() net.Addr { return &net.TCPAddr{} }

const enforced = "version: STSv1\nmode: enforce\nmx: mx10.example.net\nmx: mx20.example.net\nmax_age: 604800\n"

// publishers are what a domain can publish. Each has its policy in force on
// return, and no other Source asks for anything.
var publishers = map[string]func(t *testing.T, w *world, ca *authority, genuine *tls.Certificate) (close func()){
	"dane": func(t *testing.T, w *world, _ *authority, genuine *tls.Certificate) func() {
		w.secure(key(t, genuine))
		w.client.TLS = tlspolicy.Default()
		return func() {}
	},
	"dane-only": func(t *testing.T, w *world, _ *authority, genuine *tls.Certificate) func() {
		w.secure(key(t, genuine))
		w.client.TLS = tlspolicy.DANEOnly
		return func() {}
	},
	"dane by insecure MX": func(t *testing.T, w *world, _ *authority, genuine *tls.Certificate) func() {
		w.secure(key(t, genuine))
		a := w.dns[mxOfNet]
		a.Secure = false
		w.dns[mxOfNet] = a
		w.client.TLS = tlspolicy.Default()
		return func() {}
	},
	"mta-sts": func(t *testing.T, w *world, ca *authority, _ *tls.Certificate) func() {
		source, close := w.sts(ca, enforced)
		w.client.TLS = tlspolicy.Sources{tlspolicy.DANE, source, tlspolicy.May}
		return close
	},
}

// withPublished runs a test in a world where mx10.example.net has a certificate
// that fits what is published.
func withPublished(t *testing.T, publisher string, test func(t *testing.T, w *world, genuine *tls.Certificate)) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.client.Cache = &cache.Memory{}
		ca := newAuthority(t)
		genuine := ca.leaf("mx10.example.net", 1000*time.Hour)
		w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*genuine}}})
		defer publishers[publisher](t, w, ca, genuine)()
		test(t, w, genuine)
	})
}

// The good server gets mail, and the report says how it was verified. A host that
// an insecure MX record names is not said to be the right one.
func TestPublishedDelivers(t *testing.T) {
	for publisher, want := range map[string]tlspolicy.State{
		"dane":                {Wanted: tlspolicy.DANE, Reached: tlspolicy.DANE, Verified: "dane-ee"},
		"dane-only":           {Wanted: tlspolicy.DANEOnly, Reached: tlspolicy.DANEOnly, Verified: "dane-ee"},
		"dane by insecure MX": {Wanted: tlspolicy.DANE, Reached: tlspolicy.Encrypt},
		"mta-sts":             {Wanted: tlspolicy.Verify, Reached: tlspolicy.Verify, Verified: "pkix"},
	} {
		withPublished(t, publisher, func(t *testing.T, w *world, _ *tls.Certificate) {
			got := w.another(t, delivered).TLS
			if got.Wanted != want.Wanted || got.Reached != want.Reached || got.Verified != want.Verified {
				t.Errorf("%s: %+v, want %+v", publisher, got, want)
			}
		})
	}
}

// failFor is a Resolver that has no answer to some questions.
func failFor(r resolve.Resolver, fails ...resolve.Question) resolve.Resolver {
	return lookupFunc(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
		for _, f := range fails {
			if q == f {
				return resolve.Answer{}, &resolve.Error{Question: q, Kind: resolve.ServFail}
			}
		}
		return r.Lookup(ctx, q)
	})
}

type lookupFunc func(context.Context, resolve.Question) (resolve.Answer, error)

func (f lookupFunc) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	return f(ctx, q)
}

// D5: a DNS answer that is withheld lowers nothing: the host is skipped. The
// server would take the message in plaintext.
func TestDANEAnswersWithheld(t *testing.T) {
	for _, publisher := range []string{"dane", "dane-only", "dane by insecure MX"} {
		withPublished(t, publisher, func(t *testing.T, w *world, _ *tls.Certificate) {
			w.net["192.0.2.10:25"].Close()
			w.net["192.0.2.10:25"] = &smtptest.Server{Extensions: pipelined}
			w.client.Resolver = failFor(w.dns, tlsaOfMX)
			w.another(t, "deferred policy 4.7.5")
			w.mx(20, &smtptest.Server{})
			w.client.Cache = &cache.Memory{}
			if publisher != "dane-only" {
				w.another(t, delivered) // D5: by the next host
			}
		})
	}
}

// D9, D7: TLSA records that do not fit, or that only ask for TLS, and the next host.
func TestDANEVerdicts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ca := newAuthority(t)
		genuine, other := ca.leaf("mx10.example.net", time.Hour), ca.leaf("mx10.example.net", time.Hour)
		w.mx(10, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*other}}})
		w.secure(key(t, genuine))
		w.another(t, "deferred starttls 4.7.5")
		w.secure(key(t, genuine), key(t, other))
		w.another(t, delivered)
		unusable := key(t, genuine)
		unusable.Usage = 1
		w.secure(unusable)
		if s := w.another(t, delivered).TLS; s.Reached != tlspolicy.Encrypt {
			t.Errorf("unusable records: %+v", s)
		}
		w.client.TLS = tlspolicy.DANEOnly
		w.another(t, "deferred policy 4.7.5")
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: pipelined})
		w.secure(resolve.TLSA{Usage: 1, Selector: 1, MatchingType: 1, Data: make([]byte, 32)})
		w.another(t, "deferred starttls 4.7.4") // D7: no plaintext
		delete(w.dns, tlsaOfMX)
		w.another(t, delivered) // D6
	})
}

// While a policy is cached nothing that is done to DNS and web server lowers it
// (S2, S5, S18), nor does another policy without another id. Without the cache the
// domain is met for the first time, and who can withhold its record gets the mail:
// that is what an emptied cache loses (RFC 8461, Section 10.2).
func TestMTASTSCachedPolicyBinds(t *testing.T) {
	for name, attack := range map[string]func(w *world, s *tlspolicy.MTASTS){
		"TXT withheld": func(w *world, _ *tlspolicy.MTASTS) { w.client.Resolver = failFor(w.dns, stsOfNet) },
		"TXT removed":  func(w *world, _ *tlspolicy.MTASTS) { delete(w.dns, stsOfNet) },
		"HTTPS blocked, id changed": func(w *world, s *tlspolicy.MTASTS) {
			w.dns[stsOfNet] = resolve.Answer{TXT: []string{"v=STSv1; id=2;"}}
			delete(w.dns, policyHosts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPublished(t, "mta-sts", func(t *testing.T, w *world, _ *tls.Certificate) {
				w.another(t, delivered)
				w.net["192.0.2.10:25"].Close()
				w.gone = append(w.gone, w.net["192.0.2.10:25"])
				w.net["192.0.2.10:25"] = &smtptest.Server{Extensions: pipelined}
				attack(w, nil)
				for range 3 {
					w.another(t, "deferred starttls 4.7.4")
					time.Sleep(23 * time.Hour)
				}
				w.client.Cache = &cache.Memory{}
				w.another(t, delivered)
			})
		})
	}
}

// S13, S14, S15: hosts that the policy does not name or that do not fit, and the
// next one.
func TestMTASTSVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy string
		server *smtptest.Server
		want   string // with one host
		next   string // with another one, which fits
	}{
		{"S13 not named", "version: STSv1\nmode: enforce\nmx: mx20.example.net\nmax_age: 604800\n", &smtptest.Server{}, "deferred policy 4.7.5", delivered},
		{"S14 no STARTTLS", enforced, &smtptest.Server{Extensions: pipelined}, "deferred starttls 4.7.4", delivered},
		{"S14 certificate of a stranger", enforced, &smtptest.Server{}, "deferred starttls 4.7.5", delivered},
		{"S15 no STARTTLS", "version: STSv1\nmode: testing\nmx: mx20.example.net\nmax_age: 604800\n", &smtptest.Server{Extensions: pipelined}, delivered, delivered},
		{"S16 mode none", "version: STSv1\nmode: none\nmax_age: 604800\n", &smtptest.Server{Extensions: pipelined}, delivered, delivered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				ca := newAuthority(t)
				source, close := w.sts(ca, tt.policy)
				defer close()
				w.client.TLS = tlspolicy.Sources{source, tlspolicy.May}
				w.client.Cache = &cache.Memory{}
				w.mx(10, tt.server)
				w.another(t, tt.want)
				w.mx(20, &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*ca.leaf("mx20.example.net", time.Hour)}}})
				w.client.Cache = &cache.Memory{}
				w.another(t, tt.next)
			})
		})
	}
}

// REQUIRETLS takes the word of an MTA-STS policy for the host where there is no
// DNSSEC, but not that of a policy in mode testing (RFC 8689, Section 4.2.1).
func TestMTASTSVouchesForHost(t *testing.T) {
	for mode, want := range map[string]string{"enforce": delivered, "testing": "failed mail 5.7.10"} {
		inWorld(t, func(t *testing.T, w *world) {
			ca := newAuthority(t)
			source, close := w.sts(ca, "version: STSv1\nmode: "+mode+"\nmx: mx10.example.net\nmax_age: 604800\n")
			defer close()
			w.client.Cache = &cache.Memory{}
			w.client.TLS = tlspolicy.Sources{source, tlspolicy.Policy{Level: tlspolicy.Verify, Roots: ca.roots()}}
			w.mx(10, &smtptest.Server{Extensions: []string{"STARTTLS", "REQUIRETLS"},
				TLSConfig: &tls.Config{Certificates: []tls.Certificate{*ca.leaf("mx10.example.net", time.Hour)}}})
			env := fromAnn("bob@example.net")
			env.TLS = tlspolicy.EveryHop
			expect(t, w.deliver(t.Context(), env, hello), "bob@example.net "+want)
		})
	}
}

// Level DANE alone leaves servers without TLSA records to opportunistic TLS, and
// DANEOnly leaves them alone.
func TestDANEWithoutRecords(t *testing.T) {
	for level, want := range map[tlspolicy.Level]string{tlspolicy.DANE: delivered, tlspolicy.DANEOnly: "deferred policy 4.7.5"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{Extensions: pipelined})
			w.secure()
			w.client.TLS = level
			w.another(t, want)
		})
	}
}

// What was published and does not count is a result of each attempt, and of the
// report: S5, S10, S13 in mode testing (S15), D7. The mail goes.
func TestResultsOfPublished(t *testing.T) {
	const trial = "version: STSv1\nmode: testing\nmx: mx20.example.net\nmax_age: 604800\n"
	unusable := resolve.TLSA{Usage: 1, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}
	for want, publish := range map[string]func(w *world, ca *authority) (close func()){
		"sts-policy-invalid": func(w *world, ca *authority) func() {
			source, close := w.sts(ca, "no policy")
			w.client.TLS = tlspolicy.Sources{tlspolicy.DANE, source, tlspolicy.May}
			return close
		},
		"sts-policy-fetch-error": func(w *world, ca *authority) func() {
			source, close := w.sts(ca, enforced)
			delete(w.dns, policyHosts)
			w.client.TLS = tlspolicy.Sources{tlspolicy.DANE, source, tlspolicy.May}
			return close
		},
		"validation-failure": func(w *world, ca *authority) func() {
			source, close := w.sts(ca, trial)
			w.client.TLS = tlspolicy.Sources{tlspolicy.DANE, source, tlspolicy.May}
			return close
		},
		"tlsa-invalid": func(w *world, _ *authority) func() {
			w.secure(unusable)
			w.client.TLS = tlspolicy.Default()
			return func() {}
		},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			results := &recorder{}
			w.client.TLSResults = results
			w.mx(10, &smtptest.Server{})
			defer publish(w, newAuthority(t))()
			o := w.another(t, delivered)
			if results.String() != want || o.TLS.Failure != want || o.TLS.Reached != tlspolicy.Encrypt {
				t.Fatalf("results %q, in the report %+v; want %s", results, o.TLS, want)
			}
			if r := results.all[0]; r.Reason == "" || r.Published.Type == "" || r.Host != "mx10.example.net" {
				t.Errorf("%+v", r)
			}
		})
	}
}
