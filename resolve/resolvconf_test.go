package resolve

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
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

func TestConfig(t *testing.T) {
	tests := []struct {
		name, file string
		dns        *DNS // nil: zero
		want       config
	}{
		{
			name: "file",
			file: "search example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n",
			want: config{[]string{"192.0.2.53:53", "[2001:db8::53]:53"}, 5 * time.Second, 2},
		},
		{
			name: "options",
			file: "nameserver 192.0.2.53\noptions timeout:3 attempts:4\n",
			want: config{[]string{"192.0.2.53:53"}, 3 * time.Second, 4},
		},
		{
			name: "options out of bounds",
			file: "nameserver 192.0.2.53\noptions timeout:99999999999 attempts:1000\n",
			want: config{[]string{"192.0.2.53:53"}, 30 * time.Second, 5},
		},
		{
			name: "four servers",
			file: "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
			want: config{[]string{"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"}, 5 * time.Second, 2},
		},
		{name: "no server", file: "# nothing\n", want: config{[]string{"127.0.0.1:53"}, 5 * time.Second, 2}},
		{
			name: "Timeout goes first",
			file: "nameserver 192.0.2.53\noptions timeout:3\n",
			dns:  &DNS{Timeout: time.Minute},
			want: config{[]string{"192.0.2.53:53"}, time.Minute, 2},
		},
		{
			name: "Servers go first",
			file: "nameserver 192.0.2.53\noptions timeout:3 attempts:4\n",
			dns:  &DNS{Servers: []string{"192.0.2.1", "192.0.2.2:5353", "2001:db8::1", "[2001:db8::2]", "dns.example:53"}},
			want: config{[]string{"192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53", "[2001:db8::2]:53", "dns.example:53"}, 5 * time.Second, 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.dns == nil {
				tt.dns = &DNS{}
			}
			useFile(t, tt.dns, tt.file, 1)
			got, err := tt.dns.config()
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestConfigIsReadAgain(t *testing.T) {
	var d DNS
	useFile(t, &d, "nameserver 192.0.2.1\n", 1)
	for _, step := range []struct {
		text   string
		second int64
		want   string
	}{
		{"nameserver 192.0.2.1\n", 1, "192.0.2.1:53"},
		{"nameserver 192.0.2.2\n", 1, "192.0.2.1:53"}, // neither time nor size tells
		{"nameserver 192.0.2.3\n", 2, "192.0.2.3:53"},
		{"nameserver 192.0.2.44\n", 2, "192.0.2.44:53"},
	} {
		useFile(t, &d, step.text, step.second)
		got, err := d.config()
		if err != nil || len(got.servers) != 1 || got.servers[0] != step.want {
			t.Errorf("%+v: got %+v, %v", step, got, err)
		}
	}
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
