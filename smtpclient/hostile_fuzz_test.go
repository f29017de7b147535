package smtpclient_test

import (
	"bytes"
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// anything is a Cache that has the same bytes under every key.
type anything struct{ value []byte }

func (a anything) Get(context.Context, string) ([]byte, bool, error)        { return a.value, true, nil }
func (a anything) Set(context.Context, string, []byte, time.Duration) error { return nil }
func (a anything) Delete(context.Context, string) error                     { return nil }

// FuzzCachedState gives a client any bytes for all that it remembers: hosts that are
// down, broken TLS, offers, policies, wrong passwords, TLS sessions. It may wait for
// later or take another way to the same end, and neither fails anybody nor goes below
// the level.
func FuzzCachedState(f *testing.F) {
	f.Add([]byte{}, byte(0))
	f.Add([]byte("1 1790000000000000000"), byte(1))
	f.Add([]byte(`{"Mode":1}`), byte(2))
	f.Add(bytes.Repeat([]byte{0, 1, 0xff}, 100), byte(3))
	f.Fuzz(func(t *testing.T, value []byte, level byte) {
		server := &smtptest.Server{Wire: smtptest.Wire{Window: 64 << 10}}
		defer server.Close()
		levels := []tlspolicy.Level{tlspolicy.None, tlspolicy.May, tlspolicy.Encrypt, tlspolicy.Secure}
		policy := tlspolicy.Policy{Level: levels[int(level)%len(levels)], Roots: server.Roots(), Names: []string{"mx.example.net"}}
		dns := resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:   {MX: []resolve.MX{{Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}},
		}
		client := &smtpclient.Client{
			LocalName: "client.example.org", Resolver: dns, TLS: policy, Cache: anything{value},
			Dialer: &smtpclient.Dialer{DialContext: server.DialContext, Quirks: withQuirks(smtpclient.Quirks{PipeConnect: true})},
		}
		report, err := holdClient(t, *client, server).Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		messages := server.Messages()
		switch o := report.Outcomes[0]; o.Status {
		case smtpclient.Delivered:
			if len(messages) != 1 || messages[0].TLS == nil && policy.Level.Mandatory() {
				t.Errorf("%v: %+v", policy.Level, messages)
			}
		case smtpclient.Deferred:
			if len(messages) != 0 {
				t.Errorf("deferred, and %d arrived", len(messages))
			}
		default:
			t.Errorf("%v: %v", o.Status, err)
		}
	})
}

// FuzzHeader puts any header before a message: it is refused as input, or it arrives
// in front of it, and the message's own header is still one.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{"X-A: b\r\n", "X-A: b\n c\n", "A\r\n", "\r\n", "A: b\r\n\r\nbody\r\n", "A: b", "A: \x00\r\n", "A:\r\n.\r\nQUIT\r\n", " a: b\r\n", "a: b\r c\r\n", "a\u00e9: b\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		server := &smtptest.Server{Extensions: pipelined, Wire: smtptest.Wire{Window: 64 << 10}}
		defer server.Close()
		client := &smtpclient.Client{LocalName: "client.example.org", Resolver: resolve.Static{}, NextHops: []string{"[192.0.2.25]"}, TLS: tlspolicy.None,
			Dialer: &smtpclient.Dialer{DialContext: server.DialContext}}
		env := fromAnn("bob@example.net")
		env.Header = header
		report, err := holdClient(t, *client, server).Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		messages := server.Messages()
		if err != nil {
			if o := report.Outcomes[0]; o.Status != smtpclient.Failed || len(messages) != 0 {
				t.Errorf("%q: %v, and %d arrived", header, err, len(messages))
			}
			return
		}
		if len(messages) != 1 || len(server.Violations()) != 0 {
			t.Fatalf("%q: %d messages, %v", header, len(messages), server.Violations())
		}
		got := string(messages[0].Data)
		if want := strings.ReplaceAll(strings.ReplaceAll(header, "\r\n", "\n"), "\n", "\r\n") + hello; got != want {
			t.Errorf("%q: %q arrived", header, got)
		}
		if head, _, _ := strings.Cut(got, "\r\n\r\n"); !strings.HasSuffix(head, "Subject: hello") {
			t.Errorf("%q ends the header", header)
		}
	})
}

// FuzzNotice makes notices of any words: whatever servers, senders and callers have
// said, it is a message of three parts in lines that may go anywhere.
func FuzzNotice(f *testing.F) {
	f.Add("bob@example.net", "550 5.1.1 no such user", "mx.example.net", "rfc822;bob@example.net", "id", "Subject: x\r\n\r\nbody\r\n", "", byte(3))
	f.Add("b\u00f6b@example.net", "\r\n.\r\nQUIT", "a\r\nb", "utf-8;b\u00f6b", "a+b", "Subject: \u00e9\n\nbody\n--x--\n", "Dear \u00e9\r\n.\r\n", byte(1))
	f.Add("\"a b\"@example.net", strings.Repeat("long ", 400), "", "", "", strings.Repeat("x", 2000), strings.Repeat("y", 2000), byte(0x12))
	f.Fuzz(func(t *testing.T, to, text, host, orcpt, envID, message, words string, choice byte) {
		env := fromAnn(to)
		env.To[0].ORCPT, env.EnvID, env.Return = orcpt, envID, smtpclient.Return(choice%3)
		status := []smtpclient.Status{smtpclient.Failed, smtpclient.Deferred, smtpclient.Delivered, smtpclient.Unknown}[choice>>2%4]
		report := smtpclient.Report{Outcomes: []smtpclient.Outcome{{Address: to, Status: status, Action: "failed", Owed: smtpclient.NotifyFailure,
			Attempt: &smtpclient.Attempt{Host: host, Addr: host, Enhanced: "5.0.0", Reply: smtpclient.Reply{Code: 550, Lines: strings.Split(text, "\n")}}}}}
		_, notice, err := smtpclient.Notice{ReportingMTA: "client.example.org", Text: words}.Compose(t.Context(), env, report, smtpclient.Bytes([]byte(message)))
		if err != nil {
			return
		}
		r, err := notice.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		all, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if size := notice.Size(); size >= 0 && size != int64(len(all)) {
			t.Errorf("Size is %d of %d", size, len(all))
		}
		checkNotice(t, all)
	})
}

// checkNotice reads a notice with the standard library.
func checkNotice(t *testing.T, all []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(all))
	if err != nil {
		t.Fatalf("%v in %q", err, all)
	}
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || media != "multipart/report" {
		t.Fatalf("%q, %v", m.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	n := 0
	for ; ; n++ {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("part %d: %v in %q", n, err, all)
		}
		if _, err := io.ReadAll(p); err != nil {
			t.Fatalf("part %d: %v in %q", n, err, all)
		}
	}
	if n != 3 {
		t.Errorf("%d parts in %q", n, all)
	}
}

// FuzzSOCKS5 has a proxy say anything: a connection is given only after it has agreed,
// and it begins right behind that.
func FuzzSOCKS5(f *testing.F) {
	f.Add([]byte("\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x19220 hi\r\n"))
	f.Add([]byte("\x05\x02\x01\x00\x05\x00\x00\x03\x04host\x00\x19"))
	f.Add([]byte("\x05\xff"))
	f.Add([]byte("HTTP/1.1 400 no\r\n\r\n"))
	f.Add([]byte("\x05\x00\x05\x00\x00\x04"))
	f.Fuzz(func(t *testing.T, says []byte) {
		server := func(context.Context, string, string) (net.Conn, error) {
			client, proxy := smtptest.Pipe(smtptest.Wire{Window: 1 << 20})
			proxy.Write(says)
			proxy.CloseWrite()
			return client, nil
		}
		p := &smtpclient.SOCKS5{Server: "proxy.example.org:1080", User: "ann", Password: "x", Dial: server}
		conn, err := p.DialContext(t.Context(), "tcp4", "192.0.2.25:25")
		if err != nil {
			if conn != nil {
				t.Errorf("%q: a connection, and %v", says, err)
			}
			return
		}
		defer conn.Close()
		rest, err := io.ReadAll(conn)
		if err != nil || !bytes.HasSuffix(says, rest) || len(says)-len(rest) < 2+4+2 || says[0] != 5 {
			t.Errorf("%q: connected, and then came %q, %v", says, rest, err)
		}
	})
}
