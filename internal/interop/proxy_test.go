package interop

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// onBehalf is the address that servers are told by HAProxy's protocol.
const onBehalf = "198.51.100.7"

// proxied is a Dialer that tells it, from a local address of its own.
func proxied() *smtpclient.Dialer {
	local := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(proxyHost)}}
	p := &smtpclient.ProxyProtocol{Source4: netip.MustParseAddr(onBehalf), Dial: local.DialContext}
	return &smtpclient.Dialer{DialContext: p.DialContext}
}

// proxyHost is whom Exim believes.
const proxyHost = "127.0.0.50"

// Real servers that expect HAProxy's PROXY protocol take our header, in plaintext
// and before STARTTLS, and write down the address that it tells.
func TestProxyProtocol(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) server{
		"Postfix": func(t *testing.T) server {
			return ownPostfix(t, PostfixSettings{Master: Watched + ":PORT inet n - n - - smtpd\n" +
				"  -o smtpd_upstream_proxy_protocol=haproxy\n"})
		},
		"Exim": func(t *testing.T) server { return ownExim(t, EximSettings{Main: "hosts_proxy = " + proxyHost}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			door := map[string]string{"Postfix": Watched, "Exim": EximFull}[name]
			for _, level := range []tlspolicy.Level{tlspolicy.None, tlspolicy.Encrypt} {
				client := clientTo(s, door)
				client.Dialer, client.TLS = proxied(), level
				box := s.NewMailbox("example.test")
				report := deliver(t, client, simple("proxied"), box)
				wantDelivered(t, report)
				if tls := report.Outcomes[0].TLS; tls.Reached != level {
					t.Errorf("TLS %v, want %v", tls.Reached, level)
				}
				stored, err := s.Stored(box, 1)
				if err != nil {
					t.Fatal(err)
				}
				if text := string(stored[0]); !strings.Contains(text, onBehalf) || strings.Contains(text, proxyHost) {
					t.Errorf("the server was not told whose connection it is:\n%s", text)
				}
			}
		})
	}
}

// Likewise Dovecot, by LMTP.
func TestProxyProtocolToDovecot(t *testing.T) {
	d := dovecotStore(t)
	for _, level := range []tlspolicy.Level{tlspolicy.None, tlspolicy.Encrypt} {
		client := &lmtp.Client{Servers: []string{"inet:" + d.Addr(DovecotProxied)}, LocalName: "relay.example.test", TLS: level, Dialer: proxied()}
		box := d.NewMailbox("example.test")
		report, err := client.Deliver(t.Context(), smtpclient.Envelope{From: "ann@example.test", To: []smtpclient.Recipient{{Address: box}}},
			smtpclient.Bytes([]byte("Subject: proxied\r\n\r\nHello\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if tls := report.Outcomes[0].TLS; tls.Reached != level {
			t.Errorf("TLS %v, want %v", tls.Reached, level)
		}
		if _, err := d.Stored(box, 1); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.WaitForLog("lmtp(", "Connect from "+onBehalf); err != nil {
		t.Error(err)
	}
}

// A real SOCKS5 proxy takes our connections, in plaintext and with STARTTLS inside,
// and what it refuses is told: our password at once, a server that is not there as
// that server's fault.
func TestSOCKS5Proxy(t *testing.T) {
	proxy, err := StartSOCKS()
	present(t, err)
	t.Cleanup(proxy.Stop)
	s := ownPostfix(t, PostfixSettings{})
	nobody, err := FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, user, password, addr string
		want                       string
	}{
		{"right", SOCKSUser, SOCKSPassword, s.Addr(PostfixFull), "delivered data-done 2.0.0"},
		{"wrong password", SOCKSUser, "guess", s.Addr(PostfixFull), "deferred connect 4.3.0"},
		{"no password", "", "", s.Addr(PostfixFull), "deferred connect 4.3.0"},
		{"nobody there", SOCKSUser, SOCKSPassword, hostPort("127.0.0.1", nobody), "deferred connect 4.4.1"},
	} {
		for _, level := range []tlspolicy.Level{tlspolicy.None, tlspolicy.Encrypt} {
			t.Run(c.name+" "+level.String(), func(t *testing.T) {
				via := &smtpclient.SOCKS5{Server: proxy.Addr, User: c.user, Password: c.password}
				client := clientAt(c.addr)
				client.Dialer, client.TLS = &smtpclient.Dialer{DialContext: via.DialContext}, level
				box := s.NewMailbox("example.test")
				o := deliver(t, client, simple("by SOCKS"), box).Outcomes[0]
				if got := o.Status.String() + " " + o.Stage.String() + " " + o.Enhanced; got != c.want {
					t.Fatalf("got %s, want %s: %v", got, c.want, o.Err())
				}
				if o.Status != smtpclient.Delivered {
					return
				}
				if o.TLS.Reached != level {
					t.Errorf("TLS %v, want %v", o.TLS.Reached, level)
				}
				if front, _ := stored(t, s, box); !strings.Contains(front, SOCKSHost) {
					t.Errorf("the server saw another address than the proxy's:\n%s", front)
				}
			})
		}
	}
}
