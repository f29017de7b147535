package trial

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"
)

// identities are what servers show: one that everybody trusts, and one that nobody
// does.
type identities struct {
	roots            *x509.CertPool
	trusted, unknown *tls.Config
}

func newIdentities() (identities, error) {
	good, leaf, err := selfSigned()
	if err != nil {
		return identities{}, err
	}
	bad, _, err := selfSigned()
	if err != nil {
		return identities{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return identities{roots, good, bad}, nil
}

// selfSigned is a certificate for all places. The clock of a bubble starts in 2000.
func selfSigned() (*tls.Config, *x509.Certificate, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader) // its signatures are all of one length
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: placeNames(),
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, leaf, nil
}
