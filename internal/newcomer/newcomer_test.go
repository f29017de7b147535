// Package newcomer has the programs that the interface was made for, written again by
// what the documentation says. They show what is awkward before it cannot be changed.
//
// Sixteen there were. Those that became programs of their own are in examples: one
// message to its MX (send), a smarthost (smarthost), LMTP (lmtp), a Resolver
// (custom-resolver), a Cache (custom-cache), notices (dsn-bounce), proxies and addresses
// (socks-and-sources), tests of a sender (testing-your-sender), reports on TLS (tlsrpt).
package newcomer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/oracle"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

const hello = "From: Ann <ann@example.org>\r\nSubject: Hello\r\n\r\nHello.\r\n"

// to is an envelope from Ann.
func to(addresses ...string) smtpclient.Envelope {
	return smtpclient.Envelope{From: "ann@example.org", To: smtpclient.To(addresses...)}
}

// sender is a Client whose reports are held against what the server has.
type sender struct {
	smtpclient.Client
	books oracle.Books
}

// clientOf is one that knows this server only.
func clientOf(t *testing.T, server *smtptest.Server) *sender {
	s := &sender{Client: smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
		Cache:     cache.None,
	}}
	t.Cleanup(func() {
		server.Close()
		s.books.Check(t, server)
	})
	return s
}

func (s *sender) Deliver(ctx context.Context, env smtpclient.Envelope, content smtpclient.Content) (smtpclient.Report, error) {
	return s.books.Hold(env, nil, func() (smtpclient.Report, error) { return s.Client.Deliver(ctx, env, content) })
}

func (s *sender) send(ctx context.Context, session *smtpclient.Session, env smtpclient.Envelope) (smtpclient.Report, error) {
	return s.books.Hold(env, []byte(hello), func() (smtpclient.Report, error) {
		return session.Send(ctx, env, smtpclient.Bytes([]byte(hello)))
	})
}

// Program 3: many messages from fifty goroutines, with a pool and a limit.
func TestManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{}
		defer server.Close()
		client := clientOf(t, server)
		client.Pool = &smtpclient.Pool{PerDestination: 4}
		defer client.Pool.Close(t.Context())
		client.Limiter = &smtpclient.LocalLimiter{
			Wait: time.Hour,
			Rules: func(u smtpclient.Use) []smtpclient.Limit {
				if u.Connection {
					return nil // the Pool counts them
				}
				return []smtpclient.Limit{{Key: u.Site, Max: 100, Per: time.Minute, Burst: 100}}
			},
		}
		start := time.Now()
		var senders sync.WaitGroup
		for i := range 50 {
			senders.Go(func() {
				for n := range 6 {
					if _, err := client.Deliver(t.Context(), to(fmt.Sprintf("user%d-%d@example.net", i, n)), smtpclient.Bytes([]byte(hello))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		senders.Wait()
		if len(server.Messages()) != 300 || server.Sessions() > 12 {
			t.Errorf("%d messages by %d connections", len(server.Messages()), server.Sessions())
		}
		if took := time.Since(start); took < 115*time.Second || took > 2*time.Minute {
			t.Errorf("300 messages, 100 at once and 100 a minute, took %v", took)
		}
	})
}

// Program 7: strict for some domains, a table for others, and what is published
// otherwise.
func TestPolicies(t *testing.T) {
	table, err := tlspolicy.ParseTable(strings.NewReader("partner.example  encrypt\nlegacy.example   none\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	strict := tlspolicy.Sources{&tlspolicy.MTASTS{}, tlspolicy.DANEOnly} // one of both, or the mail waits
	policies := tlspolicy.Sources{tlspolicy.Table{"bank.example": strict}, table, tlspolicy.Default()}
	names := resolve.Static{}
	for domain, want := range map[string]smtpclient.Status{
		"bank.example":    smtpclient.Deferred,
		"partner.example": smtpclient.Delivered,
		"legacy.example":  smtpclient.Delivered,
		"other.example":   smtpclient.Delivered,
	} {
		names[resolve.Question{Name: domain, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx." + domain}}}
		names[resolve.Question{Name: "mx." + domain, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}}
		server := &smtptest.Server{}
		client := clientOf(t, server)
		client.NextHops, client.Resolver, client.TLS = nil, names, policies
		report, _ := client.Deliver(t.Context(), to("bob@"+domain), smtpclient.Bytes([]byte(hello)))
		o := report.Outcomes[0]
		inTLS := domain == "partner.example" || domain == "other.example"
		if o.Status != want || (o.TLS.Version != 0) != inTLS {
			t.Errorf("%s: %v, TLS %v, %v", domain, o.Status, o.TLS.Reached, o.Err())
		}
		server.Close()
	}
}

// Program 11: a queue worker. Every outcome leads somewhere.
func TestQueueWorker(t *testing.T) {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Args, "full@"):
			return smtptest.Action{Reply: "452 4.2.2 full"}
		case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody@"):
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	client := clientOf(t, server)
	env := to("bob@example.net", "full@example.net", "nobody@example.net")

	report, _ := client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
	var done, later, back []string
	for i, o := range report.Outcomes {
		address := env.To[i].Address
		switch o.Status {
		case smtpclient.Delivered:
			done = append(done, address)
		case smtpclient.Failed:
			back = append(back, address) // a Notice
		case smtpclient.Deferred, smtpclient.Unknown: // Unknown: rather twice than never
			when := o.NotBefore
			if when.IsZero() {
				when = time.Now().Add(15 * time.Minute)
			}
			if when.After(time.Now()) {
				later = append(later, address)
			}
		}
	}
	if got := fmt.Sprint(done, later, back); got != "[bob@example.net] [full@example.net] [nobody@example.net]" {
		t.Error(got)
	}
}

// Program 12: a session by hand.
func TestSessionByHand(t *testing.T) {
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialer := &smtpclient.Dialer{LocalName: "mail.example.org"}
	session, err := dialer.Dial(t.Context(), smtpclient.Target{Addr: addr.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	sender := clientOf(t, server)
	if size, ok := session.Extension("SIZE"); !ok || size == "" {
		t.Errorf("SIZE %q, %v", size, ok)
	}
	for range 2 {
		if _, err := sender.send(t.Context(), session, to("bob@example.net")); err != nil {
			t.Error(err)
		}
	}
	reply, err := session.Vrfy(t.Context(), "bob")
	if err != nil || reply.Code != 252 {
		t.Errorf("%v, %v", reply, err)
	}
	if err := session.Quit(t.Context()); err != nil || len(server.Messages()) != 2 {
		t.Errorf("%v, %d messages", err, len(server.Messages()))
	}
}

// Program 13: what happens goes to slog. The module oteltrace does it for OpenTelemetry
// in the same way.
func TestTraceToLog(t *testing.T) {
	server := &smtptest.Server{}
	defer server.Close()
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, nil))
	ctx := smtpclient.WithTrace(t.Context(), smtpclient.LogReports(logger))
	if _, err := clientOf(t, server).Deliver(smtpclient.WithQueueID(ctx, "4711"), to("bob@example.net"), smtpclient.Bytes([]byte(hello))); err != nil {
		t.Error(err)
	}
	if !strings.Contains(text.String(), "queue_id=4711") || !strings.Contains(text.String(), "to=bob@example.net") {
		t.Error(text.String())
	}
}

// Program 14: a file with 8-bit content for a server without 8BITMIME, and a message
// that needs SMTPUTF8, for one without that.
func TestEightBit(t *testing.T) {
	server := &smtptest.Server{Extensions: []string{"PIPELINING"}}
	defer server.Close()
	name := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(name, []byte("Subject: Hello\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := clientOf(t, server)
	if _, err := client.Deliver(t.Context(), to("bob@example.net"), smtpclient.File(name)); err != nil {
		t.Error(err)
	}
	if m := server.Messages()[0]; m.EightBit || !bytes.Contains(m.Data, []byte("Gr=C3=BC=C3=9Fe")) {
		t.Errorf("%s", m.Data)
	}
	_, err := client.Deliver(t.Context(), to("jürgen@example.net"), smtpclient.File(name))
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Status != smtpclient.Failed || e.Enhanced != "5.6.7" {
		t.Errorf("%v", err)
	}
}

// Program 15: would a server take a message for somebody?
func TestProbe(t *testing.T) {
	server := &smtptest.Server{Script: smtptest.RelayDenied("example.net")}
	defer server.Close()
	env := to("bob@example.net", "carol@example.com")
	env.Verify = smtpclient.VerifyRcpt
	report, _ := clientOf(t, server).Deliver(context.Background(), env, nil)
	if a, b := report.Outcomes[0].Status, report.Outcomes[1].Status; a != smtpclient.Delivered || b != smtpclient.Failed {
		t.Errorf("%v, %v", a, b)
	}
	if len(server.Messages()) != 0 {
		t.Error("a message was sent")
	}
}
