package tlspolicy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
)

func TestSTSRecord(t *testing.T) {
	for _, tt := range []struct {
		records []string
		id      string
	}{
		{nil, ""},
		{[]string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
		{[]string{"v=STSv1; id=1"}, "1"},
		{[]string{"v=STSv1;id=1"}, "1"},
		{[]string{"v=STSv1 ;\tid=1\t; "}, "1"},
		{[]string{"v=STSv1; x=y; id=1; a.b-c_d=!:~"}, "1"},
		{[]string{"v=STSv1; id=1; id=2"}, "1"},
		{[]string{"v=STSv1; id=" + strings.Repeat("a", 32)}, strings.Repeat("a", 32)},
		{[]string{"v=spf1 -all", "v=STSv1; id=1", "v=STSv11; id=2", "v=STSv2; id=3", "V=STSv1; id=4"}, "1"},
		{[]string{"v=STSv1; id=1", "v=STSv1; id=1"}, ""}, // S3
		{[]string{"v=STSv1; id=1", "v=STSv1; nothing"}, ""},
		{[]string{"v=STSv1"}, ""},
		{[]string{"v=STSv1;"}, ""},
		{[]string{"v=STSv1; id="}, ""},
		{[]string{"v=STSv1; id=1;;"}, ""},
		{[]string{"v=STSv1;; id=1"}, ""},
		{[]string{"v=STSv1; ID=1"}, ""},
		{[]string{"v=STSv1; id=" + strings.Repeat("a", 33)}, ""},
		{[]string{"v=STSv1; id=a-b"}, ""},
		{[]string{"v=STSv1; id=1 2"}, ""},
		{[]string{"v=STSv1; id=\u0661"}, ""},
		{[]string{"v=STSv1; id=1; x"}, ""},
		{[]string{"v=STSv1; id=1; -x=y"}, ""},
		{[]string{"v=STSv1; id=1; x=y=z"}, ""},
		{[]string{"v=STSv1; id=1; x="}, ""},
		{[]string{" v=STSv1; id=1"}, ""},
		{[]string{"id=1; v=STSv1"}, ""},
	} {
		if got := stsID(tt.records); got != tt.id {
			t.Errorf("%q: id %q, want %q", tt.records, got, tt.id)
		}
	}
}

// S10: what makes a policy invalid, and what does not.
func TestSTSPolicy(t *testing.T) {
	good := stsPolicy{Mode: stsEnforce, MX: []string{"mail.example.com", "*.example.net"}, MaxAge: 604800 * time.Second}
	for _, tt := range []struct {
		name, text string
		want       *stsPolicy
	}{
		{"CRLF", "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n", &good},
		{"LF only", "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n", &good},
		{"no line end", "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800", &good},
		{"spaces", "version:STSv1 \nmode:\tenforce\t\r\nmx:  mail.example.com\nmx:*.example.net\nmax_age: 604800\n", &good},
		{"empty lines", "version: STSv1\n\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\r\n\r\n", &good},
		{"another order", "mx: mail.example.com\nmax_age: 604800\nmx: *.example.net\nmode: enforce\nversion: STSv1\n", &good},
		{"unknown fields", "version: STSv1\nmode: enforce\nx-1.a_b: any: thing \u00fc\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n", &good},
		{"upper case and final dot", "version: STSv1\nmode: enforce\nmx: Mail.Example.COM.\nmx: *.EXAMPLE.net\nmax_age: 604800\n", &good},
		{"duplicates", "version: STSv1\nversion: STSv2\nmode: enforce\nmode: none\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\nmax_age: x\n", &good},
		{"none without mx", "version: STSv1\nmode: none\nmax_age: 0\n", &stsPolicy{Mode: stsNone}},
		{"max_age at the limit", "version: STSv1\nmode: none\nmax_age: 31557600\n", &stsPolicy{Mode: stsNone, MaxAge: 31557600 * time.Second}},
		{"max_age above the limit", "version: STSv1\nmode: none\nmax_age: 9999999999\n", &stsPolicy{Mode: stsNone, MaxAge: 31557600 * time.Second}},

		{"empty", "", nil},
		{"no version", "mode: none\nmax_age: 1\n", nil},
		{"another version", "version: STSv2\nmode: none\nmax_age: 1\n", nil},
		{"version in lower case", "version: stsv1\nmode: none\nmax_age: 1\n", nil},
		{"no mode", "version: STSv1\nmax_age: 1\n", nil},
		{"unknown mode", "version: STSv1\nmode: report\nmax_age: 1\n", nil},
		{"mode in upper case", "version: STSv1\nmode: NONE\nmax_age: 1\n", nil},
		{"name in upper case", "Version: STSv1\nmode: none\nmax_age: 1\n", nil},
		{"no max_age", "version: STSv1\nmode: none\n", nil},
		{"max_age empty", "version: STSv1\nmode: none\nmax_age:\n", nil},
		{"max_age negative", "version: STSv1\nmode: none\nmax_age: -1\n", nil},
		{"max_age with sign", "version: STSv1\nmode: none\nmax_age: +1\n", nil},
		{"max_age overflows", "version: STSv1\nmode: none\nmax_age: 99999999999\n", nil},
		{"max_age and more", "version: STSv1\nmode: none\nmax_age: 1 day\n", nil},
		{"enforce without mx", "version: STSv1\nmode: enforce\nmax_age: 1\n", nil},
		{"testing without mx", "version: STSv1\nmode: testing\nmax_age: 1\n", nil},
		{"S11 mx *", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", nil},
		{"S11 mx *.*.x", "version: STSv1\nmode: enforce\nmx: *.*.example.com\nmax_age: 1\n", nil},
		{"S11 mx mx*.x", "version: STSv1\nmode: enforce\nmx: mx*.example.com\nmax_age: 1\n", nil},
		{"S11 mx U-label", "version: STSv1\nmode: enforce\nmx: m\u00fcller.example\nmax_age: 1\n", nil},
		{"mx address", "version: STSv1\nmode: enforce\nmx: 192.0.2.1\nmax_age: 1\n", nil},
		{"two mx in a line", "version: STSv1\nmode: enforce\nmx: a.example, b.example\nmax_age: 1\n", nil},
		{"junk", "version: STSv1\nmode: none\nmax_age: 1\njunk\n", nil},
		{"html", "<!DOCTYPE html>\nversion: STSv1\nmode: none\nmax_age: 1\n", nil},
		{"leading space", " version: STSv1\nmode: none\nmax_age: 1\n", nil},
		{"space before colon", "version : STSv1\nmode: none\nmax_age: 1\n", nil},
		{"CR alone", "version: STSv1\rmode: none\rmax_age: 1\r", nil},
		{"NUL", "version: STSv1\nmode: none\nmax_age: 1\nx: \x00\n", nil},
		{"no UTF-8", "version: STSv1\nmode: none\nmax_age: 1\nx: \xff\n", nil},
		{"long name", "version: STSv1\nmode: none\nmax_age: 1\n" + strings.Repeat("x", 33) + ": y\n", nil},
	} {
		got, err := parseSTSPolicy(tt.text)
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		} else if w := tt.want; w != nil && (got.Mode != w.Mode || got.MaxAge != w.MaxAge || !slices.Equal(got.MX, w.MX)) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, *w)
		}
	}
}

// S11: a wildcard stands for exactly one label.
func TestSTSPatterns(t *testing.T) {
	patterns := []string{"mx.example.org", "*.example.com", "*.xn--mller-kva.example"}
	for host, want := range map[string]bool{
		"mx.example.org": true, "mx2.example.org": false, "example.org": false, "a.mx.example.org": false,
		"a.example.com": true, "example.com": false, "a.b.example.com": false, "aexample.com": false, "*.example.com": true,
		"mx.xn--mller-kva.example": true, "com": false, "": false, "192.0.2.1": false,
	} {
		if got := hostFits(host, patterns); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

// Those who share a cache share a loader, as long as one of them uses it. A cache
// that cannot be compared is nobody else's.
func TestSTSLoaders(t *testing.T) {
	s, shared := &MTASTS{}, &cache.Memory{}
	a, b, other := s.borrow(shared), s.borrow(shared), s.borrow(&cache.Memory{})
	if a != b || a == other {
		t.Error("loaders go by the cache")
	}
	odd := oddCache{Cache: cache.None}
	if one, two := s.borrow(odd), s.borrow(odd); one == two {
		t.Error("a cache that cannot be compared has one loader")
	}
	s.giveBack(shared, a)
	if s.borrow(shared) != b {
		t.Error("a loader in use was let go")
	}
	s.giveBack(shared, b)
	s.giveBack(shared, b)
	s.giveBack(odd, &stsLoader{users: 1})
	if len(s.loaders) != 1 {
		t.Errorf("%d loaders are kept, want that of the other cache", len(s.loaders))
	}
}

type oddCache struct {
	cache.Cache
	_ []int
}

// Whatever a stranger puts into a policy, what is read keeps the bounds, and is
// the same when it is written and read again.
func FuzzSTSPolicy(f *testing.F) {
	f.Add("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n")
	f.Add("version: STSv1\nmode: none\nmax_age: 0\nx: y")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseSTSPolicy(text)
		if err != nil {
			return
		}
		if p.MaxAge < 0 || p.MaxAge > maxSTSAge*time.Second || p.Mode != stsNone && len(p.MX) == 0 {
			t.Fatalf("%q gives %+v", text, p)
		}
		for _, pattern := range p.MX {
			host := strings.Replace(pattern, "*", "a", 1)
			if strings.Contains(host, "*") || strings.ContainsAny(host, " :\r\n") || host != strings.ToLower(host) {
				t.Fatalf("%q gives the pattern %q", text, pattern)
			}
			if !hostFits(host, []string{pattern}) || hostFits("b.a."+host, []string{pattern}) {
				t.Fatalf("pattern %q: host %q %v, below it %v", pattern, host, hostFits(host, []string{pattern}), hostFits("b.a."+host, []string{pattern}))
			}
		}
		again, err := parseSTSPolicy(strings.Join(p.Lines, "\n"))
		if err != nil || again.Mode != p.Mode || again.MaxAge != p.MaxAge || !slices.Equal(again.MX, p.MX) {
			t.Fatalf("%q gives %+v, and again %+v, %v", text, p, again, err)
		}
	})
}

// An id is one that may go back into a record and comes out the same.
func FuzzSTSRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;", "v=spf1 -all")
	f.Add("v=STSv1;id=1;x=y", "v=STSv1; id=2")
	f.Fuzz(func(t *testing.T, a, b string) {
		id := stsID([]string{a, b})
		if id == "" {
			return
		}
		if len(id) > 32 || !all(id, isAlnum) || stsID([]string{"v=STSv1; id=" + id}) != id {
			t.Fatalf("%q, %q give the id %q", a, b, id)
		}
		if stsID([]string{a, b, "v=STSv1; id=1"}) != "" {
			t.Fatalf("%q, %q: a second record changes nothing", a, b)
		}
	})
}
