package resolve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// behindTLS gives a DialContext that reaches srv by TLS, and the roots that its
// certificate for names hangs on.
func behindTLS(t *testing.T, srv *dnstest.Server, names ...string) (func(context.Context, string, string) (net.Conn, error), *x509.CertPool) {
	t.Helper()
	cert, roots := certificate(t, names...)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network != "tcp" || addr != "127.0.0.1:853" {
			return nil, errors.New("dialled " + network + " " + addr)
		}
		plain, err := srv.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		client, server := net.Pipe()
		secured := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}})
		go func() { io.Copy(plain, secured); plain.Close() }()
		go func() { io.Copy(secured, plain); secured.Close() }()
		return client, nil
	}, roots
}

func certificate(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// The server has to prove its name, or its address where no name is given, and
// never gets the question otherwise. TLS says nothing about DNSSEC: the AD bit
// counts as TrustAD says.
func TestDNSOverTLS(t *testing.T) {
	none := []netip.Prefix{}
	tests := []struct {
		server string
		trust  []netip.Prefix
		ok     bool
		secure bool
	}{
		{"tls://127.0.0.1#dns.example.net", nil, true, true},
		{"tls://127.0.0.1#dns.example.net", none, true, false},
		{"tls://127.0.0.1", nil, true, true},
		{"tls://127.0.0.1:853#dns.example.com", nil, false, false},
		{"tls://127.0.0.1#192.0.2.1", nil, false, false},
	}
	for _, tt := range tests {
		srv := serve(t, dnstest.None)
		dial, roots := behindTLS(t, srv, "dns.example.net", "127.0.0.1")
		r := &resolve.DNS{Servers: []string{tt.server}, TrustAD: tt.trust, TLSConfig: &tls.Config{RootCAs: roots}, DialContext: dial}
		got, err := r.Lookup(t.Context(), a("mx1.example.org"))
		if (err == nil) != tt.ok || got.Secure != tt.secure || tt.ok && len(got.Addrs) != 2 {
			t.Errorf("%s, TrustAD %v: got %+v, %v", tt.server, tt.trust, got, err)
		}
		if !tt.ok && (len(srv.Questions()) != 0 || !strings.Contains(err.Error(), "TLS")) {
			t.Errorf("%s: %v; the server was asked %v", tt.server, err, srv.Questions())
		}
	}
	t.Run("not in the roots", func(t *testing.T) {
		dial, _ := behindTLS(t, serve(t, dnstest.None), "dns.example.net")
		r := &resolve.DNS{Servers: []string{"tls://127.0.0.1#dns.example.net"}, DialContext: dial}
		if got, err := r.Lookup(t.Context(), a("mx1.example.org")); err == nil {
			t.Errorf("got %+v, want an error", got)
		}
	})
}
