package tlspolicy_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// record makes a TLSA record of a certificate.
func record(usage, selector, matching uint8, cert *x509.Certificate) resolve.TLSA {
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
	return resolve.TLSA{Usage: usage, Selector: selector, MatchingType: matching, Data: data}
}

// handshake is a handshake in which the server showed certificates.
func handshake(certs ...*x509.Certificate) tls.ConnectionState {
	return tls.ConnectionState{PeerCertificates: certs}
}

// pki are the certificates of the vectors. The server's chain is leaf, inter,
// root.
type pki struct{ root, inter, leaf, other, stranger *issued }

func newPKI(t testing.TB) pki {
	p := pki{root: newIssuer(t, nil, "root"), stranger: newIssuer(t, nil, "stranger")}
	p.inter = newIssuer(t, p.root, "intermediate")
	p.leaf = p.inter.leaf(t, "mx.example.net")
	p.other = p.inter.leaf(t, "www.example.net")
	return p
}

func expired(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames, c.NotAfter = names, longAgo.AddDate(1, 0, 0) }
}

// What fits which records: usages, selectors and matching types, names and dates.
func TestDANEVectors(t *testing.T) {
	p := newPKI(t)
	leaf, inter, root := p.leaf.cert, p.inter.cert, p.root.cert
	chain := []*x509.Certificate{leaf, inter, root}
	oldLeaf := issue(t, p.inter, expired("mx.example.net")).cert
	oldRoot := issue(t, nil, func(c *x509.Certificate) {
		expired()(c)
		c.Subject.CommonName, c.IsCA = "old", true
	})
	noAuthority := issue(t, p.root, func(c *x509.Certificate) { c.Subject.CommonName = "no authority" })
	narrow := issue(t, p.root, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "narrow"}
		c.IsCA, c.MaxPathLenZero = true, true
	})
	below := newIssuer(t, narrow, "below")
	onlyCN := issue(t, p.inter, func(c *x509.Certificate) { c.Subject.CommonName = "mx.example.net" }).cert
	cnBesideSAN := issue(t, p.inter, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = "mx.example.net", []string{"www.example.net"}
	}).cert
	forClients := issue(t, p.inter, func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{"mx.example.net"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}).cert
	alone := issue(t, nil, func(c *x509.Certificate) { c.DNSNames = []string{"mx.example.net"} }).cert
	pathless := below.leaf(t, "mx.example.net").cert

	for _, tt := range []struct {
		name    string
		chain   []*x509.Certificate
		records []resolve.TLSA
		proof   string // "": it does not fit
	}{
		{"3 0 0", chain, records(record(3, 0, 0, leaf)), "dane-ee"},
		{"3 0 1", chain, records(record(3, 0, 1, leaf)), "dane-ee"},
		{"3 0 2", chain, records(record(3, 0, 2, leaf)), "dane-ee"},
		{"3 1 0", chain, records(record(3, 1, 0, leaf)), "dane-ee"},
		{"3 1 1", chain, records(record(3, 1, 1, leaf)), "dane-ee"},
		{"3 1 2", chain, records(record(3, 1, 2, leaf)), "dane-ee"},
		{"3 1 1 of a self-signed one", []*x509.Certificate{alone}, records(record(3, 1, 1, alone)), "dane-ee"},
		{"T13 3 1 1 expired", []*x509.Certificate{oldLeaf}, records(record(3, 1, 1, oldLeaf)), "dane-ee"},
		{"T14 3 1 1 of another name", []*x509.Certificate{p.other.cert}, records(record(3, 1, 1, p.other.cert)), "dane-ee"},
		{"D9 3 1 1 of another key", chain, records(record(3, 1, 1, p.other.cert)), ""},
		{"3 1 1 of the authority", chain, records(record(3, 1, 1, inter)), ""},
		{"3 0 1 with the digest of the key", chain, records(resolve.TLSA{Usage: 3, MatchingType: 1, Data: record(3, 1, 1, leaf).Data}), ""},
		{"rollover: old and new", chain, records(record(3, 1, 1, p.other.cert), record(3, 1, 1, leaf)), "dane-ee"},

		{"2 0 1 root", chain, records(record(2, 0, 1, root)), "dane-ta"},
		{"2 0 2 root", chain, records(record(2, 0, 2, root)), "dane-ta"},
		{"2 1 1 root", chain, records(record(2, 1, 1, root)), "dane-ta"},
		{"2 0 1 intermediate", chain, records(record(2, 0, 1, inter)), "dane-ta"},
		{"2 0 1 intermediate, no root sent", chain[:2], records(record(2, 0, 1, inter)), "dane-ta"},
		{"2 1 1 intermediate, no root sent", chain[:2], records(record(2, 1, 1, inter)), "dane-ta"},
		{"D10 2 0 1 root not sent", chain[:2], records(record(2, 0, 1, root)), ""},
		{"D10 2 0 1 intermediate not sent", []*x509.Certificate{leaf}, records(record(2, 0, 1, inter)), ""},
		{"D10 intermediate missing", []*x509.Certificate{leaf, root}, records(record(2, 0, 1, root)), ""},
		{"2 0 0 root, sent", chain, records(record(2, 0, 0, root)), "dane-ta"},
		{"2 0 0 root, not sent", chain[:2], records(record(2, 0, 0, root)), "dane-ta"},
		{"2 0 0 intermediate, nothing sent", []*x509.Certificate{leaf}, records(record(2, 0, 0, inter)), "dane-ta"},
		{"2 1 0 root, not sent", chain[:2], records(record(2, 1, 0, root)), "dane-ta"},
		{"2 1 0 intermediate, nothing sent", []*x509.Certificate{leaf}, records(record(2, 1, 0, inter)), "dane-ta"},
		{"2 1 0 of a stranger", chain[:2], records(record(2, 1, 0, p.stranger.cert)), ""},
		{"D10 2 0 1 expired leaf", []*x509.Certificate{oldLeaf, inter}, records(record(2, 0, 1, inter)), ""},
		{"D10 2 0 1 expired authority", []*x509.Certificate{oldRoot.leaf(t, "mx.example.net").cert, oldRoot.cert}, records(record(2, 0, 1, oldRoot.cert)), ""},
		{"D10 2 0 1 another name", []*x509.Certificate{p.other.cert, inter}, records(record(2, 0, 1, inter)), ""},
		{"2 0 1 name of the next hop", []*x509.Certificate{p.inter.leaf(t, "example.net").cert, inter}, records(record(2, 0, 1, inter)), "dane-ta"},
		{"T16 2 0 1 wildcard", []*x509.Certificate{p.inter.leaf(t, "*.example.net").cert, inter}, records(record(2, 0, 1, inter)), "dane-ta"},
		{"T16 2 0 1 part of a label", []*x509.Certificate{p.inter.leaf(t, "m*.example.net").cert, inter}, records(record(2, 0, 1, inter)), ""},
		{"T16 2 0 1 only CN", []*x509.Certificate{onlyCN, inter}, records(record(2, 0, 1, inter)), "dane-ta"},
		{"T16 2 0 1 CN beside SAN", []*x509.Certificate{cnBesideSAN, inter}, records(record(2, 0, 1, inter)), ""},
		{"2 0 1 for clients only", []*x509.Certificate{forClients, inter}, records(record(2, 0, 1, inter)), ""},
		{"2 0 1 no authority at all", []*x509.Certificate{noAuthority.leaf(t, "mx.example.net").cert, noAuthority.cert}, records(record(2, 0, 1, noAuthority.cert)), ""},
		{"2 0 1 path too long for the authority", []*x509.Certificate{pathless, below.cert, narrow.cert}, records(record(2, 0, 1, narrow.cert)), ""},
		{"2 0 1 of the leaf itself", []*x509.Certificate{alone}, records(record(2, 0, 1, alone)), ""},
		{"2 0 0 of the leaf itself", []*x509.Certificate{alone}, records(record(2, 0, 0, alone)), ""},
		{"2 0 1 of the leaf, sent twice", []*x509.Certificate{alone, alone}, records(record(2, 0, 1, alone)), ""},
		{"2 0 1 of an authority that signed nothing", append(chain[:3:3], p.stranger.cert), records(record(2, 0, 1, p.stranger.cert)), ""},
		{"2 0 1 and a 3 1 1 that fits", chain[:1], records(record(2, 0, 1, root), record(3, 1, 1, leaf)), "dane-ee"},
		{"2 0 1 that fits and a 3 1 1", chain, records(record(3, 1, 1, p.other.cert), record(2, 0, 1, root)), "dane-ta"},

		{"D8 unusable beside one that fits", chain, records(record(0, 0, 1, root), record(3, 1, 1, leaf)), "dane-ee"},
		{"D8 unusable that fits beside one that does not", chain, records(record(1, 0, 1, leaf), record(3, 1, 1, root)), ""},
		{"D13 SHA-512 fits, SHA-256 does not", chain, records(record(3, 1, 1, root), record(3, 1, 2, leaf)), "dane-ee"},
		{"D13 SHA-256 fits, SHA-512 does not", chain, records(record(3, 1, 1, leaf), record(3, 1, 2, root)), ""},
		{"D13 SHA-256 fits, SHA-512 of another selector does not", chain, records(record(3, 1, 1, leaf), record(3, 0, 2, root)), "dane-ee"},
		{"D13 SHA-256 fits, SHA-512 of another usage does not", chain, records(record(3, 1, 1, leaf), record(2, 1, 2, p.stranger.cert)), "dane-ee"},
		{"D13 SHA-256 fits, SHA-512 is malformed", chain, records(record(3, 1, 1, leaf), resolve.TLSA{Usage: 3, Selector: 1, MatchingType: 2, Data: []byte{1}}), "dane-ee"},
		{"D13 the whole key fits, SHA-512 does not", chain, records(record(3, 1, 0, leaf), record(3, 1, 2, root)), "dane-ee"},
		{"D7 nothing usable", chain, records(record(1, 0, 1, leaf)), ""},
		{"no certificate", nil, records(record(3, 1, 1, leaf)), ""},
	} {
		policy := tlspolicy.Policy{Level: tlspolicy.DANE, TLSA: tt.records, Names: []string{"mx.example.net", "example.net"}}
		proof, err := policy.Check(handshake(tt.chain...))
		if proof != tt.proof || (err == nil) != (tt.proof != "") {
			t.Errorf("%s: proof %q, %v; want %q", tt.name, proof, err, tt.proof)
		}
		if strings.HasSuffix(tt.name, "of a stranger") && !strings.Contains(err.Error(), "fits none of its TLSA records") {
			t.Errorf("%s: %q does not say what is wrong", tt.name, err)
		}
		if err != nil && tt.records[0].Usage == 3 && len(tt.chain) > 0 && !strings.Contains(err.Error(), "TLSA") {
			t.Errorf("%s: %q does not say what is wrong", tt.name, err)
		}
	}
}

func records(r ...resolve.TLSA) []resolve.TLSA { return r }

// Keys of every kind that a TLS server can have.
func TestDANEKeyOfAuthority(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	template := &x509.Certificate{SerialNumber: newPKI(t).root.cert.SerialNumber, Subject: pkix.Name{CommonName: "ed"},
		IsCA: true, BasicConstraintsValid: true, NotBefore: longAgo, NotAfter: farOff}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := x509.ParseCertificate(der)
	leaf := (&issued{cert: root, key: private}).leaf(t, "mx.example.net").cert
	policy := tlspolicy.Policy{Level: tlspolicy.DANEOnly, TLSA: records(record(2, 1, 0, root)), Names: []string{"mx.example.net"}}
	if proof, err := policy.Check(handshake(leaf)); proof != "dane-ta" {
		t.Errorf("proof %q, %v", proof, err)
	}
}

// Anything in a record is taken without harm, and a key that was not published
// never fits.
func FuzzTLSA(f *testing.F) {
	p := newPKI(f)
	for _, r := range []resolve.TLSA{record(2, 0, 0, p.root.cert), record(2, 1, 0, p.root.cert), record(3, 1, 1, p.other.cert), {Usage: 2}} {
		f.Add(r.Usage, r.Selector, r.MatchingType, r.Data)
	}
	leaf := p.stranger.leaf(f, "mx.example.net").cert
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		r := resolve.TLSA{Usage: usage, Selector: selector, MatchingType: matching, Data: data}
		for _, level := range []tlspolicy.Level{tlspolicy.DANE, tlspolicy.DANEOnly} {
			policy := tlspolicy.Policy{Level: level, TLSA: records(r), Names: []string{"mx.example.net"}}
			if proof, err := policy.Check(handshake(leaf, p.inter.cert)); err == nil {
				t.Fatalf("%v fits %v: %q", r, leaf.Subject, proof)
			}
		}
	})
}

// A certificate is judged by the time of the handshake.
func TestDANEDates(t *testing.T) {
	root := newIssuer(t, nil, "root")
	soon := issue(t, root, func(c *x509.Certificate) {
		c.DNSNames, c.NotBefore = []string{"mx.example.net"}, time.Now().Add(time.Hour)
	}).cert
	policy := tlspolicy.Policy{Level: tlspolicy.DANE, Names: []string{"mx.example.net"}, TLSA: records(record(2, 0, 1, root.cert))}
	if proof, err := policy.Check(handshake(soon, root.cert)); err == nil {
		t.Errorf("a certificate of tomorrow is %q", proof)
	}
	policy.TLSA = records(record(3, 0, 1, soon))
	if _, err := policy.Check(handshake(soon, root.cert)); err != nil {
		t.Errorf("DANE-EE has no dates, but: %v", err)
	}
}
