package address

import (
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in, local, domain string
		wire              string // "": the same as in
	}{
		{in: "ann@example.org", local: "ann", domain: "example.org"},
		{in: "Ann.B@Example.ORG", local: "Ann.B", domain: "example.org", wire: "Ann.B@example.org"},
		{in: "!#$%&'*+-/=?^_`{|}~@example.org", local: "!#$%&'*+-/=?^_`{|}~", domain: "example.org"},
		{in: "postmaster@example.org", local: "postmaster", domain: "example.org"},
		{in: `"ann b"@example.org`, local: "ann b", domain: "example.org"},
		{in: `"ann"@example.org`, local: "ann", domain: "example.org", wire: "ann@example.org"},
		{in: `"\a\n\n"@example.org`, local: "ann", domain: "example.org", wire: "ann@example.org"},
		{in: `"a@b"@example.org`, local: "a@b", domain: "example.org"},
		{in: `"a> ORCPT=x"@example.org`, local: "a> ORCPT=x", domain: "example.org"},
		{in: `"a\"b\\c"@example.org`, local: `a"b\c`, domain: "example.org"},
		{in: `"a..b"@example.org`, local: "a..b", domain: "example.org"},
		{in: `""@example.org`, local: "", domain: "example.org"},
		{in: "ann@[192.0.2.1]", local: "ann", domain: "[192.0.2.1]"},
		{in: "ann@[ipv6:2001:DB8:0::1]", local: "ann", domain: "[IPv6:2001:db8::1]", wire: "ann@[IPv6:2001:db8::1]"},
		{in: "ann@Bücher.example", local: "ann", domain: "xn--bcher-kva.example", wire: "ann@xn--bcher-kva.example"},
		{in: "ann@例え。テスト", local: "ann", domain: "xn--r8jz45g.xn--zckzah", wire: "ann@xn--r8jz45g.xn--zckzah"},
		{in: strings.Repeat("a", 64) + "@example.org", local: strings.Repeat("a", 64), domain: "example.org"},
	}
	for _, tt := range tests {
		m, err := Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
			continue
		}
		if m.Local != tt.local || m.Domain != tt.domain {
			t.Errorf("Parse(%q) = %q at %q, want %q at %q", tt.in, m.Local, m.Domain, tt.local, tt.domain)
		}
		wire := tt.wire
		if wire == "" {
			wire = tt.in
		}
		if m.String() != wire {
			t.Errorf("Parse(%q) is written %q, want %q", tt.in, m.String(), wire)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("a", 62) + "."
	tests := []struct{ name, in, says string }{
		{"empty", "", "is empty"},
		{"E1_CR", "ann\rb@example.org", `"\r" at byte 4`},
		{"E1_LF", "ann@example.org\n", `has "\n"`},
		{"E1_CRLF", "ann@example.org\r\nRSET", `has "\r"`},
		{"E1_NUL", "ann\x00@example.org", `"\x00" at byte 4`},
		{"E1_DEL", "ann\x7f@example.org", `"\x7f" at byte 4`},
		{"E1_quoted CR", "\"a\r\nb\"@example.org", `control character, "\r"`},
		{"E1_escaped CR", "\"a\\\r\"@example.org", `control character, "\r"`},
		{"E1_quoted DEL", "\"a\x7f\"@example.org", `control character, "\x7f"`},
		{"E4_angle brackets", "<ann@example.org>", `"<" at byte 1`},
		{"E4_display name", "Ann <ann@example.org>", `" " at byte 4`},
		{"E4_comment", "ann(work)@example.org", `"(" at byte 4`},
		{"E4_comment behind", "ann@example.org (Ann)", `has " "`},
		{"E4_blank before", " ann@example.org", `" " at byte 1`},
		{"E4_blank behind", "ann@example.org ", `has " "`},
		{"E4_source route", "@relay.example:ann@example.org", "local part is empty"},
		{"E4_list", "ann@example.org,bob@example.org", "more than one @"},
		{"E4_group", "friends:ann@example.org", `":" at byte 8`},
		{"E5_no local part", "@example.org", "local part is empty"},
		{"E5_no domain", "ann@", "domain is empty"},
		{"E5_no at", "ann", "no @"},
		{"E5_postmaster alone", "postmaster", "no @"},
		{"E5_two ats", "ann@b@example.org", "more than one @"},
		{"E5_dot first", ".ann@example.org", "begins with a dot"},
		{"E5_dot last", "ann.@example.org", "ends in a dot"},
		{"E5_two dots", "ann..b@example.org", "two dots in a row in the local part \"ann..b\", at byte 4"},
		{"E5_domain dot first", "ann@.example.org", "empty label"},
		{"E5_domain dot last", "ann@example.org.", "ends in a dot"},
		{"E5_domain two dots", "ann@example..org", "empty label"},
		{"E5_domain wide dot last", "ann@bücher。", "ends in a dot"},
		{"E7_local part", strings.Repeat("a", 65) + "@example.org", "65 octets"},
		{"E7_local part in quotes", `"` + strings.Repeat(" ", 63) + `"@example.org`, "65 octets"},
		{"E7_domain", "a@" + strings.Repeat(long, 4) + "aaa", "255 octets"},
		{"E7_path", strings.Repeat("a", 64) + "@" + strings.Repeat(long, 3) + "aa", "258 octets"},
		{"E7_label", "ann@" + strings.Repeat("a", 64) + ".example", "64 octets"},
		{"E9_general literal", "ann@[x:y]", "address literal"},
		{"E9_no bracket", "ann@192.0.2.1", "brackets"},
		{"E9_untagged v6", "ann@[2001:db8::1]", "address literal"},
		{"E9_tagged v4", "ann@[IPv6:192.0.2.1]", "address literal"},
		{"E9_zone", "ann@[IPv6:fe80::1%eth0]", "address literal"},
		{"E9_leading zero", "ann@[192.0.2.01]", "address literal"},
		{"E9_something behind", "ann@[192.0.2.1]x", "address literal"},
		{"E9_empty", "ann@[]", "address literal"},
		{"E13_local part", "\xff@example.org", "neither ASCII nor UTF-8"},
		{"E13_overlong", "\xc0\xaf@example.org", "neither ASCII nor UTF-8"},
		{"E13_surrogate", "\xed\xa0\x80@example.org", "neither ASCII nor UTF-8"},
		{"E13_quoted", "\"\xff\"@example.org", "neither ASCII nor UTF-8"},
		{"E13_domain", "ann@\xff.example", "neither ASCII nor UTF-8"},
		{"quote not closed", `"ann@example.org`, "no closing quote"},
		{"quote not closed by a pair", `"ann\"@example.org`, "no closing quote"},
		{"backslash at the end", `"ann\`, "no closing quote"},
		{"quote in the middle", `ann"b"@example.org`, `"\"" at byte 4`},
		{"text after quote", `"ann"b@example.org`, "followed by @"},
		{"quote alone", `"`, "no closing quote"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse(tt.in)
			if err == nil {
				t.Fatalf("Parse(%q) = %v, want an error", tt.in, m)
			}
			if m != (Mailbox{}) {
				t.Errorf("Parse(%q) gives %v besides its error", tt.in, m)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Parse(%q): %v; does not say %q", tt.in, err, tt.says)
			}
			checkPrintable(t, err.Error())
		})
	}
}

// U+760D and U+760A end in the bytes of CR and LF (E2): a lossy conversion
// would let them end a command.
func TestParseNonASCII(t *testing.T) {
	for in, want := range map[string]string{
		"jörg@example.org":              "jörg@example.org",
		`"jörg"@Bücher.example`:         "jörg@xn--bcher-kva.example",
		`"jörg b"@example.org`:          `"jörg b"@example.org`,
		"a\u760d\u760aRSET@example.org": "a\u760d\u760aRSET@example.org",
	} {
		m, err := Parse(in)
		if err != nil || m.String() != want || m.ASCII() {
			t.Errorf("Parse(%q) = %q, %v, want %q, which is not ASCII", in, m, err, want)
		}
	}
	if m, _ := Parse("ann@bücher.example"); !m.ASCII() {
		t.Error("a domain alone needs SMTPUTF8")
	}
	for _, in := range []string{"j\u0085@example.org", "\"j\u009b\"@example.org", "j\xff@example.org"} {
		if m, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %q", in, m)
		}
	}
}

func TestParseRecipientTakesPostmaster(t *testing.T) {
	for _, in := range []string{"postmaster", "Postmaster", "POSTMASTER"} {
		m, err := ParseRecipient(in)
		if err != nil || m != (Mailbox{Local: in}) || m.String() != in {
			t.Errorf("ParseRecipient(%q) = %q, %v", in, m, err)
		}
	}
	if m, err := ParseRecipient("ann@example.org"); err != nil || m.String() != "ann@example.org" {
		t.Errorf("ParseRecipient of an address = %q, %v", m, err)
	}
	if m, err := ParseRecipient("root"); err == nil {
		t.Errorf("ParseRecipient(root) = %q, want an error", m)
	}
}

func TestEqualMailboxes(t *testing.T) {
	parse := func(s string) Mailbox {
		t.Helper()
		m, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	same := [][2]string{
		{`"ann"@example.org`, "ann@EXAMPLE.org"},
		{"ann@bücher.example", "ann@XN--BCHER-KVA.example"},
		{"ann@[IPv6:2001:db8:0:0:0:0:0:1]", "ann@[IPV6:2001:DB8::1]"},
	}
	for _, s := range same {
		if parse(s[0]) != parse(s[1]) {
			t.Errorf("%s and %s differ", s[0], s[1])
		}
	}
	if parse("Ann@example.org") == parse("ann@example.org") {
		t.Error("local parts that differ in case are the same mailbox")
	}
}

// The addresses of every day take the short way, and nothing that is at fault does.
func TestPlain(t *testing.T) {
	for s, want := range map[string]bool{
		"ann@example.org": true, "a.b+c=d_e@mx-1.x_y.example": true, "o'neill@a.b1c": true, "x@localhost": true,
		strings.Repeat("l", 64) + "@" + strings.Repeat("d", 63) + ".example": true,
		"": false, "@": false, "a@": false, "@b": false, "a": false, "a@b@c": false, ".a@b": false, "a.@b": false, "a..b@c": false,
		"a b@c": false, "a\x00@b": false, "<a@b>": false, `"a"@b`: false, "ü@b": false, "a@ü": false, "a@b.": false, "a@.b": false, "a@b..c": false,
		"a@-b": false, "a@b-": false, "a@B": false, "a@b c": false, "a@xn--a": false, "a@b.xn--bcher-kva": false, "a@192.0.2.1": false, "a@b.1": false,
		"a@[192.0.2.1]": false, "postmaster": false, strings.Repeat("l", 65) + "@b": false, "a@" + strings.Repeat("d", 64): false,
		"a@" + strings.Repeat("d.", 125) + "dd": true, "a@" + strings.Repeat("d.", 125) + "ddd": false,
	} {
		if _, ok := plain(s, ""); ok != want {
			t.Errorf("plain(%q) is %v", s, ok)
		}
		if m, err := parse(s); want && (err != nil || m.Written(s) != s) {
			t.Errorf("%q: %q, %v", s, m, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ann@example.org", `"a> b\"\\"@[IPv6:2001:db8::1]`, `""@x`, "postmaster", "a@ü。de", "\"\xff\"@x", "a@[1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, ok := plain(s, ""); ok {
			if slow, err := parse(s); err != nil || slow != m || m.Written(s) != s || m.String() != s {
				t.Errorf("%q is not plain: %q, %v", s, slow, err)
			}
		}
		m, err := ParseRecipient(s)
		if err != nil {
			checkPrintable(t, err.Error())
			return
		}
		for _, domain := range []string{m.Domain, "example.org"} {
			if next, path, err := NextRecipient(domain, s); err != nil || next != m || path != m.String() {
				t.Errorf("%q behind one at %q is %q, %q, %v", s, domain, next, path, err)
			}
		}
		wire := m.String()
		if m.ASCII() {
			checkPrintable(t, wire)
		}
		if strings.ContainsFunc(wire, unicode.IsControl) || !utf8.ValidString(wire) {
			t.Errorf("%q is not fit for a command", wire)
		}
		if len(wire) > 254 {
			t.Errorf("%q has %d octets", wire, len(wire))
		}
		back, err := ParseRecipient(wire)
		if err != nil || back != m {
			t.Errorf("%q reads back as %q, %v", wire, back, err)
		}
		if strings.ContainsAny(wire, "<> ") && wire[0] != '"' {
			t.Errorf("%q would end its path early", wire)
		}
	})
}

// checkPrintable fails if s could end a line or upset a terminal.
func checkPrintable(t *testing.T, s string) {
	t.Helper()
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			t.Errorf("%q holds the byte %#02x", s, s[i])
		}
	}
}

func TestLiteral(t *testing.T) {
	for _, s := range []string{"[192.0.2.1]", "[IPv6:2001:db8::1]", "[IPv6:::1]", "[IPv6:::ffff:192.0.2.1]"} {
		addr, ok := Literal(s)
		if !ok || FormatLiteral(addr) != s {
			t.Errorf("Literal(%q) = %v, %v, written %q", s, addr, ok, FormatLiteral(addr))
		}
	}
	zoned := netip.MustParseAddr("fe80::1%eth0")
	if got := FormatLiteral(zoned); got != "[IPv6:fe80::1]" {
		t.Errorf("FormatLiteral(%v) = %s", zoned, got)
	}
}
