package tlspolicy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// issued is a certificate with its key and those above it.
type issued struct {
	cert  *x509.Certificate
	key   crypto.Signer
	above []*x509.Certificate // without the root
}

// The clock of a synctest bubble starts in 2000.
var (
	longAgo = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	farOff  = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// issue makes a certificate; nil by: it signs itself. change may change what is in
// it.
func issue(t testing.TB, by *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{SerialNumber: serial, NotBefore: longAgo, NotAfter: farOff, BasicConstraintsValid: true}
	change(template)
	out := &issued{key: key}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
		out.above = append([]*x509.Certificate{by.cert}, by.above...)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if out.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return out
}

// newIssuer makes an authority; nil by: a root.
func newIssuer(t testing.TB, by *issued, name string) *issued {
	t.Helper()
	return issue(t, by, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	})
}

// leaf makes the certificate of a server.
func (a *issued) leaf(t testing.TB, names ...string) *issued {
	t.Helper()
	return issue(t, a, func(c *x509.Certificate) { c.DNSNames = names })
}

func (a *issued) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// tls is what a server shows.
func (a *issued) tls() tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}
	for _, cert := range a.above {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}
