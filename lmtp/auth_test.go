package lmtp_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// A store elsewhere has to prove its name before it gets the password, where no
// level is set; one on this machine gets it where the credential allows plaintext.
func TestAuth(t *testing.T) {
	for name, tt := range map[string]struct {
		server  string
		channel tlspolicy.Level
		tls     tlspolicy.Source
		login   string // "": nothing is delivered
	}{
		"elsewhere, unknown authority": {"store.example.org", 0, nil, ""},
		"elsewhere, verified":          {"store.example.org", 0, tlspolicy.Policy{}, "ann"},
		"loopback":                     {"[127.0.0.1]", 0, nil, ""},
		"loopback, allowed":            {"[127.0.0.1]", tlspolicy.None, nil, "ann"},
	} {
		t.Run(name, func(t *testing.T) {
			const password = "open-Sesame-4Kd8-store"
			heard := eavesdrop.New(password)
			server := &smtptest.Server{Mode: smtptest.LMTP, Passwords: map[string]string{"ann": password}}
			defer server.Close()
			if tt.tls != nil {
				tt.tls = tlspolicy.Policy{Roots: server.Roots()}
			}
			client := &lmtp.Client{
				Servers:  []string{tt.server},
				TLS:      tt.tls,
				Cache:    cache.None,
				Resolver: resolve.Static{{Name: "store.example.org", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}},
				Auth:     &smtpclient.Credential{User: "ann", Password: password, Channel: tt.channel},
				Dialer:   &smtpclient.Dialer{DialContext: server.DialContext},
			}
			heard.Value(client)
			report, err := hold(t, client, server).Deliver(heard.Context(t.Context()), smtpclient.Envelope{From: "a@example.org", To: []smtpclient.Recipient{{Address: "bob@example.net"}}},
				smtpclient.Bytes([]byte("Subject: x\r\n\r\nx\r\n")))
			if heard.Report(report, err); len(heard.Leaks()) > 0 {
				t.Errorf("a secret was told: %.500q", heard.Leaks())
			}
			if (err == nil) != (tt.login != "") || report.Outcomes[0].Login != tt.login {
				t.Errorf("logged in as %q: %v", report.Outcomes[0].Login, err)
			}
			for _, c := range server.Transcript(0) {
				if tt.login == "" && c.FromClient && strings.Contains(string(c.Data), "AUTH") {
					t.Errorf("the server heard %q", c.Data)
				}
			}
		})
	}
}

// A password that was refused is not shown again at once; AuthMemory says how long.
func TestAuthMemory(t *testing.T) {
	server := &smtptest.Server{Mode: smtptest.LMTP, Passwords: map[string]string{"ann": "sesame"}}
	defer server.Close()
	held := hold(t, nil, server)
	for name, tt := range map[string]struct {
		memory smtpclient.AuthMemory
		shown  int
	}{
		"as usual": {smtpclient.AuthMemory{}, 1},
		"none":     {smtpclient.AuthMemory{TTL: -1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			client := &lmtp.Client{
				Servers: []string{"[127.0.0.1]"}, Cache: &cache.Memory{}, AuthMemory: tt.memory,
				Auth:   &smtpclient.Credential{User: "ann", Password: "open", Channel: tlspolicy.None},
				Dialer: &smtpclient.Dialer{DialContext: server.DialContext},
			}
			before, shown := server.Sessions(), 0
			for range 2 {
				_, err := (&heldClient{client, held.books}).Deliver(t.Context(), smtpclient.Envelope{From: "a@example.org", To: []smtpclient.Recipient{{Address: "bob@example.net"}}},
					smtpclient.Bytes([]byte("Subject: x\r\n\r\nx\r\n")))
				if err == nil {
					t.Error("delivered with a wrong password")
				}
			}
			for i := before; i < server.Sessions(); i++ {
				for _, c := range server.Transcript(i) {
					if c.FromClient && strings.HasPrefix(string(c.Data), "AUTH") {
						shown++
					}
				}
			}
			if shown != tt.shown {
				t.Errorf("the password was shown %d times, want %d", shown, tt.shown)
			}
		})
	}
}
