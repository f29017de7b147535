package main

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// shop gives the sender a client that only knows one server, in memory. Nothing else
// about it is for tests.
func shop(server *smtptest.Server) receipts {
	return receipts{
		client: &smtpclient.Client{
			LocalName: "shop.example.org",
			NextHops:  []string{"[mx.example.net]"},
			Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
			TLS:       tlspolicy.Policy{Level: tlspolicy.Verify, Roots: server.Roots()},
			Resolver: resolve.Static{
				{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}},
			},
			Cache: cache.None, // or what one test learns of the server, the next one knows
		},
		retry: 15 * time.Minute,
		tries: 20,
	}
}

// In a bubble of testing/synctest the clock stands still while something runs, and
// jumps when all wait: half an hour of greylisting takes no time.
func TestGreylisting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: smtptest.Greylist(20 * time.Minute)}
		defer server.Close()
		start := time.Now()
		if got := shop(server).send(t.Context(), "bob@example.net", "1"); got != sent {
			t.Errorf("got %q", got)
		}
		if wait := time.Since(start); wait != 30*time.Minute {
			t.Errorf("it took %v, and not two tries that are 15 minutes apart", wait)
		}
		check(t, server, 1)
	})
}

// The connection is lost when the message is there and the server has not said so. To
// send it again could deliver it twice.
func TestLostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == smtptest.EndOfData {
				return smtptest.Action{Fault: smtptest.Drop}
			}
			return smtptest.Action{}
		}}
		defer server.Close()
		if got := shop(server).send(t.Context(), "bob@example.net", "1"); got != unsure {
			t.Errorf("got %q", got)
		}
		check(t, server, 1)
	})
}

// The certificate is one for another name. No byte of the message may go there, and the
// mail waits until somebody has repaired it.
func TestBadCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}}
		defer server.Close()
		if got := shop(server).send(t.Context(), "bob@example.net", "1"); got != gaveUp {
			t.Errorf("got %q", got)
		}
		check(t, server, 0)
	})
}

// The customer has mistyped his address.
func TestBadAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "RCPT" {
				return smtptest.Action{Reply: "550 5.1.1 no such user"}
			}
			return smtptest.Action{}
		}}
		defer server.Close()
		if got := shop(server).send(t.Context(), "nobody@example.net", "1"); got != bad {
			t.Errorf("got %q", got)
		}
		check(t, server, 0)
	})
}

// The program is stopped while a message waits.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: smtptest.Greylist(time.Hour)}
		defer server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got := shop(server).send(ctx, "bob@example.net", "1"); got != stopped {
			t.Errorf("got %q", got)
		}
	})
}

// check counts what has arrived, and asks whether the client kept to the standards.
func check(t *testing.T, server *smtptest.Server, messages int) {
	t.Helper()
	if got := len(server.Messages()); got != messages {
		t.Errorf("%d messages arrived, want %d", got, messages)
	}
	if faults := server.Violations(); len(faults) > 0 {
		t.Errorf("the client broke the standards: %q", faults)
	}
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil || !strings.HasPrefix(out.String(), "order 1: sent\n") {
		t.Errorf("%v\n%s", err, &out)
	}
}
