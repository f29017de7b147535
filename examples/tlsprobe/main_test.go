package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// world is a mail server and a name server on this machine.
type world struct {
	t    *testing.T
	args []string
	mail *smtptest.Server
	port uint16
}

// newWorld has mail for example.net go to mx.example.net, in a signed zone with more
// records, where PORT is that of the server.
func newWorld(t *testing.T, mail *smtptest.Server, records string) *world {
	t.Helper()
	mail.Name = "mx.example.net"
	t.Cleanup(func() { mail.Close() })
	addr, err := mail.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, mail: mail, port: addr.(*net.TCPAddr).AddrPort().Port()}
	w.publish(records, true)
	return w
}

// publish starts a name server with these records.
func (w *world) publish(records string, secure bool) {
	w.t.Helper()
	text := "$ORIGIN example.net.\n@ MX 10 mx\nmx A 127.0.0.1\n" + strings.ReplaceAll(records, "PORT", fmt.Sprint(w.port))
	server := &dnstest.Server{Zones: []dnstest.Zone{{Text: text, Secure: secure}}}
	w.t.Cleanup(func() { server.Close() })
	addr, err := server.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.args = []string{"-local", "-helo", "client.example.org", "-server", addr.String(), "-port", fmt.Sprint(w.port)}
}

// run runs the program, and gives what it wrote.
func (w *world) run(code int, args ...string) string {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(w.t.Context(), append(w.args, args...), &stdout, &stderr); got != code || stderr.Len() > 0 {
		w.t.Fatalf("exit code %d, want %d; %s\n%s", got, code, &stderr, &stdout)
	}
	return stdout.String()
}

// probe is what the program says in JSON.
func (w *world) probe(code int) finding {
	w.t.Helper()
	var f finding
	if err := json.Unmarshal([]byte(w.run(code, "-json", "example.net")), &f); err != nil {
		w.t.Fatal(err)
	}
	return f
}

// wants checks the one host.
func (w *world) wants(f finding, want verdict, asked, reached, why string) host {
	w.t.Helper()
	if len(f.Hosts) != 1 {
		w.t.Fatalf("%+v", f)
	}
	h := f.Hosts[0]
	if h.Verdict != want || h.Asked != asked || h.Reached != reached || !strings.Contains(h.Why, why) || (h.Why == "") != (why == "") {
		w.t.Errorf("%+v, want %s, %s asked, %s reached, %q", h, want, asked, reached, why)
	}
	return h
}

// A domain gets TLSA records, which fit, then DNSSEC is lost, then they do not fit.
func TestDANE(t *testing.T) {
	w := newWorld(t, &smtptest.Server{}, "")
	h := w.wants(w.probe(exitGood), encrypted, "may", "encrypt", "")
	if h.Protocol != "TLS 1.3" || h.Cipher == "" || h.Certificate == nil || h.Certificate.Web || h.Certificate.WebError == "" || h.Certificate.NotAfter.IsZero() {
		t.Fatalf("%+v", h)
	}
	records := "_PORT._tcp.mx TLSA 3 1 1 " + h.Certificate.KeySHA256 + "\n"
	w.publish(records, true)
	f := w.probe(exitGood)
	h = w.wants(f, verified, "dane", "dane", "")
	if !f.SecureMX || !h.Secure || h.VerifiedBy != "dane-ee" || fmt.Sprint(h.TLSA) != "[3 1 1 "+h.Certificate.KeySHA256+"]" {
		t.Errorf("%+v", f)
	}
	w.publish(records, false)
	if f := w.probe(exitGood); f.SecureMX || f.Hosts[0].Secure {
		t.Errorf("%+v", f)
	} else {
		w.wants(f, encrypted, "may", "encrypt", "")
	}
	w.publish("_PORT._tcp.mx TLSA 3 1 1 "+strings.Repeat("00", 32)+"\n", true)
	w.wants(w.probe(exitBad), refused, "dane", "", "not verified")
}

func TestVerdicts(t *testing.T) {
	broken := func(c smtptest.Command) smtptest.Action {
		if c.Verb == "STARTTLS" {
			return smtptest.Action{Fault: smtptest.BreakTLS}
		}
		return smtptest.Action{}
	}
	w := newWorld(t, &smtptest.Server{Extensions: []string{"PIPELINING"}}, "")
	w.wants(w.probe(exitGood), plaintext, "may", "none", "")
	w = newWorld(t, &smtptest.Server{Script: broken}, "")
	w.wants(w.probe(exitGood), plaintext, "may", "none", "TLS handshake failed")
	w = newWorld(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		return smtptest.Action{Reply: "554 no"}
	}}, "")
	w.wants(w.probe(exitBad), unreachable, "may", "", "554")
}

// What is published about MTA-STS and reports is shown, and what cannot be had.
func TestPublished(t *testing.T) {
	w := newWorld(t, &smtptest.Server{}, "_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:a@example.net,https://r.example/\"\n_mta-sts TXT \"v=STSv1; id=1\"\n")
	f := w.probe(exitGood)
	if fmt.Sprint(f.Reports) != "[mailto:a@example.net https://r.example/]" || f.STS == nil || !strings.HasPrefix(f.STS.Error, "sts-policy-fetch-error: ") {
		t.Errorf("%+v, %+v", f, f.STS)
	}
	text := w.run(exitGood, "example.net")
	for _, want := range []string{"example.net\n", "  MX           with DNSSEC\n", "  MTA-STS      sts-policy-fetch-error: ", "  TLSRPT       mailto:a@example.net, https://r.example/\n",
		"  mx.example.net                           encrypted\n", "    level        may asked, encrypt reached\n", "    protocol     TLS 1.3, TLS_", "    address      127.0.0.1:"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("there is colour, though this is no terminal")
	}
}

// A policy of MTA-STS is shown, and decides about a host: one that it names with a good
// certificate is verified, others are not asked.
func TestSTS(t *testing.T) {
	mode := "enforce"
	web := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(rw, "version: STSv1\nmode: %s\nmx: mx1.example.com\nmax_age: 86400\n", mode)
	}))
	defer web.Close()
	mail := &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx1.example.com"}}}
	defer mail.Close()
	names := resolve.Static{
		{Name: "example.com", Type: resolve.TypeMX}:           {MX: []resolve.MX{{Preference: 1, Host: "mx1.example.com"}, {Preference: 2, Host: "mx2.example.com"}}},
		{Name: "mx1.example.com", Type: resolve.TypeA}:        {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{Name: "mx2.example.com", Type: resolve.TypeA}:        {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
		{Name: "_mta-sts.example.com", Type: resolve.TypeTXT}: {TXT: []string{"v=STSv1; id=1"}},
	}
	for _, tt := range []struct {
		mode string
		want []verdict
		good bool
	}{
		{"enforce", []verdict{verified, skipped}, false},
		{"testing", []verdict{encrypted, encrypted}, true},
	} {
		mode = tt.mode
		p := &prober{dns: names, cache: &cache.Memory{}, timeout: time.Minute, dialer: &smtpclient.Dialer{DialContext: mail.DialContext},
			roots: mail.Roots(), sts: &tlspolicy.MTASTS{Client: web.Client(), Roots: mail.Roots()}}
		f := p.probe(t.Context(), "example.com")
		if len(f.Hosts) != 2 || f.Hosts[0].Verdict != tt.want[0] || f.Hosts[1].Verdict != tt.want[1] || f.good() != tt.good {
			t.Errorf("%s: %+v", mode, f.Hosts)
		}
		if f.STS == nil || f.STS.Mode != mode || fmt.Sprint(f.STS.MX) != "[mx1.example.com]" || f.STS.Error != "" {
			t.Errorf("%s: %+v", mode, f.STS)
		}
		if c := f.Hosts[0].Certificate; c == nil || !c.Web || fmt.Sprint(c.Names) != "[mx1.example.com]" {
			t.Errorf("%s: %+v", mode, c)
		}
	}
}

// On a terminal verdicts are painted; nothing that a stranger says gets there as it is.
func TestPaper(t *testing.T) {
	f := finding{Domain: "example.net", ReportsErr: "no \x1b[2J answer", Hosts: []host{{Name: "mx", Verdict: refused, Why: "554 \x1b]0;x\a", Certificate: &certificate{Issuer: "\x1b"}}}}
	var out bytes.Buffer
	f.print(&paper{Writer: &out, colour: true})
	for _, want := range []string{"\x1b[1mexample.net\x1b[0m", "\x1b[31mrefused\x1b[0m", "\x1b[33mnone\x1b[0m", "\x1b[31mno ?[2J answer\x1b[0m", "554 ?]0;x?"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, &out)
		}
	}
	null, err := os.Open(os.DevNull) // a device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("NO_COLOR", "1")
	if hasColour(null) || hasColour(&out) {
		t.Error("there is colour where nobody wants it")
	}
}

func TestUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"no domain is given": {},
		"-port":              {"-port", "0", "example.net"},
		"-timeout":           {"-timeout", "-1s", "example.net"},
		"-server":            {"-server", "ns.example.net", "example.net"},
		"-roots":             {"-roots", "no-such-file", "example.net"},
		"-nonsense":          {"-nonsense"},
		"no certificate":     {"-roots", "main.go", "example.net"},
		"next hop":           {"exa mple"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("%q: exit code %d, %q, want %q", args, code, &stderr, want)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &stdout, &stderr); code != exitGood || !strings.Contains(stdout.String(), "-json") {
		t.Errorf("-h: %d, %s", code, &stdout)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ended, []string{"-server", "127.0.0.1:1", "example.net"}, &stdout, &stderr); code != exitBad {
		t.Errorf("cancelled: %d", code)
	}
}
