package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// Certificate says what is in the certificate that a Server shows. The zero
// value is good for whatever name the client asks for; if it asks for none, for
// the name and the address of the server.
type Certificate struct {
	// Names are the host names and IP addresses in it. nil: see above.
	Names []string
	// NotAfter is when it expires. Zero: in 2100.
	NotAfter time.Time
	// SelfSigned signs it with its own key, not with that of the authority in
	// Roots.
	SelfSigned bool
}

// authority makes certificates, and its own key only when the first is asked
// for. All are ECDSA P-256.
type authority struct {
	mu     sync.Mutex // guards all below
	key    *ecdsa.PrivateKey
	root   *x509.Certificate
	leaves map[string]*tls.Certificate // by their names, joined
}

// The times between which the certificates are good. The clock of a synctest
// bubble starts in 2000.
func notBefore() time.Time { return time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC) }
func notAfter() time.Time  { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	a.addTo(pool)
	return pool
}

func (a *authority) addTo(pool *x509.CertPool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ensureLocked() == nil {
		pool.AddCert(a.root)
	}
}

func (a *authority) ensureLocked() error {
	if a.root != nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("smtptest: make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "smtptest authority"},
		NotBefore:             notBefore(),
		NotAfter:              notAfter(),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("smtptest: make the authority: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("smtptest: make the authority: %w", err)
	}
	a.key, a.root, a.leaves = key, root, map[string]*tls.Certificate{}
	return nil
}

// issue gives the certificate that c describes, the same for the same names.
func (a *authority) issue(c Certificate) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.ensureLocked(); err != nil {
		return nil, err
	}
	id := strings.Join(c.Names, " ")
	if leaf := a.leaves[id]; leaf != nil {
		return leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("smtptest: make a key: %w", err)
	}
	template := leafTemplate(c, int64(len(a.leaves)+2))
	parent, signer := a.root, a.key
	chain := [][]byte{nil, a.root.Raw}
	if c.SelfSigned {
		parent, signer, chain = template, key, chain[:1]
	}
	chain[0], err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("smtptest: make a certificate for %s: %w", id, err)
	}
	leaf := &tls.Certificate{Certificate: chain, PrivateKey: key}
	a.leaves[id] = leaf
	return leaf, nil
}

func leafTemplate(c Certificate, serial int64) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: "smtptest server"},
		NotBefore:             notBefore(),
		NotAfter:              c.NotAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if t.NotAfter.IsZero() {
		t.NotAfter = notAfter()
	}
	for _, name := range c.Names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return t
}

// tlsConfig is the configuration of a server that shows c. name is for clients
// that ask for none when c has none either.
func (a *authority) tlsConfig(base *tls.Config, c Certificate, name string) *tls.Config {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	if len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil {
		return config
	}
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := c
		switch {
		case c.Names != nil:
		case hello.ServerName != "":
			c.Names = []string{hello.ServerName}
		default:
			c.Names = []string{name}
			if host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String()); err == nil {
				c.Names = append(c.Names, host)
			}
		}
		return a.issue(c)
	}
	return config
}
