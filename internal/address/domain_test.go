package address

import (
	"strings"
	"testing"
)

func TestDomain(t *testing.T) {
	tests := []struct{ in, want string }{
		{"example.org", "example.org"},
		{"EXAMPLE.Org.", "example.org"},
		{"localhost", "localhost"},
		{"_dc-mx.example.org", "_dc-mx.example.org"},
		{"r4---sn.example", "r4---sn.example"},
		{"4.example", "4.example"},
		{"Bücher.example", "xn--bcher-kva.example"},
		{"bücher.example.", "xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"},
		{"ａ.example", "a.example"},
		{"例え。テスト", "xn--r8jz45g.xn--zckzah"},
		{"xn--bcher-kva._x.example", "xn--bcher-kva._x.example"},
		{strings.Repeat("a", 63) + ".example", strings.Repeat("a", 63) + ".example"},
	}
	for _, tt := range tests {
		got, err := Domain(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("Domain(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestDomainRefuses(t *testing.T) {
	tests := []struct{ name, in, says string }{
		{"empty", "", "empty"},
		{"root", ".", "empty"},
		{"two final dots", "a..", "empty label"},
		{"hyphen first", "-a.example", "hyphen"},
		{"hyphen last", "a-.example", "hyphen"},
		{"E1_NUL", "a\x00.example", `has "\x00"`},
		{"E1_CRLF in IDN", "ü\r\n.example", "cannot be written as A-labels"},
		{"E1_NUL in IDN", "ü\x00.example", "cannot be written as A-labels"},
		{"E1_blank in IDN", "ü b.example", "cannot be written as A-labels"},
		{"E12_decodes to ASCII", "xn--example-.com", "hyphen"},
		{"E12_decodes to nothing", "xn--", "hyphen"},
		{"E12_no Punycode", "xn--a", "no valid A-label"},
		{"E12_bidi", "a\u2135b", "cannot be written as A-labels"},
		{"E12_bidi A-label", "xn--ab-vld", "no valid A-label"},
		{"E12_joiner", "ü\u200d.example", "cannot be written as A-labels"},
		{"E12_label too long", strings.Repeat("ü", 60) + ".example", "cannot be written as A-labels"},
		{"E7_IDN too long to convert", strings.Repeat("例え。", 1000), "too long"},
		{"empty label in IDN", "ü..example", "cannot be written as A-labels"},
		{"address", "192.0.2.1", "in brackets"},
		{"address in full width", "１９２.0.2.1", "in brackets"},
		{"IPv6 address", "2001:db8::1", "in brackets"},
		{"literal", "[192.0.2.1]", `has "["`},
		{"port", "example.org:25", `has ":"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Domain(tt.in)
			if err == nil || got != "" {
				t.Fatalf("Domain(%q) = %q, %v, want an error alone", tt.in, got, err)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Domain(%q): %v; does not say %q", tt.in, err, tt.says)
			}
			checkPrintable(t, err.Error())
		})
	}
}

func TestHeloName(t *testing.T) {
	tests := []struct{ in, want string }{
		{"mail.Example.org", "mail.example.org"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[ipv6:2001:DB8::1]", "[IPv6:2001:db8::1]"},
		{"bücher.example", "xn--bcher-kva.example"},
	}
	for _, tt := range tests {
		if got, err := HeloName(tt.in); err != nil || got != tt.want {
			t.Errorf("HeloName(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "192.0.2.1", "[2001:db8::1]", "a b", "mail.example.org\r\nRSET", "[192.0.2.1]\r\n"} {
		if got, err := HeloName(in); err == nil {
			t.Errorf("HeloName(%q) = %q, want an error", in, got)
		}
	}
}

func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.org", "Bücher.example", "xn--bcher-kva", "a\u2135b", "ü\x00", "例え。テスト", "_x.y-z.", "１.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Domain(s)
		if err != nil {
			checkPrintable(t, err.Error())
			return
		}
		if len(d) == 0 || len(d) > 253 {
			t.Errorf("Domain(%q) has %d octets", s, len(d))
		}
		for i := range len(d) {
			if c := d[i]; !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", rune(c)) {
				t.Errorf("Domain(%q) holds the byte %#02x", s, c)
			}
		}
		if again, err := Domain(d); err != nil || again != d {
			t.Errorf("Domain(%q) = %q, which becomes %q, %v", s, d, again, err)
		}
	})
}
