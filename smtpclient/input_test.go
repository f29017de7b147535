package smtpclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// untouched fails the test if anything is looked up or dialled.
func (w *world) untouched() {
	w.client.Resolver = forbidden{w.t}
	dialer := *w.client.Dialer
	if dialer.DialContext != nil {
		dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			w.t.Errorf("%s was dialled", addr)
			return nil, errors.New("forbidden")
		}
	}
	w.client.Dialer = &dialer
}

type forbidden struct{ t *testing.T }

func (f forbidden) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	f.t.Errorf("%v was looked up", q)
	return resolve.Answer{}, errors.New("forbidden")
}

// Faults of the message or its sender fail all, faults of the configuration
// defer all; nothing is looked up, and the error names the field.
func TestBadInput(t *testing.T) {
	type args struct {
		client  *smtpclient.Client
		env     smtpclient.Envelope
		content smtpclient.Content
	}
	tests := []struct {
		name   string
		change func(a *args)
		want   string
		field  string
	}{
		{"no sender", func(a *args) { a.env.From = "" }, "failed input 5.1.7", "Envelope.From"},
		{"sender without domain", func(a *args) { a.env.From = "ann" }, "failed input 5.1.7", "Envelope.From"},
		{"sender in angle brackets", func(a *args) { a.env.From = "<ann@example.org>" }, "failed input 5.1.7", "Envelope.From"},
		{"sender with CRLF", func(a *args) { a.env.From = "ann@example.org>\r\nRCPT TO:<x@example.org" }, "failed input 5.1.7", "Envelope.From"},
		{"sender with LF in quotes", func(a *args) { a.env.From = "\"a\nb\"@example.org" }, "failed input 5.1.7", "Envelope.From"},
		{"sender with NUL", func(a *args) { a.env.From = "ann\x00@example.org" }, "failed input 5.1.7", "Envelope.From"},
		{"sender with parameters", func(a *args) { a.env.From = "ann@example.org> SIZE=1" }, "failed input 5.1.7", "Envelope.From"},
		{"sender neither ASCII nor UTF-8", func(a *args) { a.env.From = "\xe4nn@example.org" }, "failed input 5.1.7", "Envelope.From"},
		{"ENVID with a control character", func(a *args) { a.env.EnvID = "x\r\n" }, "failed input 5.5.4", "Envelope.EnvID"},
		{"E33 ENVID too long", func(a *args) { a.env.EnvID = strings.Repeat("+", 34) }, "failed input 5.5.4", "Envelope.EnvID"},
		{"unknown Body", func(a *args) { a.env.Body = 9 }, "failed input 5.5.4", "Envelope.Body"},
		{"unknown Return", func(a *args) { a.env.Return = 9 }, "failed input 5.5.4", "Envelope.Return"},
		{"unknown Verify", func(a *args) { a.env.Verify = 9 }, "failed input 5.5.4", "Envelope.Verify"},
		{"Priority too high", func(a *args) { a.env.Priority = 10 }, "failed input 5.5.4", "Envelope.Priority"},
		{"By in the past", func(a *args) { a.env.By = smtpclient.DeliverBy{Within: -time.Second, Return: true} }, "failed input 5.5.4", "Envelope.By"},
		{"By without time", func(a *args) { a.env.By = smtpclient.DeliverBy{Trace: true} }, "failed input 5.5.4", "Envelope.By"},
		{"By too long", func(a *args) { a.env.By.Within = 1e9 * time.Second }, "failed input 5.5.4", "Envelope.By"},
		{"HoldFor in the past", func(a *args) { a.env.HoldFor = -1 }, "failed input 5.5.4", "Envelope.HoldFor"},
		{"HoldFor and HoldUntil", func(a *args) { a.env.HoldFor, a.env.HoldUntil = 1, time.Unix(1e9, 0) }, "failed input 5.5.4", "Envelope.HoldUntil"},
		{"A24 Auth with CRLF", func(a *args) { a.env.Auth = "ann@example.org\r\n" }, "failed input 5.5.4", "Envelope.Auth"},
		{"XForward with CRLF", func(a *args) { a.env.XForward = &smtpclient.ClientInfo{Name: "a\r\nb"} }, "failed input 5.5.4", "Envelope.XForward"},
		{"8-bit content declared 7-bit", func(a *args) {
			a.env.Body, a.content = smtpclient.Body7Bit, smtpclient.Bytes([]byte("\xff\r\n"))
		}, "failed input 5.6.0", "Content"},
		{"nil content", func(a *args) { a.content = nil }, "failed input 5.6.0", "Content"},
		{"NUL in content", func(a *args) { a.content = smtpclient.Bytes([]byte("Subject: x\r\n\r\na\x00b\r\n")) }, "failed input 5.6.0", "Content"},
		{"content that cannot be opened", func(a *args) { a.content = brokenContent{} }, "deferred input 4.3.0", "content cannot be opened"},
		{"next hop with CRLF", func(a *args) { a.env.NextHops = []string{"relay.example.org\r\n"} }, "deferred input 4.3.5", "Envelope.NextHops[0]"},
		{"next hop mistyped", func(a *args) { a.env.NextHops = []string{"relay.example.org", "[relay"} }, "deferred input 4.3.5", "Envelope.NextHops[1]"},
		{"client's next hop mistyped", func(a *args) { a.client.NextHops = []string{"relay.example.org:99999"} }, "deferred input 4.3.5", "Client.NextHops[0]"},
		{"LMTP without a server", func(a *args) { a.client.Protocol = smtpclient.LMTP }, "deferred input 4.3.5", "Client.NextHops"},
		{"L13 LMTP at port 25", func(a *args) {
			a.client.Protocol, a.client.NextHops = smtpclient.LMTP, []string{"store.example.org:25"}
		}, "deferred input 4.3.5", "port 25 is for SMTP"},
		{"no such protocol", func(a *args) { a.client.Protocol = 9 }, "deferred input 4.3.5", "Client.Protocol"},
		{"C28 our name with CRLF", func(a *args) { a.client.LocalName = "a\r\nb" }, "deferred input 4.3.5", "Client.LocalName"},
		{"our name with a blank", func(a *args) { a.client.LocalName = "a b" }, "deferred input 4.3.5", "Client.LocalName"},
		{"dialer's name", func(a *args) { a.client.Dialer.LocalName = "a b" }, "deferred input 4.3.5", "Dialer.LocalName"},
		{"IPv6 for IPv4", func(a *args) {
			*a.client.Dialer = smtpclient.Dialer{LocalAddr4: netip.MustParseAddr("2001:db8::1")}
		}, "deferred input 4.3.5", "Dialer.LocalAddr4"},
		{"IPv4 for IPv6", func(a *args) { *a.client.Dialer = smtpclient.Dialer{LocalAddr6: netip.MustParseAddr("192.0.2.1")} }, "deferred input 4.3.5", "Dialer.LocalAddr6"},
		{"mapped IPv4 for IPv6", func(a *args) {
			*a.client.Dialer = smtpclient.Dialer{LocalAddr6: netip.MustParseAddr("::ffff:192.0.2.1")}
		}, "deferred input 4.3.5", "Dialer.LocalAddr6"},
		{"DialContext and LocalAddr4", func(a *args) { a.client.Dialer.LocalAddr4 = netip.MustParseAddr("192.0.2.1") }, "deferred input 4.3.5", "Dialer.DialContext"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := &args{client: &w.client.Client, env: fromAnn("bob@example.net", "carol@example.com"), content: smtpclient.Bytes([]byte(hello))}
				tt.change(a)
				w.untouched()
				report, err := w.client.Deliver(t.Context(), a.env, a.content)
				checkError(t, report, err)
				expect(t, report, "bob@example.net "+tt.want, "carol@example.com "+tt.want)
				if !strings.Contains(err.Error(), tt.field) {
					t.Errorf("error %q does not name %s", err, tt.field)
				}
			})
		})
	}
}

type brokenContent struct{}

func (brokenContent) Open() (io.ReadCloser, error) { return nil, errors.New("disk on fire") }
func (brokenContent) Size() int64                  { return -1 }

// A recipient at fault fails alone; the others are delivered.
func TestBadRecipient(t *testing.T) {
	for _, bad := range []string{
		"", "bob", "@example.net", "bob@", "bob@@example.net", "bob@exa mple.net", ".bob@example.net", "bo..b@example.net", "bob.@example.net",
		"<bob@example.net>", "Bob <bob@example.net>", " bob@example.net", "bob@example.net ", "bob@example.net\r\nDATA", "bob\n@example.net", "bob\x00@example.net",
		"\"bob\r\n\"@example.net", "bob@example.net> ORCPT=x", "b\xf3b@example.net", "b\u0085b@example.net", "bob@-example.net", "bob@[300.1.1.1]", "bob@[IPv6:xyz]", "bob@[x:y]",
		strings.Repeat("b", 65) + "@example.net", "bob@" + strings.Repeat("b", 64) + ".example.net", "bob@exam\u2028ple.net", "bob@xn--\x00.example", "postmaster",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{})
			report := w.deliver(t.Context(), fromAnn("carol@example.net", bad, "dave@example.net"), hello)
			expect(t, report, "carol@example.net delivered data-done 2.0.0", bad+" failed input 5.1.3", "dave@example.net delivered data-done 2.0.0")
			if err := report.Outcomes[1].Err(); err == nil || !strings.Contains(err.Error(), "Envelope.To") || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("%q: error %q does not name the field, or is not safe to log", bad, err)
			}
			if got := strings.Join(mx.Messages()[0].To, " "); got != "carol@example.net dave@example.net" {
				t.Errorf("%q: the server has %s", bad, got)
			}
		})
	}
}

// A recipient at fault is no reason to look anything up.
func TestOnlyBadRecipients(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.untouched()
		report := w.deliver(t.Context(), fromAnn("bob", "carol@"), hello)
		expect(t, report, "bob failed input 5.1.3", "carol@ failed input 5.1.3")
	})
}

func TestNoRecipients(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.untouched()
		report, err := w.client.Deliver(t.Context(), smtpclient.Envelope{From: "ann@example.org"}, smtpclient.Bytes([]byte(hello)))
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Stage != smtpclient.StageInput || e.Temporary() || !strings.Contains(err.Error(), "Envelope.To") {
			t.Errorf("got %v, want an input error about Envelope.To", err)
		}
		if len(report.Outcomes) != 0 || report.Err() == nil {
			t.Errorf("report %+v, want no outcomes and an error", report)
		}
	})
}

// E33: what is wrong with a recipient's wishes fails that recipient.
func TestBadRecipientParameters(t *testing.T) {
	for _, tt := range []struct {
		to    smtpclient.Recipient
		field string
	}{
		{smtpclient.Recipient{Notify: smtpclient.NotifyNever | smtpclient.NotifyDelay}, "Notify"},
		{smtpclient.Recipient{Notify: 1 << 7}, "Notify"},
		{smtpclient.Recipient{ORCPT: "bob@example.net"}, "ORCPT"},
		{smtpclient.Recipient{ORCPT: ";bob@example.net"}, "ORCPT"},
		{smtpclient.Recipient{ORCPT: "rfc822;"}, "ORCPT"},
		{smtpclient.Recipient{ORCPT: "rfc 822;bob@example.net"}, "ORCPT"},
		{smtpclient.Recipient{ORCPT: "rfc822;bob\r\n@example.net"}, "ORCPT"},
		{smtpclient.Recipient{ORCPT: "rfc822;böb@example.net"}, "ORCPT"},
		{smtpclient.Recipient{ORCPT: "utf-8;b\xf6b@example.net"}, "ORCPT"},
		{smtpclient.Recipient{ORCPT: "rfc822;" + strings.Repeat("b", 500)}, "ORCPT"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			tt.to.Address = "bob@example.net"
			env := fromAnn("carol@example.net")
			env.To = append(env.To, tt.to)
			report := w.deliver(t.Context(), env, hello)
			expect(t, report, "carol@example.net delivered data-done 2.0.0", "bob@example.net failed input 5.1.3")
			if err := report.Outcomes[1].Err(); err == nil || !strings.Contains(err.Error(), "Envelope.To[1]."+tt.field) {
				t.Errorf("error %q does not name %s", err, tt.field)
			}
		})
	}
}

// What is written of an address is its meaning: domains as A-labels, local parts
// as given, quoted where they must be.
func TestAddressesOnTheWire(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: lockstep})
		w.client.NextHops = []string{"[192.0.2.10]"}
		env := smtpclient.Envelope{From: "\"ann b\"@Bücher.example", To: []smtpclient.Recipient{
			{Address: "Bob@EXAMPLE.net"}, {Address: `"a@b"@example.net`}, {Address: "bob@[192.0.2.1]"}, {Address: "postmaster"}, {Address: `"a> SIZE=9"@example.net`},
		}}
		report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		if err != nil {
			t.Fatal(err)
		}
		m := mx.Messages()[0]
		if m.From != `"ann b"@xn--bcher-kva.example` {
			t.Errorf("MAIL FROM:<%s>", m.From)
		}
		if got, want := strings.Join(m.To, " "), `Bob@example.net "a@b"@example.net bob@[192.0.2.1] postmaster "a> SIZE=9"@example.net`; got != want {
			t.Errorf("RCPT TO %s, want %s", got, want)
		}
	})
}

// The null reverse path is written on purpose.
func TestNullReversePath(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		env := fromAnn("bob@example.net")
		env.From = "<>"
		report := w.deliver(t.Context(), env, hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if got := mx.Messages()[0].From; got != "" {
			t.Errorf("MAIL FROM:<%s>", got)
		}
	})
}

// The same address twice is one RCPT and two outcomes.
func TestDuplicateRecipients(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.absentMX(10)
		mx := w.mx(20, &smtptest.Server{Script: onRcpt("carol@", "550 5.1.1 nobody")})
		env := fromAnn("bob@example.net", "carol@example.net", "bob@EXAMPLE.net", "carol@example.net", "Bob@example.net")
		report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		expect(t, report,
			"bob@example.net delivered data-done 2.0.0", "carol@example.net failed rcpt 5.1.1", "bob@EXAMPLE.net delivered data-done 2.0.0",
			"carol@example.net failed rcpt 5.1.1", "Bob@example.net delivered data-done 2.0.0")
		if got, want := strings.Join(mx.Messages()[0].To, " "), "bob@example.net Bob@example.net"; got != want {
			t.Errorf("RCPT TO %s, want %s", got, want)
		}
		for _, o := range report.Outcomes {
			if len(o.Earlier) != 1 {
				t.Errorf("%s has %d earlier attempts, want 1", o.Address, len(o.Earlier))
			}
		}
		report.Outcomes[0].Earlier[0].Host = "changed by whom the report belongs to"
		if got := report.Outcomes[2].Earlier[0].Host; got != "mx10.example.net" {
			t.Errorf("the earlier attempt of the second went to %q", got)
		}
	})
}

// An address that this machine does not have defers, and no other address of the
// family is tried.
func TestBindRefused(t *testing.T) {
	w := &world{t: t, net: smtptest.Network{}, dns: resolve.Static{}}
	w.dns[resolve.Question{Name: "example.net", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}}
	w.dns[resolve.Question{Name: "mx.example.net", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}}
	w.client = heldClient{smtpclient.Client{Resolver: w.dns, Routing: resolve.Routing{Local: true, Port: 1},
		Dialer: &smtpclient.Dialer{LocalAddr4: netip.MustParseAddr("192.0.2.77")}}, &w.books}
	defer w.books.Check(t)
	report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
	expect(t, report, "bob@example.net deferred connect 4.3.5")
	o := report.Outcomes[0]
	if len(o.Earlier) != 0 {
		t.Errorf("%d more attempts were made", len(o.Earlier))
	}
	if !strings.Contains(o.Err().Error(), "192.0.2.77") {
		t.Errorf("error %q does not name the local address", o.Err())
	}
}
