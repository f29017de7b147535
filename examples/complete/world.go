package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// message is what is posted: no line of it is for the delivery.
const message = "From: Ann <ann@example.org>\nTo: Bob <bob@example.net>\nSubject: Hello\nDate: Sat, 21 Nov 2026 10:00:00 +0000\n" +
	"Message-ID: <1@example.org>\n\nHello Bob.\n"

// demo posts messages to the program, and gives its exit code.
func demo(client *smtpclient.Client, out io.Writer) int {
	if err := run(client, out); err != nil {
		fmt.Fprintln(out, "complete:", err)
		return 1
	}
	return 0
}

// run has the world on this machine: a server with a certificate of its own, a signed
// zone with TLSA records that say which one, and one who posts three messages.
func run(client *smtpclient.Client, out io.Writer) error {
	cert, pin, err := newCertificate()
	if err != nil {
		return err
	}
	mail := &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	defer mail.Close()
	addr, err := mail.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := addr.(*net.TCPAddr).AddrPort().Port()
	names := &dnstest.Server{Zones: []dnstest.Zone{
		{Text: "$ORIGIN .\n@ SOA ns.root. postmaster.root. 1 1 1 1 1\n@ NS ns.root.\n", Secure: true},
		{Text: fmt.Sprintf("$ORIGIN example.net.\n@ MX 10 mx\nmx A 127.0.0.1\n_%d._tcp.mx TLSA 3 1 1 %x\n", port, pin), Secure: true},
	}}
	defer names.Close()
	dns, err := names.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	client.Resolver = &resolve.DNS{Servers: []string{dns.String()}} // one on loopback, as unbound, is believed to validate
	client.Routing = resolve.Routing{Local: true, Port: port}
	client.Cache = &cache.Memory{}
	defer client.Pool.Close(context.Background())

	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	program := newServer(client, key)
	for range 3 {
		io.WriteString(out, request(program, "POST", "/send?from=ann@example.org&to=bob@example.net", message))
	}
	for line := range strings.Lines(request(program, "GET", "/metrics", "")) {
		if strings.HasPrefix(line, "postrider_recipients_") || strings.HasPrefix(line, "postrider_pool_") {
			io.WriteString(out, line)
		}
	}
	for _, m := range mail.Messages() {
		if err := verify(m.Data, public); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d messages with a good signature, by %d connections\n", len(mail.Messages()), mail.Sessions())
	return nil
}

func request(program http.Handler, method, target, body string) string {
	answer := httptest.NewRecorder()
	program.ServeHTTP(answer, httptest.NewRequest(method, target, strings.NewReader(body)))
	return answer.Body.String()
}

// newCertificate is one that no authority has signed, and the SHA-256 of its key.
func newCertificate() (cert tls.Certificate, pin [32]byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, pin, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.net"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return cert, pin, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, sha256.Sum256(spki), err
}

// verify asks the domain's DNS for its key, which is known here.
func verify(data []byte, key ed25519.PublicKey) error {
	record := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	verdicts, err := dkim.VerifyWithOptions(bytes.NewReader(data), &dkim.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{record}, nil },
	})
	if err == nil && len(verdicts) != 1 {
		err = fmt.Errorf("%d signatures", len(verdicts))
	}
	if err != nil {
		return err
	}
	return verdicts[0].Err
}
