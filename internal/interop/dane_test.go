package interop

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// What comes of a delivery at level dane.
const (
	matched   = "matched"   // the server fits its TLSA records
	half      = "half"      // it does, but an insecure MX record named it
	encrypted = "encrypted" // TLS, with nothing to verify
	refused   = "refused"   // it does not fit its TLSA records: no mail
	skipped   = "skipped"   // a lookup failed: the server is not even asked
)

// daneCase is the domain NAME.dane.test, or one of the zone that it names, with
// the mail exchanger mx below it.
type daneCase struct {
	name    string
	records string // in the zone, where PORT is that of the server and mx.NAME has an address
	zone    string // "": dane.test
	chain   chain  // that the server shows
	want    string
	// ldns is what ldns-dane says of host and chain: "good", "bad", or "" where
	// it is not asked. It knows neither domains nor aliases, no authority that
	// was not sent, and takes records of PKIX for usable, and their absence for a
	// reason to trust the authorities of this machine.
	ldns string
}

// chain is what a server shows, and what TLSA records are made of.
type chain struct {
	leaf  *Certificate
	above []*x509.Certificate
}

func (c chain) pem(a *Authority) []byte {
	text := c.leaf.Chain
	if c.above != nil {
		text = append(append([]byte(nil), text...), a.PEM()...)
	}
	return text
}

// tlsa is the data of a record.
func tlsa(usage, selector, matching int, cert *x509.Certificate) string {
	data := cert.Raw
	if selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return fmt.Sprintf("TLSA %d %d %d %s", usage, selector, matching, hex.EncodeToString(data))
}

// daneCases makes the certificates, too.
func daneCases(t *testing.T, a *Authority) []daneCase {
	issue := func(name string, kind Kind) chain {
		c, err := a.Issue(name, kind)
		present(t, err)
		return chain{leaf: c}
	}
	full := func(c chain) chain {
		c.above = []*x509.Certificate{a.Root}
		return c
	}
	plain, other := issue("mx.elsewhere.test", 0), issue("mx.other.test", 0)
	expired := issue("mx.expired.dane.test", Expired)
	at := func(name, data string) string { return fmt.Sprintf("_PORT._tcp.%s %s\n", name, data) }
	key := tlsa(3, 1, 1, plain.leaf.Leaf)
	root := tlsa(2, 0, 1, a.Root)
	return []daneCase{
		{name: "ee311", records: at("mx.ee311", key), chain: plain, want: matched, ldns: "good"},
		{name: "ee301", records: at("mx.ee301", tlsa(3, 0, 1, plain.leaf.Leaf)), chain: plain, want: matched, ldns: "good"},
		{name: "ee312", records: at("mx.ee312", tlsa(3, 1, 2, plain.leaf.Leaf)), chain: plain, want: matched, ldns: "good"},
		{name: "ee300", records: at("mx.ee300", tlsa(3, 0, 0, plain.leaf.Leaf)), chain: plain, want: matched, ldns: "good"},
		{name: "ee310", records: at("mx.ee310", tlsa(3, 1, 0, plain.leaf.Leaf)), chain: plain, want: matched, ldns: "good"},
		{name: "expired", records: at("mx.expired", tlsa(3, 1, 1, expired.leaf.Leaf)), chain: expired, want: matched, ldns: "good"},
		{name: "rollover", records: at("mx.rollover", tlsa(3, 1, 1, other.leaf.Leaf)) + at("mx.rollover", key), chain: plain, want: matched, ldns: "good"},
		{name: "mismatch", records: at("mx.mismatch", tlsa(3, 1, 1, other.leaf.Leaf)), chain: plain, want: refused, ldns: "bad"},

		{name: "ta201", records: at("mx.ta201", root), chain: full(issue("mx.ta201.dane.test", 0)), want: matched, ldns: "good"},
		{name: "ta211", records: at("mx.ta211", tlsa(2, 1, 1, a.Root)), chain: full(issue("mx.ta211.dane.test", 0)), want: matched, ldns: "good"},
		{name: "ta200", records: at("mx.ta200", tlsa(2, 0, 0, a.Root)), chain: issue("mx.ta200.dane.test", 0), want: matched},
		{name: "ta210", records: at("mx.ta210", tlsa(2, 1, 0, a.Root)), chain: issue("mx.ta210.dane.test", 0), want: matched, ldns: "good"},
		{name: "tadomain", records: at("mx.tadomain", root), chain: full(issue("tadomain.dane.test", 0)), want: matched},
		{name: "tanotsent", records: at("mx.tanotsent", root), chain: issue("mx.tanotsent.dane.test", 0), want: refused, ldns: "bad"},
		{name: "taname", records: at("mx.taname", root), chain: full(issue("mx.elsewhere.test", 0)), want: refused, ldns: "bad"},
		{name: "taexpired", records: at("mx.taexpired", root), chain: full(issue("mx.taexpired.dane.test", Expired)), want: refused, ldns: "bad"},
		{name: "tashared", records: "_PORT._tcp.mx.tashared CNAME ta._dane\nta._dane " + root + "\n", chain: full(issue("mx.tashared.dane.test", 0)), want: matched, ldns: "good"},

		{name: "unusable", records: at("mx.unusable", tlsa(1, 1, 1, plain.leaf.Leaf)), chain: plain, want: encrypted},
		{name: "malformed", records: at("mx.malformed", "TLSA 3 1 1 0123456789"), chain: plain, want: encrypted},
		{name: "selector9", records: at("mx.selector9", strings.Replace(key, "3 1 1", "3 9 1", 1)), chain: plain, want: encrypted},
		{name: "matching9", records: at("mx.matching9", strings.Replace(key, "3 1 1", "3 1 9", 1)), chain: plain, want: encrypted},
		{name: "mixed", records: at("mx.mixed", tlsa(1, 1, 1, other.leaf.Leaf)) + at("mx.mixed", key), chain: plain, want: matched, ldns: "good"},
		{name: "mixedbad", records: at("mx.mixedbad", tlsa(1, 1, 1, plain.leaf.Leaf)) + at("mx.mixedbad", tlsa(3, 1, 1, other.leaf.Leaf)), chain: plain, want: refused},
		{name: "agility", records: at("mx.agility", key) + at("mx.agility", tlsa(3, 1, 2, other.leaf.Leaf)), chain: plain, want: refused, ldns: "bad"},
		{name: "agile", records: at("mx.agile", tlsa(3, 1, 1, other.leaf.Leaf)) + at("mx.agile", tlsa(3, 1, 2, plain.leaf.Leaf)), chain: plain, want: matched, ldns: "good"},

		{name: "none", chain: plain, want: encrypted},
		{name: "bogus", chain: plain, want: skipped, ldns: "bad"},
		{name: "lame", chain: plain, want: skipped, ldns: "bad"},
		{name: "unsigned", chain: plain, want: encrypted},
		{name: "weak", zone: "weak.test", records: at("mx.weak", tlsa(3, 1, 1, other.leaf.Leaf)), chain: plain, want: encrypted},
		{name: "weakmx", zone: "weak.test", records: "weakmx MX 10 mx.ee311.dane.test.\n", chain: plain, want: half},
		{name: "weakmxbad", zone: "weak.test", records: "weakmxbad MX 10 mx.mismatch.dane.test.\n", chain: plain, want: refused},

		{name: "alias", records: "alias MX 10 a.alias\na.alias CNAME mx.ee311\n" + at("a.alias", tlsa(3, 1, 1, other.leaf.Leaf)), chain: plain, want: matched},
		{name: "aliasonly", records: "aliasonly MX 10 a.aliasonly\na.aliasonly CNAME mx.none\n" + at("a.aliasonly", key), chain: plain, want: matched},
		{name: "aliasbad", records: "aliasbad MX 10 a.aliasbad\na.aliasbad CNAME mx.mismatch\n" + at("a.aliasbad", key), chain: plain, want: refused},
		{name: "aliasout", records: "aliasout MX 10 a.aliasout\na.aliasout CNAME mx.weak.weak.test.\n" + at("a.aliasout", key), chain: plain, want: matched},
		{name: "aliasoutbad", records: "aliasoutbad MX 10 a.aliasoutbad\na.aliasoutbad CNAME mx.weak.weak.test.\n" + at("a.aliasoutbad", tlsa(3, 1, 1, other.leaf.Leaf)), chain: plain, want: refused},
		{name: "aliasbogus", records: "aliasbogus MX 10 a.aliasbogus\na.aliasbogus CNAME mx.bogus\n" + at("a.aliasbogus", key), chain: plain, want: skipped},
	}
}

func (c daneCase) domain() string {
	if c.zone != "" {
		return c.name + "." + c.zone
	}
	return c.name + ".dane.test"
}

// daneWorld is Postfix with a door for each case, and unbound at port 53.
type daneWorld struct {
	*Postfix
	authority *Authority
	cases     []daneCase
}

func newDANEWorld(t *testing.T) *daneWorld {
	a, err := NewAuthority("an authority")
	present(t, err)
	w := &daneWorld{authority: a, cases: daneCases(t, a)}
	var master strings.Builder
	for n, c := range w.cases {
		fmt.Fprintf(&master, "%s:PORT inet n - n - - smtpd\n  -o smtpd_tls_chain_files=DIR/%s.pem\n", w.door(n), c.name)
	}
	w.Postfix = ownPostfix(t, PostfixSettings{Master: master.String(), Main: "relay_domains = dane.test, weak.test\nrelay_transport = discard:\n"})
	for _, c := range w.cases {
		file := append(append([]byte(nil), c.chain.leaf.Key...), c.chain.pem(a)...)
		present(t, os.WriteFile(filepath.Join(w.dir, c.name+".pem"), file, 0o600))
		present(t, os.WriteFile(filepath.Join(w.dir, c.name+".chain"), c.chain.pem(a), 0o600))
	}
	signedUnbound(t, ValidatingConfig{Port: 53, Zones: w.zones()})
	return w
}

func (w *daneWorld) door(n int) string { return fmt.Sprintf("127.0.2.%d", n+1) }

func (w *daneWorld) zones() []SignedZone {
	text := map[string]*strings.Builder{"dane.test": {}, "weak.test": {}}
	for n, c := range w.cases {
		b := text["dane.test"]
		if c.zone != "" {
			b = text[c.zone]
		}
		fmt.Fprintf(b, "mx.%s A %s\n", c.name, w.door(n))
		if !strings.Contains(c.records, " MX ") {
			fmt.Fprintf(b, "%s MX 10 mx.%s\n", c.name, c.name)
		}
		b.WriteString(strings.ReplaceAll(c.records, "PORT", fmt.Sprint(w.Port)))
	}
	return []SignedZone{
		{Name: "dane.test", Text: text["dane.test"].String()},
		{Name: "weak.test", Text: text["weak.test"].String(), State: Insecure},
		{Name: "_tcp.mx.bogus.dane.test", Text: fmt.Sprintf("_%d TLSA 3 1 1 00\n", w.Port), State: Bogus},
		{Name: "_tcp.mx.lame.dane.test", State: Lame},
		{Name: "_tcp.mx.unsigned.dane.test", State: Insecure},
	}
}

// ours is what Postrider comes to, by a delivery.
func (w *daneWorld) ours(t *testing.T, c daneCase) string {
	t.Helper()
	client := &smtpclient.Client{
		LocalName: "client.example.org",
		Resolver:  &resolve.DNS{Servers: []string{"127.0.0.1"}},
		Routing:   resolve.Routing{Local: true, Port: w.Port},
		TLS:       tlspolicy.Sources{tlspolicy.DANE, tlspolicy.May},
		Cache:     cache.None,
	}
	o := deliver(t, client, simple(c.name), "bob@"+c.domain()).Outcomes[0]
	switch {
	case o.Status == smtpclient.Delivered && o.TLS.Verified != "" && o.TLS.Reached == tlspolicy.DANE:
		return matched
	case o.Status == smtpclient.Delivered && o.TLS.Wanted == tlspolicy.DANE && o.TLS.Verified == "":
		return half
	case o.Status == smtpclient.Delivered && o.TLS.Reached == tlspolicy.Encrypt:
		return encrypted
	case o.Status == smtpclient.Deferred && o.Stage == smtpclient.StageStartTLS:
		return refused
	case o.Status == smtpclient.Deferred && o.Stage == smtpclient.StagePolicy:
		return skipped
	}
	return fmt.Sprintf("%v at %v: %v", o.Status, o.Stage, o.Err())
}

// run runs a program of the machine, and gives what it wrote.
func (w *daneWorld) run(t *testing.T, program, debianPackage string, args ...string) (string, error) {
	t.Helper()
	path, err := find(program, debianPackage)
	present(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+w.dir)
	out, err := cmd.CombinedOutput()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	return string(out), err
}

// posttlsFinger is what Postfix comes to, as its tool tells it.
func (w *daneWorld) posttlsFinger(t *testing.T, c daneCase) (verdict, output string) {
	t.Helper()
	out, _ := w.run(t, "posttls-finger", "postfix", "-l", "dane", fmt.Sprintf("%s:%d", c.domain(), w.Port))
	for _, found := range []struct{ words, verdict string }{
		{"TLSA lookup error", skipped},
		{"server certificate verification failed", refused}, // at other levels the first word is missing
		{"Verified TLS connection established", matched},
		{"Trusted TLS connection established", half},
		{"Untrusted TLS connection established", encrypted},
	} {
		if strings.Contains(out, found.words) {
			return found.verdict, out
		}
	}
	return "no verdict", out
}

// ldnsDANE is what ldns-dane says of host and chain. It looks at names also where
// the record is one of the server's own certificate, if it is not told otherwise.
func (w *daneWorld) ldnsDANE(t *testing.T, c daneCase) (verdict, output string) {
	t.Helper()
	args := []string{"-c", filepath.Join(w.dir, c.name+".chain"), "verify", "mx." + c.domain(), fmt.Sprint(w.Port)}
	if !strings.Contains(c.records, "TLSA 2 ") {
		args = append([]string{"-n"}, args...)
	}
	out, err := w.run(t, "ldns-dane", "ldnsutils", args...)
	switch {
	case err == nil && strings.Contains(out, "dane-validated successfully"):
		return "good", out
	case err != nil && !strings.Contains(out, "PKIX validation without DANE") && (strings.Contains(out, "did not dane-validate") || strings.Contains(out, "bogus")):
		return "bad", out
	}
	return "no verdict", out
}

// TestDANE holds the verdicts over real unbound, with real Postfix, also those of
// examples/tlsprobe, against those of posttls-finger and ldns-dane.
func TestDANE(t *testing.T) {
	if !alone(t) {
		return
	}
	w := newDANEWorld(t)
	probe := built(t, "tlsprobe")
	for _, c := range w.cases {
		t.Run(c.name, func(t *testing.T) {
			if got := w.ours(t, c); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got, out := w.posttlsFinger(t, c); got != c.want {
				t.Errorf("posttls-finger comes to %s, want %s:\n%s", got, c.want, out)
			}
			if got, out := w.tlsprobe(t, probe, c); got != c.want {
				t.Errorf("tlsprobe comes to %s, want %s:\n%s", got, c.want, out)
			}
			if c.ldns == "" {
				return
			}
			if got, out := w.ldnsDANE(t, c); got != c.ldns {
				t.Errorf("ldns-dane comes to %s, want %s:\n%s", got, c.ldns, out)
			}
		})
	}
}
