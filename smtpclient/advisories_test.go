package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// What was published about other clients, and is told by no other test here. The
// list of all is in SECURITY.md.

// everyReply are the places where a server speaks.
var everyReply = []string{smtptest.Connect, "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", smtptest.EndOfData, "RSET"}

// hostileText tries to clear a terminal, to forge a line of a log and a field of a
// header, to turn the direction of what follows, and to be no text at all.
const hostileText = "a\x1b[2J\x00\rb\x9b2J\u202egpj.exe\u2028level=INFO\x7f\xff\xc0\x80"

// Text of a server is in errors, reports, traces, logs, transcripts and notices, and in
// none of them does it end a line or work a terminal (R22; OpenSMTPD's CVE-2020-8794).
func TestHostileTextIsSafe(t *testing.T) {
	for _, verb := range everyReply {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{Script: on(verb, action{Raw: []byte("550-5.7.1 " + hostileText + "\r\n550 5.7.1 " + hostileText + "\r\n")})})
			w.client.TLS = tlspolicy.Encrypt
			w.client.Dialer.Transcript = smtpclient.TranscriptAll
			var said bytes.Buffer
			ctx := smtpclient.WithTrace(t.Context(), smtpclient.LogTrace(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Line: func(_ context.Context, line string) { fmt.Fprintln(&said, line) }})
			env, content := fromAnn("bob@example.net", "bob@example.net"), smtpclient.Bytes([]byte(hello))
			report, err := w.client.Deliver(ctx, env, content)
			fmt.Fprintln(&said, err)
			for _, o := range report.Outcomes {
				fmt.Fprintln(&said, o.Err(), o.Reply, strings.Join(o.Reply.Lines, " "), strings.Join(o.Transcript, " "), strings.Join(o.Notes, " "))
			}
			if _, notice, err := (smtpclient.Notice{ReportingMTA: "client.example.org"}).Compose(ctx, env, report, content); err == nil {
				text, err := notice.Open()
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(&said, text)
				text.Close()
			}
			if bad := strings.IndexFunc(said.String(), unsafe); bad >= 0 {
				t.Errorf("%s: %q is said", verb, said.String()[max(0, bad-40):bad+10])
			}
			if verb != "RSET" && verb != smtptest.EndOfData && !strings.Contains(said.String(), "a?[2J") {
				t.Errorf("%s: the text is not said at all: %q", verb, said.String())
			}
		})
	}
}

// unsafe finds what may do something to a terminal or a log. Line ends and the tabs of
// folded fields are our own.
func unsafe(r rune) bool {
	return r == unicode.ReplacementChar || r != '\n' && r != '\r' && r != '\t' && !unicode.IsPrint(r)
}

// A certificate may say what it likes, and a lot of it: what is said of it is short, and
// safe to log (CVE-2025-58189 of crypto/tls is of this kind).
func TestHostileCertificateIsSafe(t *testing.T) {
	names := []string{"a\x1b[2J\r\nlevel=INFO.example"}
	for i := range 5000 {
		names = append(names, fmt.Sprintf("name%d.evil.example", i))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		ca, stranger := newAuthority(t), newAuthority(t)
		long := pkix.Name{CommonName: hostileASCII + strings.Repeat("x", 50_000), Organization: []string{hostileASCII}}
		key := newKey(t)
		template := func(names ...string) *x509.Certificate {
			return &x509.Certificate{SerialNumber: big.NewInt(2), Subject: long, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour), DNSNames: names,
				IsCA: names == nil, BasicConstraintsValid: true}
		}
		// The second chain has an authority in it that did not sign: x509 quotes its name.
		named := [][]byte{ca.sign(template(names...), ca.cert, key).Raw}
		torn := [][]byte{ca.sign(template("mx10.example.net"), template(), key).Raw, stranger.sign(template(), stranger.cert, newKey(t)).Raw}
		for _, chain := range [][][]byte{named, torn} {
			w.net["192.0.2.10:25"].Close()
			w.net["192.0.2.10:25"] = &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 20}, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}}}}
			w.refuses(t, ca, stranger)
		}
	})
}

// refuses wants no policy to take the server, and to say why in short.
func (w *world) refuses(t *testing.T, ca, stranger *authority) {
	for _, p := range []tlspolicy.Policy{
		{Level: tlspolicy.Verify, Roots: ca.roots()}, {Level: tlspolicy.Verify, Roots: stranger.roots()}, {Level: tlspolicy.Secure, Roots: ca.roots()},
		{Level: tlspolicy.Fingerprint, Fingerprints: []string{strings.Repeat("00", 32)}},
		{Level: tlspolicy.DANEOnly, TLSA: []resolve.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}}, Names: []string{"mx10.example.net"}},
		{Level: tlspolicy.DANEOnly, TLSA: []resolve.TLSA{{Usage: 2, Data: ca.cert.Raw}}, Names: []string{"mx10.example.net"}},
	} {
		w.client.TLS = p
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		o := report.Outcomes[0]
		if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageStartTLS {
			t.Errorf("%v: %v %v %v", p.Level, o.Status, o.Stage, o.Err())
			continue
		}
		if text := o.Err().Error(); strings.ContainsFunc(text, unsafe) || strings.Contains(text, "\n") || len(text) > 2000 {
			t.Errorf("%v: in %d bytes: %.500q", p.Level, len(text), text)
		}
	}
}

const hostileASCII = "a\x1b[2J\r\nlevel=INFO"

// A reply without end, in lines or in one, is cut off wherever it comes, and no
// more of it is kept than a report can bear (CVE-2025-61724 of net/textproto; lettre, aiosmtplib).
func TestReplyFloods(t *testing.T) {
	floods := map[string][]byte{
		"lines":          bytes.Repeat([]byte("250-and this\r\n"), 1<<13),
		"lines of 354":   bytes.Repeat([]byte("354-and this\r\n"), 1<<13),
		"a line":         append([]byte("250 "), bytes.Repeat([]byte("x"), 1<<16)...),
		"no code":        bytes.Repeat([]byte("x"), 1<<16),
		"whole replies":  bytes.Repeat([]byte("250 and this\r\n"), 1<<13),
		"empty lines":    bytes.Repeat([]byte("\r\n"), 1<<13),
		"codes and LFs":  bytes.Repeat([]byte("250-\n"), 1<<13),
		"220 and floods": append([]byte("220 ok\r\n"), bytes.Repeat([]byte("250-x\r\n"), 1<<13)...),
	}
	for name, flood := range floods {
		for _, verb := range everyReply[:7] {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 12}, Script: on(verb, action{Raw: flood})})
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				o := report.Outcomes[0]
				if text, _ := json.Marshal(o); len(text) > 64<<10 {
					t.Errorf("%s at %s: an outcome of %d bytes", name, verb, len(text))
				}
				if o.Status == smtpclient.Failed {
					t.Errorf("%s at %s: failed: %v", name, verb, o.Err())
				}
			})
		}
	}
}

// Names that look like another, or become it, are what they are: no mail, no
// credential, no policy and no session of one goes to the other.
func TestHomographs(t *testing.T) {
	const cyrillic = "ex\u0430mple.net" // the third letter
	inWorld(t, func(t *testing.T, w *world) {
		genuine := w.mx(10, &smtptest.Server{})
		other := &smtptest.Server{Name: "mx.other.example"}
		w.net["192.0.2.66:25"] = other
		w.dns[resolve.Question{Name: "xn--exmple-4nf.net", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx.other.example"}}}
		w.dns[resolve.Question{Name: "mx.other.example", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.66")}}
		w.client.Pool = &smtpclient.Pool{KeepAll: true}
		defer w.client.Pool.Close(t.Context())
		w.client.TLS = tlspolicy.Sources{tlspolicy.Table{"example.net": tlspolicy.Encrypt}, tlspolicy.None}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		report, err := w.client.Deliver(t.Context(), fromAnn("bob@"+cyrillic), smtpclient.Bytes([]byte(hello)))
		if err != nil {
			t.Fatal(err)
		}
		if o := report.Outcomes[0]; o.Host != "mx.other.example" || o.TLS.Wanted != tlspolicy.None || o.Reused != 0 {
			t.Errorf("%+v", o)
		}
		if a, b := genuine.Messages(), other.Messages(); len(a) != 1 || len(b) != 1 || b[0].To[0] != "bob@xn--exmple-4nf.net" {
			t.Errorf("%d and %d messages: %+v", len(a), len(b), b)
		}
	})
	// These would bring a character of syntax with them, or end a label elsewhere than
	// the eye sees it.
	for name, domain := range map[string]string{
		"solidus": "example.net\uff0fevil.example", "a/c": "\u2100.example.net", "at": "example.net\uff20evil.example", "colon": "example.net\uff1a25",
		"zero width": "exam\u200bple.net\u200d", "direction": "\u202eten.elpmaxe", "question": "\u2048.example.net",
		"ascii in disguise": "xn--example-.net", "digits": "\uff11\uff19\uff12.0.2.66",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.untouched()
			report := w.deliver(t.Context(), fromAnn("bob@"+domain), hello)
			if o := report.Outcomes[0]; o.Status != smtpclient.Failed || o.Stage != smtpclient.StageInput || o.Enhanced != "5.1.3" {
				t.Errorf("%s: %v %v %s %v", name, o.Status, o.Stage, o.Enhanced, o.Err())
			}
		})
	}
	// Full width and ideographic stops are the same name, and lead to the same place.
	for _, domain := range []string{"\uff45xample.net", "example\u3002net", "EXAMPLE\uff0enet"} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{})
			w.client.TLS = tlspolicy.Table{"example.net": tlspolicy.Encrypt}
			report, _ := w.client.Deliver(t.Context(), fromAnn("bob@"+domain), smtpclient.Bytes([]byte(hello)))
			if o := report.Outcomes[0]; o.Status != smtpclient.Delivered || o.TLS.Wanted != tlspolicy.Encrypt || mx.Messages()[0].To[0] != "bob@example.net" {
				t.Errorf("%s: %+v", domain, o)
			}
		})
	}
}
