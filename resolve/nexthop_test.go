package resolve_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
)

func TestParseNextHop(t *testing.T) {
	tests := []struct {
		in   string
		want resolve.NextHop
		text string // "": the same as in
	}{
		{in: "example.org", want: resolve.NextHop{Name: "example.org"}},
		{in: "Example.ORG.", want: resolve.NextHop{Name: "example.org"}, text: "example.org"},
		{in: "example.org:587", want: resolve.NextHop{Name: "example.org", Port: 587}},
		{in: "example.org:smtp", want: resolve.NextHop{Name: "example.org", Port: 25}, text: "example.org:25"},
		{in: "example.org:Submission", want: resolve.NextHop{Name: "example.org", Port: 587}, text: "example.org:587"},
		{in: "example.org:submissions", want: resolve.NextHop{Name: "example.org", Port: 465}, text: "example.org:465"},
		{in: "example.org:smtps", want: resolve.NextHop{Name: "example.org", Port: 465}, text: "example.org:465"},
		{in: "example.org:65535", want: resolve.NextHop{Name: "example.org", Port: 65535}},
		{in: "Bücher.example", want: resolve.NextHop{Name: "xn--bcher-kva.example"}, text: "xn--bcher-kva.example"},
		{in: "[mx.example.org]", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "mx.example.org"}},
		{in: "[MX.example.org]:lmtp", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "mx.example.org", Port: 24}, text: "[mx.example.org]:24"},
		{in: "[bücher.example]:1", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "xn--bcher-kva.example", Port: 1}, text: "[xn--bcher-kva.example]:1"},
		{in: "[192.0.2.1]", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "192.0.2.1"}},
		{in: "[192.0.2.1]:2525", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "192.0.2.1", Port: 2525}},
		{in: "[2001:DB8::1]:587", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "2001:db8::1", Port: 587}, text: "[2001:db8::1]:587"},
		{in: "[IPv6:2001:db8::1]", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "2001:db8::1"}, text: "[2001:db8::1]"},
		{in: "[IPv6:2001:db8::1]:25", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "2001:db8::1", Port: 25}, text: "[2001:db8::1]:25"},
		{in: "[::ffff:192.0.2.1]", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "192.0.2.1"}, text: "[192.0.2.1]"},
		{in: "inet:mx.example.org", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "mx.example.org"}, text: "[mx.example.org]"},
		{in: "inet:mx.example.org:24", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "mx.example.org", Port: 24}, text: "[mx.example.org]:24"},
		{in: "inet:192.0.2.1:lmtp", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "192.0.2.1", Port: 24}, text: "[192.0.2.1]:24"},
		{in: "inet:[2001:db8::1]:24", want: resolve.NextHop{Kind: resolve.ViaHost, Name: "2001:db8::1", Port: 24}, text: "[2001:db8::1]:24"},
		{in: "unix:/run/dovecot/lmtp", want: resolve.NextHop{Kind: resolve.ViaSocket, Name: "/run/dovecot/lmtp"}},
		{in: "unix:/run/a b:c", want: resolve.NextHop{Kind: resolve.ViaSocket, Name: "/run/a b:c"}},
	}
	for _, tt := range tests {
		got, err := resolve.ParseNextHop(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseNextHop(%q) = %+v, %v, want %+v", tt.in, got, err, tt.want)
			continue
		}
		text := tt.text
		if text == "" {
			text = tt.in
		}
		if got.String() != text {
			t.Errorf("ParseNextHop(%q) is written %q, want %q", tt.in, got, text)
		}
	}
}

func TestParseNextHopRefuses(t *testing.T) {
	tests := []struct{ in, says string }{
		{"", "empty"},
		{".", "empty"},
		{"192.0.2.1", "write an address in brackets, as [192.0.2.1]"},
		{"192.0.2.1:25", "in brackets"},
		{"2001:db8::1", "write an address in brackets, as [2001:db8::1]"},
		{"2001:db8::1%eth0", "as [2001:db8::1]"},
		{"example.org:", "a number from 1 to 65535"},
		{"example.org:0", "a number from 1 to 65535"},
		{"example.org:65536", "a number from 1 to 65535"},
		{"example.org:-25", "a number from 1 to 65535"},
		{"example.org:imap", "or smtp, submission"},
		{"example.org:25:26", `has ":"`},
		{"example..org", "empty label"},
		{"a b.example", `has " "`},
		{"example.org, example.net", `has ","`},
		{"example.org\r\n", `has "\r"`},
		{"bob@example.org", `has "@"`},
		{"[mx.example.org", "closing bracket is missing"},
		{"[mx.example.org]587", "only a colon and a port may follow"},
		{"[]", "empty"},
		{"[[192.0.2.1]]", "may follow the bracket"},
		{"[mx.example.org:25]", `has ":"`},
		{"[fe80::1%eth0]:25", "zone"},
		{"[IPv6:192.0.2.1]", `has ":"`},
		{"[x:y]", `has ":"`},
		{"inet:", "empty"},
		{"inet:2001:db8::1:24", "in brackets, as inet:[2001:db8::1]:24"},
		{"unix:", "whole path"},
		{"unix:run/lmtp.sock", "whole path"},
		{"unix:/run/lmtp\n.sock", "control character"},
	}
	for _, tt := range tests {
		hop, err := resolve.ParseNextHop(tt.in)
		if err == nil || hop != (resolve.NextHop{}) {
			t.Errorf("ParseNextHop(%q) = %+v, %v, want an error alone", tt.in, hop, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseNextHop(%q): %v; does not say %q", tt.in, err, tt.says)
		}
	}
}

func FuzzParseNextHop(f *testing.F) {
	for _, s := range []string{"example.org:smtp", "[IPv6:2001:db8::1]:587", "inet:[192.0.2.1]", "unix:/run/x", "ü.example", "[::]:1", "inet:x:y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hop, err := resolve.ParseNextHop(s)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("the error %q is not printable", err)
			}
			return
		}
		if hop.Name == "" {
			t.Errorf("ParseNextHop(%q) has no name", s)
		}
		if strings.ContainsAny(hop.Name, "\r\n\x00") {
			t.Errorf("ParseNextHop(%q) lets control characters through", s)
		}
		back, err := resolve.ParseNextHop(hop.String())
		if err != nil || back != hop {
			t.Errorf("ParseNextHop(%q) = %+v, which reads back from %q as %+v, %v", s, hop, hop, back, err)
		}
	})
}
