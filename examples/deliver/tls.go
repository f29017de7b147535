package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// tlsFlags are what the command line says of TLS.
type tlsFlags struct {
	policy        tlspolicy.Policy // Level zero: not given
	table         string           // names of files; "": none
	ca, cert, key string
}

func setTLS(c *config, value string) (err error) {
	c.tls.policy.Level, err = tlspolicy.ParseLevel(value)
	return err
}

func addFingerprint(c *config, value string) error {
	c.tls.policy.Fingerprints = append(c.tls.policy.Fingerprints, value)
	return nil
}

func addMatch(c *config, value string) error {
	c.tls.policy.Names = append(c.tls.policy.Names, value)
	return nil
}

func setRetryPlaintext(c *config, value string) error {
	if value != "on" && value != "off" {
		return errors.New("takes on or off")
	}
	c.tls.policy.NoPlaintextRetry = value == "off"
	return nil
}

func setTLSRequired(c *config, value string) error {
	if value != "no" {
		return errors.New("takes no; -requiretls is the other way round")
	}
	if c.envelope.TLS == tlspolicy.EveryHop {
		return errors.New("cannot stand beside -requiretls")
	}
	c.envelope.TLS = tlspolicy.NotRequired
	return nil
}

// apply gives the client its Source, and the dialer its certificates.
func (f *tlsFlags) apply(client *smtpclient.Client, dialer *smtpclient.Dialer) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := f.loadCertificates(dialer); err != nil {
		return err
	}
	if f.policy.Level != 0 || f.policy.Implicit {
		client.TLS = f.policy
	}
	if f.table == "" {
		return nil
	}
	table, err := tlspolicy.OpenTable(f.table)
	if err != nil {
		return fmt.Errorf("-tls-policy: %w", err)
	}
	rest := client.TLS
	if rest == nil {
		rest = tlspolicy.Default()
	}
	client.TLS = tlspolicy.Sources{table, rest}
	return nil
}

// check refuses what would have no effect.
func (f *tlsFlags) check() error {
	switch level := f.policy.Level; {
	case len(f.policy.Fingerprints) > 0 && level != tlspolicy.Fingerprint:
		return errors.New("-fingerprint is for -tls fingerprint")
	case level == tlspolicy.Fingerprint && len(f.policy.Fingerprints) == 0:
		return errors.New("-tls fingerprint needs -fingerprint")
	case len(f.policy.Names) > 0 && level != tlspolicy.Verify && level != tlspolicy.Secure:
		return errors.New("-match is for -tls verify and -tls secure")
	case f.policy.ServerName != "" && level == 0 && !f.policy.Implicit:
		return errors.New("-servername needs -tls")
	case f.policy.NoPlaintextRetry && level != tlspolicy.May:
		return errors.New("-retry-plaintext off is for -tls may")
	case f.key != "" && f.cert == "":
		return errors.New("-key needs -cert")
	}
	return nil
}

func (f *tlsFlags) loadCertificates(dialer *smtpclient.Dialer) error {
	if f.ca == "" && f.cert == "" {
		return nil
	}
	dialer.TLSConfig = &tls.Config{}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return fmt.Errorf("-ca: %w", err)
		}
		dialer.TLSConfig.RootCAs = x509.NewCertPool()
		if !dialer.TLSConfig.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("-ca %q: it has no certificate in PEM", f.ca)
		}
	}
	if f.cert == "" {
		return nil
	}
	key := f.key
	if key == "" {
		key = f.cert
	}
	certificate, err := tls.LoadX509KeyPair(f.cert, key)
	if err != nil {
		return fmt.Errorf("-cert: %w", err)
	}
	dialer.TLSConfig.Certificates = []tls.Certificate{certificate}
	return nil
}
