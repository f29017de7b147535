package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// world is the internet: domains with a mail server each, and the web server of one who
// reads reports. good.example takes them by mail, expired.example by HTTPS, and
// silent.example takes none.
type world struct {
	dns   resolve.Static
	mail  map[string]*smtptest.Server // by domain
	addrs map[string]string           // where the addresses are on this machine
	web   *httptest.Server
	posts [][]byte
}

func newWorld() (*world, error) {
	w := &world{dns: resolve.Static{}, mail: map[string]*smtptest.Server{}, addrs: map[string]string{}}
	for i, domain := range []string{"good.example", "expired.example", "silent.example"} {
		server := &smtptest.Server{Name: "mx." + domain}
		if domain == "expired.example" {
			server.Certificate.NotAfter = time.Unix(0, 0)
		}
		addr, err := server.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		w.mail[domain], w.addrs[ip.String()+":25"] = server, addr.String()
		w.dns[resolve.Question{Name: domain, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx." + domain}}}
		w.dns[resolve.Question{Name: "mx." + domain, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{ip}}
	}
	w.txt("_smtp._tls.good.example", "v=TLSRPTv1; rua=mailto:reports@good.example")
	w.txt("_smtp._tls.expired.example", "v=TLSRPTv1; rua=https://example.com/reports")
	w.dns[resolve.Question{Name: "example.com", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.80")}}
	w.web = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { // its certificate is for example.com
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		w.posts = append(w.posts, body)
		rw.WriteHeader(http.StatusCreated)
	}))
	w.addrs["192.0.2.80:443"] = w.web.Listener.Addr().String()
	return w, nil
}

func (w *world) txt(name, text string) {
	w.dns[resolve.Question{Name: name, Type: resolve.TypeTXT}] = resolve.Answer{TXT: []string{text}}
}

func (w *world) close() {
	for _, server := range w.mail {
		server.Close()
	}
	w.web.Close()
}

func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", w.addrs[addr])
}

// client has found a policy of expired.example, by which its certificate has to be good.
func (w *world) client() *smtpclient.Client {
	expired := tlspolicy.Policy{Level: tlspolicy.Verify, Roots: w.mail["expired.example"].Roots(), Published: tlspolicy.Published{Type: "sts",
		Domain: "expired.example", Lines: []string{"version: STSv1", "mode: enforce", "mx: mx.expired.example", "max_age: 86400"}, Hosts: []string{"mx.expired.example"}}}
	return &smtpclient.Client{
		LocalName: "mail.example.org",
		Resolver:  w.dns,
		Dialer:    &smtpclient.Dialer{DialContext: w.dial},
		Cache:     &cache.Memory{},
		TLS:       tlspolicy.Sources{tlspolicy.Table{"expired.example": expired}, tlspolicy.May},
	}
}

func (w *world) poster() tlspolicy.Poster {
	roots := w.web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return tlspolicy.Poster{Resolver: w.dns, Roots: roots, DialContext: w.dial}
}

// now is the day whose reports are sent. Otherwise one waits until it is over.
func (w *world) now() time.Time { return time.Now() }

// show is the other side: it checks the signature, and reads a report.
func (w *world) show(out io.Writer, key crypto.PublicKey) error {
	messages := w.mail["good.example"].Messages()
	if len(messages) != 3 || len(w.posts) != 1 {
		return fmt.Errorf("%d messages and %d posts arrived", len(messages), len(w.posts))
	}
	text := base64.StdEncoding.EncodeToString(key.(ed25519.PublicKey))
	verdicts, err := dkim.VerifyWithOptions(bytes.NewReader(messages[2].Data), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
		return []string{"v=DKIM1; k=ed25519; s=email:tlsrpt; p=" + text}, nil
	}})
	if err != nil || len(verdicts) != 1 || verdicts[0].Err != nil {
		return errors.New("the mail with the report has no good signature")
	}
	fmt.Fprintf(out, "good.example has a report with a good signature of %s\n", verdicts[0].Domain)
	z, err := gzip.NewReader(bytes.NewReader(w.posts[0]))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "the web server has:")
	_, err = io.Copy(out, z)
	return err
}
