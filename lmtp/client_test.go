package lmtp_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

const message = "Subject: Hello\r\n\r\nHello.\r\n"

func envelope(to ...string) smtpclient.Envelope {
	return smtpclient.Envelope{From: "ann@example.org", To: smtpclient.To(to...)}
}

// store is an LMTP server in memory behind a client.
func store(s *smtptest.Server) *lmtp.Client {
	s.Mode = smtptest.LMTP
	return &lmtp.Client{
		Servers:   []string{"inet:192.0.2.1"},
		LocalName: "relay.example.org",
		Dialer:    &smtpclient.Dialer{DialContext: s.DialContext},
	}
}

// verdicts are the outcomes as "address status enhanced".
func verdicts(r smtpclient.Report) string {
	var b strings.Builder
	for _, o := range r.Outcomes {
		b.WriteString(o.Address + " " + o.Status.String() + " " + o.Enhanced + "\n")
	}
	return b.String()
}

// Every recipient has a verdict of his own; one who was refused at RCPT has no
// share in the replies after the content, and the same address twice has two.
func TestClientMixedVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			switch {
			case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody"):
				return smtptest.Action{Reply: "550 5.1.1 no such user"}
			case c.Verb == smtptest.EndOfData && c.Args == "full@example.net":
				return smtptest.Action{Reply: "452 4.2.2 mailbox is full"}
			case c.Verb == smtptest.EndOfData && c.Args == "shut@example.net":
				return smtptest.Action{Reply: "552 5.2.1 mailbox is shut"}
			}
			return smtptest.Action{}
		}}
		defer server.Close()
		report, err := hold(t, store(server), server).Deliver(t.Context(), envelope("bob@example.net", "nobody@example.net", "full@example.net", "shut@example.net", "bob@example.net"), smtpclient.Bytes([]byte(message)))
		want := "bob@example.net delivered 2.0.0\nnobody@example.net failed 5.1.1\nfull@example.net deferred 4.2.2\nshut@example.net failed 5.2.1\nbob@example.net delivered 2.0.0\n"
		if got := verdicts(report); got != want || err == nil {
			t.Errorf("got\n%swant\n%s%v", got, want, err)
		}
		if got := server.Messages()[0]; len(got.To) != 4 {
			t.Errorf("the server took %v", got.To)
		}
	})
}

// The reply for the second recipient is lost: the first was delivered, and of the
// second nothing is known.
func TestClientLostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == smtptest.EndOfData && c.Args == "carol@example.net" {
				return smtptest.Action{Fault: smtptest.Drop}
			}
			return smtptest.Action{}
		}}
		defer server.Close()
		report, _ := hold(t, store(server), server).Deliver(t.Context(), envelope("bob@example.net", "carol@example.net"), smtpclient.Bytes([]byte(message)))
		if got := verdicts(report); got != "bob@example.net delivered 2.0.0\ncarol@example.net unknown 4.4.2\n" {
			t.Errorf("got\n%s", got)
		}
	})
}

// Each reply after the content has the whole time of its own.
func TestClientReplyTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == smtptest.EndOfData {
				return smtptest.Action{Delay: 9 * time.Minute}
			}
			return smtptest.Action{}
		}}
		defer server.Close()
		report, err := hold(t, store(server), server).Deliver(t.Context(), envelope("a@example.net", "b@example.net", "c@example.net"), smtpclient.Bytes([]byte(message)))
		if err != nil || report.Duration < 27*time.Minute {
			t.Errorf("after %v: %v", report.Duration, err)
		}
	})
}

// The first server that can be reached takes the mail; there is no lookup of MX
// records, and the port is 24.
func TestClientServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := smtptest.Network{"192.0.2.2:24": &smtptest.Server{Mode: smtptest.LMTP}}
		defer network.Close()
		client := &lmtp.Client{
			Servers: []string{"gone.example.org", "store.example.org"},
			Resolver: resolve.Static{
				{Name: "gone.example.org", Type: resolve.TypeA}:   {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
				{Name: "store.example.org", Type: resolve.TypeA}:  {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
				{Name: "store.example.org", Type: resolve.TypeMX}: {MX: []resolve.MX{{Host: "elsewhere.example.org"}}},
			},
			Dialer: &smtpclient.Dialer{DialContext: network.DialContext},
		}
		report, err := hold(t, client, network["192.0.2.2:24"]).Deliver(t.Context(), envelope("bob@example.net"), smtpclient.Bytes([]byte(message)))
		if err != nil || report.Outcomes[0].Addr != "192.0.2.2:24" {
			t.Errorf("%+v, %v", report.Outcomes[0].Attempt, err)
		}
	})
}

// On a socket and on loopback there is no TLS, elsewhere it is used if offered;
// a policy of one's own wins.
func TestClientTLS(t *testing.T) {
	for _, c := range []struct {
		server string
		source tlspolicy.Source
		want   tlspolicy.Level
	}{
		{"unix:/run/lmtp", nil, tlspolicy.None},
		{"inet:127.0.0.1:24", nil, tlspolicy.None},
		{"inet:[::1]:24", nil, tlspolicy.None},
		{"inet:192.0.2.1:24", nil, tlspolicy.Encrypt},
		{"unix:/run/lmtp", tlspolicy.May, tlspolicy.Encrypt},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &smtptest.Server{}
			defer server.Close()
			client := hold(t, store(server), server)
			client.Servers, client.TLS = []string{c.server}, c.source
			report, err := client.Deliver(t.Context(), envelope("bob@example.net"), smtpclient.Bytes([]byte(message)))
			if err != nil || report.Outcomes[0].TLS.Reached != c.want {
				t.Errorf("%s: reached %v, want %v: %v", c.server, report.Outcomes[0].TLS.Reached, c.want, err)
			}
		})
	}
}

// Final says delivered, unless the server took over to tell of success.
func TestClientFinal(t *testing.T) {
	for _, c := range []struct {
		final      bool
		extensions []string
		notify     smtpclient.Notify
		want       string
	}{
		{false, nil, 0, "relayed"},
		{true, []string{"PIPELINING"}, 0, "delivered"},
		{true, []string{"PIPELINING"}, smtpclient.NotifySuccess, "delivered"},
		{true, []string{"PIPELINING", "DSN"}, smtpclient.NotifySuccess, "relayed"},
		{true, []string{"PIPELINING", "DSN"}, smtpclient.NotifyFailure, "delivered"},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &smtptest.Server{Extensions: c.extensions}
			defer server.Close()
			client := hold(t, store(server), server)
			client.Final = c.final
			env := envelope("bob@example.net")
			env.To[0].Notify = c.notify
			report, err := client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(message)))
			if got := report.Outcomes[0].Action; err != nil || got != c.want {
				t.Errorf("%+v: action %s, %v", c, got, err)
			}
		})
	}
}

// The reply to QUIT is waited for, and changes nothing.
func TestClientAwaitsQuit(t *testing.T) {
	for name, action := range map[string]smtptest.Action{
		"slow":    {Delay: time.Minute},
		"refused": {Reply: "500 what?"},
		"dropped": {Fault: smtptest.Drop},
		"silent":  {Fault: smtptest.Stall},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
				if c.Verb == "QUIT" {
					return action
				}
				return smtptest.Action{}
			}}
			defer server.Close()
			report, err := hold(t, store(server), server).Deliver(t.Context(), envelope("bob@example.net"), smtpclient.Bytes([]byte(message)))
			if err != nil || report.Outcomes[0].Status != smtpclient.Delivered {
				t.Errorf("%s: %v", name, err)
			}
			if name == "slow" && report.Duration < time.Minute {
				t.Errorf("returned after %v, before the reply to QUIT", report.Duration)
			}
		})
	}
}

// IGNOREQUOTA goes with RCPT where it is wanted and offered.
func TestIgnoreQuota(t *testing.T) {
	for _, c := range []struct {
		wanted bool
		offers []string
		want   string
	}{
		{true, []string{"IGNOREQUOTA"}, "IGNOREQUOTA"},
		{true, []string{"SIZE"}, ""},
		{false, []string{"IGNOREQUOTA"}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &smtptest.Server{Extensions: c.offers}
			defer server.Close()
			client := hold(t, store(server), server)
			client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return smtpclient.Quirks{IgnoreQuota: c.wanted} }
			if _, err := client.Deliver(t.Context(), envelope("bob@example.net"), smtpclient.Bytes([]byte(message))); err != nil {
				t.Fatal(err)
			}
			if got := server.Messages()[0].ToArgs[0]; got != c.want {
				t.Errorf("%+v: RCPT with %q", c, got)
			}
		})
	}
}

// What is wrong with the servers is named by its field, and nothing is lost.
func TestClientConfiguration(t *testing.T) {
	for _, c := range []struct {
		servers []string
		field   string
	}{
		{nil, "Client.Servers: "},
		{[]string{"unix:/run/lmtp", "store.example.org:25"}, "Client.Servers[1]: "},
		{[]string{"unix:lmtp"}, "Client.Servers[0]: "},
	} {
		client := hold(t, &lmtp.Client{Servers: c.servers})
		report, err := client.Deliver(t.Context(), envelope("a@example.net", "b@example.net"), smtpclient.Bytes([]byte(message)))
		if verdicts(report) != "a@example.net deferred 4.3.5\nb@example.net deferred 4.3.5\n" || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%v: %v, %v", c.servers, report, err)
		}
	}
}

// Servers are read as ParseServer reads them, an address without brackets included.
func TestClientServerForms(t *testing.T) {
	for server, addr := range map[string]string{
		"192.0.2.1":           "192.0.2.1:24",
		"192.0.2.1:2003":      "192.0.2.1:2003",
		"inet:192.0.2.1:2003": "192.0.2.1:2003",
		"[2001:db8::1]:2003":  "[2001:db8::1]:2003",
	} {
		s := &smtptest.Server{}
		client := hold(t, store(s), s)
		client.Servers = []string{server}
		report, err := client.Deliver(t.Context(), envelope("bob@example.net"), smtpclient.Bytes([]byte(message)))
		if err != nil || report.Outcomes[0].Addr != addr {
			t.Errorf("%s: delivered to %q, want %s: %v", server, report.Outcomes[0].Addr, addr, err)
		}
		s.Close()
	}
}
