package resolve

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// useFile makes d read text instead of /etc/resolv.conf, as of the given second.
func useFile(t *testing.T, d *DNS, text string, second int64) {
	t.Helper()
	if d.conf.path == "" {
		d.conf.path = filepath.Join(t.TempDir(), "resolv.conf")
	}
	if err := os.WriteFile(d.conf.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(d.conf.path, time.Time{}, time.Unix(second, 0)); err != nil {
		t.Fatal(err)
	}
}

func udp(addrs ...string) []nameServer {
	var servers []nameServer
	for _, addr := range addrs {
		host, _, _ := net.SplitHostPort(addr)
		servers = append(servers, nameServer{text: addr, network: "udp", addr: addr, name: host})
	}
	return servers
}

func TestConfig(t *testing.T) {
	tests := []struct {
		name, file string
		dns        *DNS // nil: zero
		want       config
	}{
		{
			name: "file",
			file: "search example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n",
			want: config{servers: udp("192.0.2.53:53", "[2001:db8::53]:53"), search: []string{"example.org"}},
		},
		{
			name: "options",
			file: "nameserver 192.0.2.53\noptions timeout:3 attempts:4 ndots:2 rotate trust-ad edns0 no-tld-query ndots:x\n",
			want: config{servers: udp("192.0.2.53:53"), timeout: 3 * time.Second, attempts: 4, dots: 2, rotate: true, trustAD: true},
		},
		{
			name: "options out of bounds",
			file: "nameserver 192.0.2.53\noptions timeout:9999999999 attempts:1000\noptions ndots:99\n",
			want: config{servers: udp("192.0.2.53:53"), timeout: 30 * time.Second, attempts: 5, dots: 15},
		},
		{
			name: "options of nothing",
			file: "nameserver 192.0.2.53\noptions timeout:0 attempts:0 ndots:0 timeout:-1 timeout\n",
			want: config{servers: udp("192.0.2.53:53"), timeout: time.Second, attempts: 1, dots: 0},
		},
		{
			name: "four servers",
			file: "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
			want: config{servers: udp("192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53")},
		},
		{
			name: "comments and what is none",
			file: "# nameserver 192.0.2.1\n; nameserver 192.0.2.2\n nameserver 192.0.2.3\nnameserver\nnameserver dns.example\n\nlookup file bind\nnameserver 192.0.2.4 # mine\n",
			want: config{servers: udp("192.0.2.4:53")},
		},
		{
			name: "the last list counts",
			file: "search a.example b.example\ndomain c.example\nsearch d.example e.example\nnameserver fe80::1%eth0\n",
			want: config{servers: udp("[fe80::1%eth0]:53"), search: []string{"d.example", "e.example"}},
		},
		{name: "no server", file: "# nothing\n", want: config{servers: udp("127.0.0.1:53")}},
		{
			name: "Timeout goes first",
			file: "nameserver 192.0.2.53\noptions timeout:3\n",
			dns:  &DNS{Timeout: time.Minute, Total: time.Hour},
			want: config{servers: udp("192.0.2.53:53"), timeout: time.Minute, total: time.Hour},
		},
		{
			name: "Servers go first",
			file: "nameserver 192.0.2.53\noptions timeout:3 attempts:4 rotate trust-ad\n",
			dns:  &DNS{Servers: []string{"192.0.2.1", "192.0.2.2:5353", "2001:db8::1", "[2001:db8::2]", "dns.example:53"}},
			want: config{servers: udp("192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53", "[2001:db8::2]:53", "dns.example:53")},
		},
		{
			name: "Servers with the list of the file",
			file: "nameserver 192.0.2.53\nsearch example.org\noptions timeout:3 ndots:3 rotate trust-ad\n",
			dns:  &DNS{Servers: []string{"192.0.2.1"}, Search: SearchSingle},
			want: config{servers: udp("192.0.2.1:53"), search: []string{"example.org"}, dots: 3},
		},
		{
			name: "SearchList goes first",
			file: "nameserver 192.0.2.53\nsearch example.org\n",
			dns:  &DNS{Search: SearchSingle, SearchList: []string{"example.net"}, Rotate: true},
			want: config{servers: udp("192.0.2.53:53"), search: []string{"example.net"}, rotate: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.dns == nil {
				tt.dns = &DNS{}
			}
			want := tt.want
			want.timeout = cmp.Or(want.timeout, 5*time.Second)
			want.total = cmp.Or(want.total, time.Minute)
			want.attempts = cmp.Or(want.attempts, 2)
			if !strings.Contains(tt.file, "ndots:0") {
				want.dots = cmp.Or(want.dots, 1)
			}
			useFile(t, tt.dns, tt.file, 1)
			got, err := tt.dns.config()
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestConfigUsesTCP(t *testing.T) {
	var d DNS
	useFile(t, &d, "options use-vc\nnameserver 192.0.2.53\n", 1)
	got, err := d.config()
	if err != nil || len(got.servers) != 1 || got.servers[0].network != "tcp" || got.servers[0].text != "tcp://192.0.2.53:53" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseServer(t *testing.T) {
	tests := []struct {
		text string
		want nameServer
	}{
		{"192.0.2.53", nameServer{"192.0.2.53:53", "udp", "192.0.2.53:53", "192.0.2.53"}},
		{"tcp://192.0.2.53", nameServer{"tcp://192.0.2.53:53", "tcp", "192.0.2.53:53", "192.0.2.53"}},
		{"tcp://[2001:db8::53]:5353", nameServer{"tcp://[2001:db8::53]:5353", "tcp", "[2001:db8::53]:5353", "2001:db8::53"}},
		{"tls://192.0.2.53", nameServer{"tls://192.0.2.53:853", "tls", "192.0.2.53:853", "192.0.2.53"}},
		{"tls://192.0.2.53#dns.example.net", nameServer{"tls://192.0.2.53:853", "tls", "192.0.2.53:853", "dns.example.net"}},
		{"tls://[2001:db8::53]:8853#dns.example.net", nameServer{"tls://[2001:db8::53]:8853", "tls", "[2001:db8::53]:8853", "dns.example.net"}},
		{"tls://dns.example.net", nameServer{"tls://dns.example.net:853", "tls", "dns.example.net:853", "dns.example.net"}},
		{"2001:db8::53", nameServer{"[2001:db8::53]:53", "udp", "[2001:db8::53]:53", "2001:db8::53"}},
	}
	for _, tt := range tests {
		if got, err := parseServer(tt.text); err != nil || got != tt.want {
			t.Errorf("%q: got %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"", "tls://", "https://dns.example.net/dns-query", "udp://192.0.2.53#name", "192.0.2.53#name",
		"tls://192.0.2.53/path", "192.0.2.53 53", "tls://#name", "192.0.2.53]:53", "a]b"} {
		d := DNS{Servers: []string{text}}
		if got, err := d.config(); err == nil || !strings.Contains(err.Error(), "DNS.Servers") {
			t.Errorf("%q: got %+v, %v; want an error that names the field", text, got, err)
		}
	}
}

// The file is looked at every five seconds.
func TestConfigIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d DNS
		for _, step := range []struct {
			text   string
			second int64
			wait   time.Duration
			want   string
		}{
			{"nameserver 192.0.2.1\n", 1, 0, "192.0.2.1:53"},
			{"nameserver 192.0.2.2\n", 1, time.Minute, "192.0.2.1:53"}, // neither time nor size tells
			{"nameserver 192.0.2.3\n", 2, time.Minute, "192.0.2.3:53"},
			{"nameserver 192.0.2.44\n", 2, 4 * time.Second, "192.0.2.3:53"}, // too early
			{"nameserver 192.0.2.44\n", 2, time.Second, "192.0.2.44:53"},
		} {
			time.Sleep(step.wait)
			useFile(t, &d, step.text, step.second)
			got, err := d.config()
			if err != nil || len(got.servers) != 1 || got.servers[0].addr != step.want {
				t.Errorf("%+v: got %+v, %v", step, got, err)
			}
		}
		if err := os.Remove(d.conf.path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got, err := d.config(); err != nil || got.servers[0].addr != "192.0.2.44:53" {
			t.Errorf("while the file is away: got %+v, %v", got, err)
		}
	})
}

// As on Windows.
func TestConfigWithoutFile(t *testing.T) {
	d := DNS{DialContext: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled without a server")
		return nil, errors.New("no")
	}}
	d.conf.path = filepath.Join(t.TempDir(), "none")
	_, err := d.Lookup(t.Context(), Question{"example.org", TypeMX})
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "set DNS.Servers") {
		t.Errorf("got %v", err)
	}
}

// Whatever the file holds, there are servers to ask, within bounds.
func FuzzParseConf(f *testing.F) {
	for _, text := range []string{"", "nameserver 192.0.2.1\noptions timeout:3 attempts:4 rotate use-vc trust-ad ndots:2\nsearch a.example b.example\n",
		"nameserver fe80::1%eth0\nnameserver ::\nnameserver x\n", "options timeout:-9 attempts:99999999999999999999 ndots:\n", "\x00\nsearch\ndomain \n;\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := parseConf(text)
		if n := len(c.servers); n < 1 || n > maxServers || c.attempts < 1 || c.attempts > maxAttempts ||
			c.timeout < 0 || c.timeout > maxTimeout*time.Second || c.dots < 0 || c.dots > maxDots || len(c.search) > maxSearch {
			t.Errorf("%q became %+v", text, c)
		}
		for _, s := range c.servers {
			if host, port, err := net.SplitHostPort(s.addr); err != nil || host == "" || port != "53" {
				t.Errorf("%q has the server %+v", text, s)
			}
		}
	})
}
