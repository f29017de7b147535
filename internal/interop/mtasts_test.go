package interop

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// stsCase is the domain NAME.sts.test with the mail exchanger mx below it. Its
// policy is at https://mta-sts.NAME.sts.test, port 443.
type stsCase struct {
	name     string
	mode     string // "": there is no policy, only the record
	mx       string // that the policy names; "": the one there is
	stranger bool   // the policy host has a certificate that nobody trusts
	good     bool   // the mail exchanger has a certificate for its name
	want     string // "verified", "encrypted", "refused" or "skipped"
}

var stsCases = []stsCase{
	{name: "enforced", mode: "enforce", good: true, want: "verified"},
	{name: "wildcard", mode: "enforce", mx: "*.wildcard.sts.test", good: true, want: "verified"},
	{name: "badcert", mode: "enforce", want: "refused"},
	{name: "badhost", mode: "enforce", mx: "other.sts.test", good: true, want: "skipped"},
	{name: "trial", mode: "testing", mx: "other.sts.test", want: "encrypted"},
	{name: "off", mode: "none", want: "encrypted"},
	{name: "gone", want: "encrypted"},
	{name: "forged", mode: "enforce", stranger: true, want: "encrypted"},
}

// TestMTASTS delivers to real Postfix by policies that come from a web server at
// port 443, found by real unbound.
func TestMTASTS(t *testing.T) {
	if !alone(t) {
		return
	}
	ca, err := NewAuthority("an authority")
	present(t, err)
	p, zone := stsPostfix(t, ca)
	signedUnbound(t, ValidatingConfig{Port: 53, Zones: []SignedZone{{Name: "sts.test", Text: zone, State: Insecure}}})
	serveSTS(t, ca)
	sts := &tlspolicy.MTASTS{Roots: ca.Roots(), Local: true}
	for _, c := range stsCases {
		t.Run(c.name, func(t *testing.T) {
			client := &smtpclient.Client{
				LocalName: "client.example.org",
				Resolver:  &resolve.DNS{Servers: []string{"127.0.0.1"}},
				Routing:   resolve.Routing{Local: true, Port: p.Port},
				TLS:       tlspolicy.Sources{tlspolicy.DANE, sts, tlspolicy.May},
				Cache:     &cache.Memory{},
			}
			o := deliver(t, client, simple(c.name), "bob@"+c.name+".sts.test").Outcomes[0]
			if got := stsVerdict(o); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func stsVerdict(o smtpclient.Outcome) string {
	switch {
	case o.Status == smtpclient.Delivered && o.TLS.Verified == "pkix":
		return "verified"
	case o.Status == smtpclient.Delivered && o.TLS.Reached == tlspolicy.Encrypt:
		return "encrypted"
	case o.Status == smtpclient.Deferred && o.Stage == smtpclient.StageStartTLS:
		return "refused"
	case o.Status == smtpclient.Deferred && o.Stage == smtpclient.StagePolicy:
		return "skipped"
	}
	return fmt.Sprintf("%v at %v: %v", o.Status, o.Stage, o.Err())
}

// stsPostfix has a door for each domain, and gives their zone.
func stsPostfix(t *testing.T, ca *Authority) (p *Postfix, zone string) {
	var master, text strings.Builder
	for n, c := range stsCases {
		door := fmt.Sprintf("127.0.3.%d", n+1)
		fmt.Fprintf(&master, "%s:PORT inet n - n - - smtpd\n  -o smtpd_tls_chain_files=DIR/%s.pem\n", door, c.name)
		fmt.Fprintf(&text, "%[1]s MX 10 mx.%[1]s\nmx.%[1]s A %[2]s\nmta-sts.%[1]s A 127.0.0.1\n_mta-sts.%[1]s TXT \"v=STSv1; id=1;\"\n", c.name, door)
	}
	p = ownPostfix(t, PostfixSettings{Master: master.String(), Main: "relay_domains = sts.test\nrelay_transport = discard:\n"})
	for _, c := range stsCases {
		name := "mx." + c.name + ".sts.test"
		if !c.good {
			name = "elsewhere.test"
		}
		cert, err := ca.Issue(name, 0)
		present(t, err)
		present(t, os.WriteFile(filepath.Join(p.dir, c.name+".pem"), cert.File(), 0o600))
	}
	return p, text.String()
}

// serveSTS is the policy host of all domains.
func serveSTS(t *testing.T, ca *Authority) {
	stranger, err := NewAuthority("a stranger")
	present(t, err)
	certs := make(map[string]*tls.Certificate)
	policies := make(map[string]string)
	for _, c := range stsCases {
		host, by, mx := "mta-sts."+c.name+".sts.test", ca, c.mx
		if c.stranger {
			by = stranger
		}
		if mx == "" {
			mx = "mx." + c.name + ".sts.test"
		}
		issued, err := by.Issue(host, 0)
		present(t, err)
		pair, err := issued.Pair()
		present(t, err)
		certs[host] = &pair
		if c.mode != "" {
			policies[host] = "version: STSv1\r\nmode: " + c.mode + "\r\nmx: " + mx + "\r\nmax_age: 86400\r\n"
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:443")
	present(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		policy, ok := policies[r.Host]
		if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, policy)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(tls.NewListener(listener, &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certs[hello.ServerName], nil
		}}))
	}()
	t.Cleanup(func() { server.Close(); <-done })
}
