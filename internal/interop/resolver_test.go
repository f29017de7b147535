package interop

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
)

// mailZones lead to Postfix, more or less well.
func mailZones() []SignedZone {
	return []SignedZone{
		{Name: "example.test", Text: "@ MX 10 full\nfull A 127.0.0.1\n"},
		{Name: "bogus.test", Text: "@ MX 10 full.example.test.\nmx A 127.0.0.1\n", State: Bogus},
		{Name: "lame.test", State: Lame},
		{Name: "insecure.test", Text: "@ MX 10 mx.bogus.test.\nnohost MX 10 missing.bogus.test.\nlame MX 10 mx.lame.test.\n", State: Insecure},
	}
}

// What cannot be validated, or not be found out, waits; the recipient beside it is
// served.
func TestBogusIsDeferred(t *testing.T) {
	p := postfix(t)
	k, err := StartKnot(mailZones())
	present(t, err)
	t.Cleanup(k.Stop)
	for name, c := range map[string]ValidatingConfig{"unbound": {Zones: mailZones()}, "knot": {Authority: k}} {
		t.Run(name, func(t *testing.T) {
			client := clientFor(p, &Questions{Addr: signedUnbound(t, c).Addr})
			served := p.NewMailbox("example.test")
			report := deliver(t, client, simple("bogus"), served, "bob@bogus.test", "bob@insecure.test", "bob@nohost.insecure.test", "bob@lame.test", "bob@lame.insecure.test")
			for i, kind := range []resolve.ErrorKind{resolve.Bogus, resolve.Bogus, resolve.Bogus, resolve.ServFail, resolve.ServFail} {
				o := report.Outcomes[i+1]
				wantOutcome(t, o, smtpclient.Deferred, "4.4.3", smtpclient.StageResolve)
				var e *resolve.Error
				if !errors.As(o.Cause, &e) || e.Kind != kind {
					t.Errorf("%s: the cause is %v, want kind %d", o.Address, o.Cause, kind)
				}
			}
			if o := report.Outcomes[0]; o.Status != smtpclient.Delivered {
				t.Errorf("%s: %v, %v", o.Address, o.Status, o.Err())
			}
		})
	}
}

// A resolver that does not serve us knows nothing about the recipients, and nobody
// gets mail back for that, nor does it go anywhere else.
func TestRefusedNeverBounces(t *testing.T) {
	p := postfix(t)
	u := signedUnbound(t, ValidatingConfig{Zones: mailZones(), Refuses: true})
	client := clientFor(p, &Questions{Addr: u.Addr})
	for _, hops := range [][]string{nil, {"[full.example.test]"}, {"example.test"}} {
		client.NextHops = hops
		report := deliver(t, client, simple("refused"), "bob@example.test", "bob@missing.test", "bob@bogus.test")
		for _, o := range report.Outcomes {
			wantOutcome(t, o, smtpclient.Deferred, "4.4.3", smtpclient.StageResolve)
			var e *resolve.Error
			if !errors.As(o.Cause, &e) || e.Kind != resolve.Refused {
				t.Errorf("%v: the cause is %v, want REFUSED", hops, o.Cause)
			}
		}
	}
}

// An authoritative server knows its zones and refuses the rest: it is no resolver,
// and mail for others waits.
func TestAuthoritativeServerAlone(t *testing.T) {
	k, err := StartKnot(mailZones())
	present(t, err)
	t.Cleanup(k.Stop)
	r := &resolve.DNS{Servers: []string{k.Addr}}
	got, err := r.Lookup(t.Context(), resolve.Question{Name: "example.test", Type: resolve.TypeMX})
	if err != nil || len(got.MX) != 1 || got.Secure {
		t.Errorf("its own zone: got %+v, %v, want an MX that is not Secure", got, err)
	}
	got, err = r.Lookup(t.Context(), resolve.Question{Name: "missing.example.test", Type: resolve.TypeMX})
	if err != nil || !got.NoName {
		t.Errorf("no such name: got %+v, %v", got, err)
	}
	got, err = r.Lookup(t.Context(), resolve.Question{Name: "example.com", Type: resolve.TypeMX})
	var e *resolve.Error
	if !errors.As(err, &e) || e.Kind != resolve.Refused {
		t.Errorf("another's zone: got %+v, %v, want REFUSED", got, err)
	}
}

// A signed answer that does not fit comes by TCP, whole and still Secure.
func TestSignedAnswerByTCP(t *testing.T) {
	text := ""
	for i := range 60 {
		text += fmt.Sprintf("many MX %d another-mail-exchanger-with-a-long-name-%d\n", 10+i, i)
	}
	k, err := StartKnot([]SignedZone{{Name: "example.test", Text: text}})
	present(t, err)
	t.Cleanup(k.Stop)
	u := signedUnbound(t, ValidatingConfig{Authority: k})
	q, err := NewQuestions(u.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	r := &resolve.DNS{Servers: []string{q.Addr}}
	got, err := r.Lookup(t.Context(), resolve.Question{Name: "many.example.test", Type: resolve.TypeMX})
	if err != nil || len(got.MX) != 60 || !got.Secure {
		t.Errorf("got %d MX, Secure %v, %v", len(got.MX), got.Secure, err)
	}
	asked := q.Asked("many.example.test", uint16(resolve.TypeMX))
	if len(asked) != 2 || asked[0].Network != "udp" || !asked[0].Truncated || asked[1].Network != "tcp" || asked[1].Truncated {
		t.Errorf("asked %+v, want by UDP, truncated, then by TCP", asked)
	}
}

// DNS over TLS: the server has to prove its name before it is asked, and its AD
// bit counts as that of any other.
func TestDNSOverTLS(t *testing.T) {
	u := signedUnbound(t, ValidatingConfig{Zones: mailZones()})
	pem, err := os.ReadFile(u.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	server := "tls://" + u.TLSAddr
	question := resolve.Question{Name: "example.test", Type: resolve.TypeMX}

	r := &resolve.DNS{Servers: []string{server + "#" + u.TLSName}, TLSConfig: &tls.Config{RootCAs: roots}}
	if got, err := r.Lookup(t.Context(), question); err != nil || len(got.MX) != 1 || !got.Secure {
		t.Errorf("got %+v, %v, want a Secure MX", got, err)
	}
	if _, err := r.Lookup(t.Context(), resolve.Question{Name: "bogus.test", Type: resolve.TypeMX}); err == nil || !strings.Contains(err.Error(), "extended error") {
		t.Errorf("bogus: %v", err)
	}
	for _, unproven := range []string{server + "#other.example.test", server} {
		r := &resolve.DNS{Servers: []string{unproven}, TLSConfig: &tls.Config{RootCAs: roots}}
		if got, err := r.Lookup(t.Context(), question); err == nil {
			t.Errorf("%s: got %+v, want an error", unproven, got)
		}
	}
	plain := &resolve.DNS{Servers: []string{"tls://" + u.Addr + "#" + u.TLSName}, TLSConfig: &tls.Config{RootCAs: roots}, Timeout: 200 * time.Millisecond}
	if got, err := plain.Lookup(t.Context(), question); err == nil {
		t.Errorf("at a port without TLS: got %+v, want an error", got)
	}
}
