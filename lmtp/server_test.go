package lmtp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func TestParseServer(t *testing.T) {
	host := func(name string, port uint16) resolve.NextHop {
		return resolve.NextHop{Kind: resolve.ViaHost, Name: name, Port: port}
	}
	for in, want := range map[string]resolve.NextHop{
		"unix:/run/lmtp":               {Kind: resolve.ViaSocket, Name: "/run/lmtp"},
		"store.example.org":            host("store.example.org", lmtp.DefaultPort),
		"inet:Store.example.org":       host("store.example.org", 24),
		"store.example.org:2003":       host("store.example.org", 2003),
		"inet:store.example.org:lmtp":  host("store.example.org", 24),
		"[2001:db8::1]":                host("2001:db8::1", 24),
		"inet:[2001:db8::1]:2003":      host("2001:db8::1", 2003),
		"192.0.2.1:2003":               host("192.0.2.1", 2003),
		"inet:[store.example.org]:587": host("store.example.org", 587),
	} {
		if got, err := lmtp.ParseServer(in); err != nil || got != want {
			t.Errorf("ParseServer(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "unix:", "unix:run/lmtp", "store.example.org:25", "inet:[192.0.2.1]:smtp", "store.example.org:0", "2001:db8::1", "a b", "a\r\nb"} {
		if got, err := lmtp.ParseServer(in); err == nil {
			t.Errorf("ParseServer(%q) = %+v, want an error", in, got)
		}
	}
}

// On a socket and on loopback there is no TLS, also where it is offered.
func TestDialWithoutTLS(t *testing.T) {
	store := &smtptest.Server{Mode: smtptest.LMTP}
	defer store.Close()
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"} {
		at, err := store.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		server := at.String()
		if network == "unix" {
			server = "unix:" + server
		}
		s, err := lmtp.Dial(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		if _, offered := s.Extension("STARTTLS"); !offered || s.ConnectionState() != nil || s.Peer().TLS.Wanted != tlspolicy.None {
			t.Errorf("%s: offered %v, %+v", network, offered, s.Peer().TLS)
		}
		if err := s.Quit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestDialRefuses(t *testing.T) {
	_, err := lmtp.Dial(t.Context(), "store.example.org:25")
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Stage != smtpclient.StageInput || !strings.Contains(err.Error(), "port 25") {
		t.Errorf("got %v", err)
	}
}
