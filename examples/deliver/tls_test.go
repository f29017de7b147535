package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// pki is an authority with a certificate for mx.example.net, which serves client
// and server, and their files.
type pki struct {
	leaf          tls.Certificate
	ca, cert, key string // names of files
	fingerprint   string // of the leaf
	pool          *x509.CertPool
}

func newPKI(t *testing.T, names ...string) *pki {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	must(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: root.NotBefore, NotAfter: root.NotAfter, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), key)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	dir := t.TempDir()
	file := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		must(os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return name
	}
	p := &pki{leaf: tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, pool: x509.NewCertPool(),
		fingerprint: fmt.Sprintf("%x", sha256.Sum256(leafDER))}
	p.ca, p.cert, p.key = file("ca.pem", "CERTIFICATE", rootDER), file("cert.pem", "CERTIFICATE", leafDER), file("key.pem", "PRIVATE KEY", keyDER)
	rootCert, err := x509.ParseCertificate(rootDER)
	must(err)
	p.pool.AddCert(rootCert)
	return p
}

// Each level, and what it asks of the server, from outside.
func TestTLSFlags(t *testing.T) {
	p, stranger := newPKI(t, "mx.example.net"), newPKI(t, "mx.example.net")
	nextHop := newPKI(t, "example.net")
	colons := strings.ToUpper(p.fingerprint[:2] + ":" + p.fingerprint[2:])
	for _, tt := range []struct {
		server *pki   // nil: without TLS
		args   string // between blanks
		code   int
		want   string // in the report
	}{
		{p, "-tls none", 0, `"wanted":"none","reached":"none"`},
		{p, "-tls may", 0, `"wanted":"may","reached":"encrypt"`},
		{nil, "-tls may", 0, `"wanted":"may","reached":"none"`},
		{p, "-tls encrypt", 0, `"reached":"encrypt"`},
		{nil, "-tls encrypt", 75, "4.7.4"},
		{p, "-tls verify -ca " + p.ca, 0, `"reached":"verify"`},
		{p, "-tls verify -ca " + stranger.ca, 75, "4.7.5"},
		{p, "-tls verify", 75, "4.7.5"},
		{nil, "-tls verify -ca " + p.ca, 75, "4.7.4"},
		{p, "-tls verify -match other.example.net -ca " + p.ca, 75, "4.7.5"},
		{p, "-tls verify -match other.example.net -match .example.net -ca " + p.ca, 0, `"reached":"verify"`},
		{p, "-tls secure -ca " + p.ca, 0, `"reached":"secure"`}, // mx.example.net is below example.net
		{nextHop, "-tls secure -ca " + nextHop.ca, 0, `"reached":"secure"`},
		{nextHop, "-tls verify -ca " + nextHop.ca, 75, "4.7.5"},
		{p, "-tls secure -match nexthop -ca " + p.ca, 75, "4.7.5"},
		{p, "-tls fingerprint -fingerprint " + p.fingerprint, 0, `"verified":"fingerprint"`},
		{p, "-tls fingerprint -fingerprint " + stranger.fingerprint + " -fingerprint " + colons, 0, `"reached":"fingerprint"`},
		{p, "-tls fingerprint -fingerprint " + stranger.fingerprint, 75, "4.7.5"},
	} {
		server := &smtptest.Server{Extensions: []string{"8BITMIME", "SMTPUTF8"}}
		if tt.server != nil {
			server = &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{tt.server.leaf}}}
		}
		w := newWorld(t, server)
		code, stdout, stderr := w.run(t, append(strings.Fields(tt.args), "-to", "bob@example.net", "-json")...)
		if code != tt.code || !strings.Contains(stdout, tt.want) || (len(server.Messages()) > 0) != (code == 0) {
			t.Errorf("%s: exit %d and %d messages, want %d and %s\n%s%s", tt.args, code, len(server.Messages()), tt.code, tt.want, stdout, stderr)
		}
	}
}

// Levels dane and dane-only, and no level, by a name server that is trusted since it
// is on this machine.
func TestTLSFlagsDANE(t *testing.T) {
	p, stranger := newPKI(t, "mx.elsewhere.example"), newPKI(t, "mx.example.net")
	tlsa := func(p *pki) string { return "TLSA 3 0 1 " + p.fingerprint }
	for _, tt := range []struct {
		record string // "": none
		args   string
		code   int
		want   string // in the report
	}{
		{tlsa(p), "-tls dane", 0, `"reached":"dane"`},
		{tlsa(p), "-tls dane-only", 0, `"verified":"dane-ee"`},
		{tlsa(p), "", 0, `"wanted":"dane","reached":"dane"`},
		{tlsa(stranger), "-tls dane", 75, "4.7.5"},
		{tlsa(stranger), "-tls dane-only", 75, "4.7.5"},
		{tlsa(stranger), "", 75, "4.7.5"},
		{"", "-tls dane", 0, `"wanted":"may","reached":"encrypt"`},
		{"", "-tls dane-only", 75, "4.7.5"},
		{"", "", 0, `"wanted":"may","reached":"encrypt"`},
	} {
		server := &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{p.leaf}}}
		w := newWorldIn(t, server, func(port int) dnstest.Zone {
			text := zone
			if tt.record != "" {
				text += fmt.Sprintf("_%d._tcp.mx %s\n", port, tt.record)
			}
			return dnstest.Zone{Text: text, Secure: true}
		})
		code, stdout, stderr := w.run(t, append(strings.Fields(tt.args), "-to", "bob@example.net", "-json")...)
		if code != tt.code || !strings.Contains(stdout, tt.want) || (len(server.Messages()) > 0) != (code == 0) {
			t.Errorf("%q and %q: exit %d and %d messages, want %d and %s\n%s%s", tt.record, tt.args, code, len(server.Messages()), tt.code, tt.want, stdout, stderr)
		}
	}
}

// A table of policies by next hop goes before -tls.
func TestTLSPolicyFlag(t *testing.T) {
	p := newPKI(t, "mx.example.net")
	table := filepath.Join(filepath.Dir(p.ca), "tls_policy")
	for text, want := range map[string]string{
		"example.net verify tafile=ca.pem":                `"wanted":"verify","reached":"verify"`,
		"example.net fingerprint match=" + p.fingerprint:  `"reached":"fingerprint"`,
		".net secure tafile=" + p.ca:                      `"reached":"secure"`,
		"example.org secure":                              `"wanted":"encrypt","reached":"encrypt"`,
		"example.net secure match=nexthop tafile=ca.pem":  "4.7.5",
		"example.net encrypt protocols=<=TLSv1.2":         `"version":"TLS1.2"`,
		"example.net verify\n":                            "4.7.5",
		"# nothing":                                       `"wanted":"encrypt"`,
		"example.net none\nexample.org verify colour=red": "",
	} {
		if err := os.WriteFile(table, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		server := &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{p.leaf}}}
		w := newWorld(t, server)
		code, stdout, stderr := w.run(t, "-tls-policy", table, "-tls", "encrypt", "-to", "bob@example.net", "-json")
		if want == "" {
			if code != 64 || !strings.Contains(stderr, "line 2, column 20") || server.Sessions() != 0 {
				t.Errorf("%s: exit %d, %s; want 64 and the place", text, code, stderr)
			}
			continue
		}
		if !strings.Contains(stdout, want) {
			t.Errorf("%s: exit %d, want %s\n%s", text, code, want, stdout)
		}
	}
}

// Our certificate is shown to a server that asks for one, and the name in the
// handshake is that of -servername.
func TestCertificateAndServerName(t *testing.T) {
	p := newPKI(t, "mx.example.net")
	for args, want := range map[string]string{
		"-cert " + p.cert + " -key " + p.key:                                   "delivered mx.example.net",
		"-cert " + p.cert + " -key " + p.key + " -servername mail.example.net": "delivered mail.example.net",
		"": "deferred mx.example.net",
	} {
		asked := ""
		server := &smtptest.Server{TLSConfig: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.pool, MaxVersion: tls.VersionTLS12,
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				asked = hello.ServerName
				return &p.leaf, nil
			}}}
		w := newWorld(t, server)
		_, stdout, stderr := w.run(t, append(strings.Fields(args), "-tls", "encrypt", "-to", "bob@example.net", "-json")...)
		status := "deferred"
		if m := server.Messages(); len(m) == 1 && len(m[0].TLS.PeerCertificates) == 1 {
			status = "delivered"
		}
		if got := status + " " + asked; got != want {
			t.Errorf("%s: %s, want %s\n%s%s", args, got, want, stdout, stderr)
		}
	}
}

func TestRetryPlaintext(t *testing.T) {
	for value, want := range map[string]int{"on": 0, "off": 75} {
		server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "STARTTLS" {
				return smtptest.Action{Reply: "220 go", Fault: smtptest.DropAfter}
			}
			return smtptest.Action{}
		}}
		w := newWorld(t, server)
		code, stdout, _ := w.run(t, "-tls", "may", "-retry-plaintext", value, "-to", value+"@example.net")
		if code != want || (len(server.Messages()) > 0) != (want == 0) {
			t.Errorf("%s: exit %d, want %d\n%s", value, code, want, stdout)
		}
	}
}

// What would have no effect, or cannot be read, is refused before anything is
// sent.
func TestTLSFlagFaults(t *testing.T) {
	p := newPKI(t, "mx.example.net")
	for args, want := range map[string]string{
		"-fingerprint 00":                       "-fingerprint is for -tls fingerprint",
		"-tls fingerprint":                      "-tls fingerprint needs -fingerprint",
		"-match a.example -tls encrypt":         "-match is for -tls verify and -tls secure",
		"-servername a.example":                 "-servername needs -tls",
		"-retry-plaintext off -tls encrypt":     "-retry-plaintext off is for -tls may",
		"-retry-plaintext maybe":                "takes on or off",
		"-key x":                                "-key needs -cert",
		"-cert " + p.ca:                         "-cert:",
		"-cert gone.pem":                        "gone.pem",
		"-ca gone.pem":                          "gone.pem",
		"-ca " + p.key:                          "no certificate",
		"-tls-policy gone":                      "-tls-policy:",
		"-tls-required yes":                     "takes no",
		"-tls-required no -requiretls":          "cannot stand beside",
		"-requiretls -tls-required no -tls may": "cannot stand beside",
	} {
		code, stdout, stderr := runWith(t, message, append(strings.Fields(args), "-from", "ann@example.org", "-to", "bob@example.net")...)
		if code != 64 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q%q; want 64 and one line with %q", args, code, stdout, stderr, want)
		}
	}
}

// TLS-Required: no is about what domains publish; what -tls says still holds.
func TestTLSRequired(t *testing.T) {
	for level, want := range map[string]int{"may": 0, "encrypt": 75} {
		server := &smtptest.Server{Extensions: []string{"8BITMIME", "SMTPUTF8"}}
		w := newWorld(t, server)
		if code, stdout, _ := w.run(t, "-tls-required", "no", "-tls", level, "-to", level+"@example.net"); code != want {
			t.Errorf("%s: exit %d, want %d\n%s", level, code, want, stdout)
		}
	}
}
