package tlspolicy_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// reporting is the DNS in which example.net has these TXT records for its reports.
func reporting(records ...string) resolve.Static {
	return resolve.Static{{Name: "_smtp._tls.example.net", Type: resolve.TypeTXT}: {TXT: records}}
}

func TestReportAddresses(t *testing.T) {
	const good, want = "v=TLSRPTv1; rua=mailto:a@example.net", "mailto:a@example.net"
	long := "mailto:" + strings.Repeat("a", 50) + "@" + strings.Repeat("b.", 400) + "example"
	for _, tt := range []struct {
		name    string
		records []string
		want    string
	}{
		{"RFC 8460, Section 3.1.1", []string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, "mailto:reports@example.com"},
		{"RFC 8460, Section 3.1.2", []string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, "https://reporting.example.com/v1/tlsrpt"},
		{"two addresses", []string{"v=TLSRPTv1; rua=mailto:a@example.net \t,\thttps://r.example/?a=b"}, want + " https://r.example/?a=b"},
		{"a semicolon at the end", []string{good + " ; "}, want},
		{"spaces before the semicolon", []string{"v=TLSRPTv1 \t; rua=mailto:a@example.net"}, want},
		{"fields that nobody knows", []string{"v=TLSRPTv1; x-1=y; rua=mailto:a@example.net; z=1"}, want},
		{"the first of two", []string{good + "; rua=mailto:b@example.net"}, want},
		{"other records", []string{"v=spf1 -all", good, "v=TLSRPTv2; rua=mailto:b@example.net", "v=TLSRPTv1", ""}, want},
		{"schemes in capitals", []string{"v=TLSRPTv1; rua=MAILTO:a@EXAMPLE.net, HTTPS://r.example/"}, want + " https://r.example/"},
		{"a host and nothing else", []string{"v=TLSRPTv1; rua=https://r.example"}, "https://r.example"},
		{"port 443", []string{"v=TLSRPTv1; rua=https://r.example:443/a#b"}, "https://r.example:443/a"},
		{"encoded letters", []string{"v=TLSRPTv1; rua=mailto:a%2Cb%21@example.net?subject=x"}, ""},
		{"encoded letters in quotes", []string{"v=TLSRPTv1; rua=mailto:%22a%2Cb%21%22@example.net?subject=x"}, "mailto:\"a%2Cb%21\"@example.net"},
		{"five addresses", []string{"v=TLSRPTv1; rua=mailto:a@b.example,mailto:b@b.example,mailto:c@b.example,mailto:d@b.example,mailto:e@b.example"},
			"mailto:a@b.example mailto:b@b.example mailto:c@b.example mailto:d@b.example"},

		{"none", nil, ""},
		{"two records", []string{good, good}, ""},
		{"version in another place", []string{"rua=mailto:a@example.net; v=TLSRPTv1"}, ""},
		{"version in small letters", []string{"v=tlsrptv1; rua=mailto:a@example.net"}, ""},
		{"no address", []string{"v=TLSRPTv1;"}, ""},
		{"an empty address", []string{"v=TLSRPTv1; rua="}, ""},
		{"other schemes", []string{"v=TLSRPTv1; rua=http://r.example/, ftp://r.example, file:///etc/passwd, a@example.net"}, ""},
		{"another port", []string{"v=TLSRPTv1; rua=https://r.example:8443/"}, ""},
		{"an IP address", []string{"v=TLSRPTv1; rua=https://192.0.2.1/, https://[2001:db8::1]/, mailto:"}, ""},
		{"a password", []string{"v=TLSRPTv1; rua=https://ann:secret@r.example/"}, ""},
		{"a local part that is not ASCII", []string{"v=TLSRPTv1; rua=mailto:%C3%A4@example.net"}, ""},
		{"a size as DMARC has it", []string{"v=TLSRPTv1; rua=mailto:a@example.net!10m"}, ""},
		{"a size behind a URL", []string{"v=TLSRPTv1; rua=https://r.example/a!10m"}, ""},
		{"an injected line", []string{"v=TLSRPTv1; rua=mailto:a%0D%0ARCPT@example.net, https://r.example/%0d%0a"}, "https://r.example/%0d%0a"},
		{"too long", []string{"v=TLSRPTv1; rua=" + long}, ""},
	} {
		got, err := tlspolicy.ReportAddresses(t.Context(), reporting(tt.records...), "Example.NET.")
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestReportAddressesErrors(t *testing.T) {
	if _, err := tlspolicy.ReportAddresses(t.Context(), dead{}, "example.net"); !errors.Is(err, errDead) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := tlspolicy.ReportAddresses(t.Context(), dead{}, "not a domain"); err == nil || !strings.Contains(err.Error(), "domain") {
		t.Errorf("no domain: %v", err)
	}
	if got, err := tlspolicy.ReportAddresses(t.Context(), dead{}, strings.Repeat("a.", 122)+"example"); got != nil || err != nil {
		t.Errorf("a domain below which there can be none: %q, %v", got, err)
	}
}

// Whatever is published: what is found is a mailbox or a web server, within bounds, and
// means the same where it is read again.
func FuzzReportAddresses(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:\"a b\"@example.net?x, https://r.example/?a=b#c", "v=TLSRPTv1")
	f.Add("v=TLSRPTv1;rua=mailto:%22%25%2c%3b%21%09%22@[192.0.2.1]", "v=TLSRPTv1;;;")
	f.Fuzz(func(t *testing.T, one, two string) {
		found, err := tlspolicy.ReportAddresses(t.Context(), reporting(one, two), "example.net")
		if err != nil || len(found) > 4 {
			t.Fatalf("%d addresses, %v", len(found), err)
		}
		again, err := tlspolicy.ReportAddresses(t.Context(), reporting("v=TLSRPTv1; rua="+strings.Join(found, " , ")), "example.net")
		if err != nil || !slices.Equal(found, again) {
			t.Fatalf("%q becomes %q, %v", found, again, err)
		}
		for _, uri := range found {
			u, err := url.Parse(uri)
			if to, ok := strings.CutPrefix(uri, "mailto:"); ok {
				plain, err := url.PathUnescape(to)
				if _, bad := address.Parse(plain); err != nil || bad != nil {
					t.Fatalf("%q: %v, %v", uri, err, bad)
				}
			} else if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" && u.Port() != "443" {
				t.Fatalf("%q: %v", uri, err)
			}
		}
	})
}
