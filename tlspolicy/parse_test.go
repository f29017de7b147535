package tlspolicy_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

var digest = strings.Repeat("36:8A:", 15) + "36:8A"

// decided parses a table and asks it about a host of example.org.
func decided(t *testing.T, table string, files fstest.MapFS) tlspolicy.Policy {
	t.Helper()
	parsed, err := tlspolicy.ParseTable(strings.NewReader(table), files)
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	p, err := parsed.Decide(t.Context(), query(t, "example.org", "mx.example.net"))
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	return p
}

// Every attribute of Postfix's table has its effect.
func TestParseTable(t *testing.T) {
	ca := newAuthority(t)
	files := fstest.MapFS{"ca.pem": {Data: ca.pem()}, "more.pem": {Data: newAuthority(t).pem()}}
	shows := func(format string, args ...any) func(p tlspolicy.Policy) (string, string) {
		return func(p tlspolicy.Policy) (string, string) {
			got := fmt.Sprintf("%v %q %q %x-%x", p.Level, p.Names, p.ServerName, p.MinVersion, p.MaxVersion)
			return got, fmt.Sprintf(format, args...)
		}
	}
	for table, check := range map[string]func(p tlspolicy.Policy) (got, want string){
		"example.org none":    shows(`none [] "mx.example.net" 0-0`),
		"example.org may":     shows(`may [] "mx.example.net" 0-0`),
		"example.org encrypt": shows(`encrypt [] "mx.example.net" 0-0`),
		"example.org verify":  shows(`verify ["mx.example.net"] "mx.example.net" 0-0`),
		"Example.ORG SECURE":  shows(`secure ["example.org" ".example.org"] "mx.example.net" 0-0`),
		"# all\n\nexample.com none\nexample.org\tsecure  match=nexthop:.bücher.example,\n\tmatch=hostname": shows(
			`secure ["example.org" ".xn--bcher-kva.example" "mx.example.net"] "mx.example.net" 0-0`),
		"example.org secure { match = mail.example.org : mx.example.org }": shows(`secure ["mail.example.org" "mx.example.org"] "mx.example.net" 0-0`),
		"example.org encrypt servername=nexthop":                           shows(`encrypt [] "example.org" 0-0`),
		"example.org encrypt servername=SMTP.example.org":                  shows(`encrypt [] "smtp.example.org" 0-0`),
		"example.org encrypt protocols=>=TLSv1.3":                          shows(`encrypt [] "mx.example.net" 304-304`),
		"example.org encrypt protocols=>=TLSv1":                            shows(`encrypt [] "mx.example.net" 301-304`),
		"example.org encrypt protocols=!SSLv2:!SSLv3:!TLSv1":               shows(`encrypt [] "mx.example.net" 303-304`), // what is not named does not lower the floor
		"example.org encrypt protocols=<=TLSv1.2":                          shows(`encrypt [] "mx.example.net" 303-303`),
		"example.org may protocols=!SSLv2:!SSLv3:!TLSv1":                   shows(`may [] "mx.example.net" 302-304`),
		"example.org encrypt {protocols = TLSv1.1, TLSv1.2}\r\n":           shows(`encrypt [] "mx.example.net" 302-303`),
		"example.org encrypt connection_reuse=no policy_ttl=60 enable_rpk=no": func(p tlspolicy.Policy) (string, string) {
			return fmt.Sprint(p.NoReuse), "true"
		},
		"example.org encrypt ciphers=high exclude=SHA1:AES128": func(p tlspolicy.Policy) (string, string) {
			var got []string
			for _, id := range p.Ciphers {
				got = append(got, tls.CipherSuiteName(id))
			}
			slices.Sort(got)
			return strings.Join(got, " "), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 " +
				"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
		},
		"example.org encrypt ciphers=medium exclude=aNULL:ECDHE": func(p tlspolicy.Policy) (string, string) {
			return fmt.Sprint(slices.Contains(p.Ciphers, tls.TLS_RSA_WITH_AES_128_GCM_SHA256), slices.Contains(p.Ciphers, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)), "true false"
		},
		"example.org fingerprint match=" + digest + "|" + strings.Repeat("0", 64): func(p tlspolicy.Policy) (string, string) {
			return strings.Join(p.Fingerprints, " "), strings.ToLower(strings.ReplaceAll(digest, ":", "")) + " " + strings.Repeat("0", 64)
		},
		"example.org verify tafile=more.pem tafile=ca.pem match=mx.example.net": func(p tlspolicy.Policy) (string, string) {
			_, err := p.Check(shown(ca.leaf(t, []string{"mx.example.net"}, nil)))
			return fmt.Sprint(err), "<nil>"
		},
		"example.org verify tafile=more.pem match=mx.example.net": func(p tlspolicy.Policy) (string, string) {
			_, err := p.Check(shown(ca.leaf(t, []string{"mx.example.net"}, nil)))
			return tlspolicy.FailureType(err), "certificate-not-trusted"
		},
		"example.org secure policy_type=sts policy_domain=example.org mx_host_pattern=*.example.net policy_string=v:1 match=.org": func(p tlspolicy.Policy) (string, string) {
			return fmt.Sprintf("%q %+v", p.Names, p.Published), `["mx.example.net"] {Type:sts Domain:example.org Lines:[v:1] Hosts:[*.example.net] Failure: Reason:}`
		},
		"example.org may policy_type=no-policy-found policy_failure=validation-failure": shows(`may [] "mx.example.net" 0-0`),
	} {
		if got, want := check(decided(t, table, files)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", table, got, want)
		}
	}
	if one, other := decided(t, "example.org verify tafile=ca.pem", files), decided(t, "example.org verify tafile=ca.pem", files); one.ID() != other.ID() {
		t.Error("the same trust anchors, read twice, have different IDs")
	}
}

// What an MTA-STS plugin found out is enforced, not only reported.
func TestParsedSTS(t *testing.T) {
	for attributes, want := range map[string]string{
		"policy_type=sts mx_host_pattern=mx.example.net":                                       "",
		"policy_type=sts mx_host_pattern=*.example.net mx_host_pattern=mx.example.org":         "",
		"policy_type=sts mx_host_pattern=*.net":                                                "validation-failure",
		"policy_type=sts mx_host_pattern=mx.example.org":                                       "validation-failure",
		"policy_type=no-policy-found policy_failure=sts-policy-fetch-error":                    "sts-policy-fetch-error",
		"policy_type=sts mx_host_pattern=mx.example.net policy_failure=sts-policy-invalid":     "sts-policy-invalid",
		"policy_type=sts mx_host_pattern=mx.example.net policy_failure=sts-webpki-invalid x=y": "unknown attribute",
	} {
		table, err := tlspolicy.ParseTable(strings.NewReader("example.org secure "+attributes), nil)
		if err == nil {
			_, err = table.Decide(t.Context(), query(t, "example.org", "mx.example.net"))
		}
		var typed *tlspolicy.ResultError
		if errors.As(err, &typed) && typed.Type == want || want == "" && err == nil || err != nil && want == "unknown attribute" && strings.Contains(err.Error(), want) {
			continue
		}
		t.Errorf("%s: %v, want %q", attributes, err, want)
	}
}

// A table with a fault is refused whole, with the place and the reason.
func TestParseTableRefuses(t *testing.T) {
	files := fstest.MapFS{"empty.pem": {}, "key.pem": {Data: []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")},
		"bad.pem": {Data: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}}
	for _, tt := range []struct {
		table        string
		line, column int
		want         string
	}{
		{"example.org", 1, 1, "has no level"},
		{"a.example none\nexample.org strong", 2, 13, "unknown TLS level"},
		{"example.org none\n\n# again\nExample.org may", 4, 1, "second time"},
		{"exa mple", 1, 5, "unknown TLS level"},
		{"a_b..c none", 1, 1, "empty label"},
		{" example.org none", 1, 1, "continues none"},
		{"example.org encrypt colour=red", 1, 21, `unknown attribute "colour"`},
		{"example.org encrypt\n   colour=red", 2, 4, `unknown attribute "colour"`},
		{"example.org encrypt red", 1, 21, "not name=value"},
		{"example.org encrypt ciphers=", 1, 21, "ciphers is empty"},
		{"example.org encrypt ciphers=high ciphers=high", 1, 34, "second time"},
		{"example.org encrypt ciphers=strong", 1, 13, "unknown cipher grade"},
		{"example.org encrypt ciphers=null", 1, 13, "without encryption"},
		{"example.org encrypt exclude=ROT13", 1, 13, `"ROT13"`},
		{"example.org encrypt exclude=ECDHE:kRSA", 1, 13, "no cipher suite is left"},
		{"example.org encrypt protocols=TLSv2", 1, 21, "unknown protocol"},
		{"example.org encrypt protocols=SSLv3", 1, 21, "no protocol is left"},
		{"example.org encrypt protocols=<=TLSv1.1", 1, 21, "name the lowest"},
		{"example.org encrypt\n\texclude=RC4\n\tmatch=" + strings.Repeat("x", 1<<20), 3, 1, "longer than"},
		{"example.org encrypt protocols=TLSv1:TLSv1.2", 1, 21, "gap"},
		{"example.org encrypt servername=a..b", 1, 21, "servername"},
		{"example.org encrypt servername=.example.org", 1, 21, "no host name"},
		{"example.org encrypt match=nexthop", 1, 21, "not encrypt"},
		{"example.org encrypt tafile=ca.pem", 1, 21, "not encrypt"},
		{"example.org secure match=nexthop::x", 1, 20, "empty"},
		{"example.org fingerprint", 1, 13, "needs match"},
		{"example.org fingerprint match=3D:95:34:51:24:66:33:B9:D2:40:99:C0:C1:17:0B:D1", 1, 25, "not a SHA-256"},
		{"example.org verify tafile=gone.pem", 1, 20, "gone.pem"},
		{"example.org verify tafile=empty.pem", 1, 20, "no certificate"},
		{"example.org verify tafile=key.pem", 1, 20, "only certificates"},
		{"example.org verify tafile=bad.pem", 1, 20, "bad.pem"},
		{"example.org encrypt enable_rpk=yes", 1, 21, "raw public keys"},
		{"example.org encrypt connection_reuse=maybe", 1, 21, "yes or no"},
		{"example.org encrypt policy_ttl=long", 1, 21, "number of seconds"},
		{"example.org encrypt policy_domain=example.org", 1, 13, "need policy_type"},
		{"example.org encrypt policy_type=dane", 1, 21, "sts or no-policy-found"},
		{"example.org encrypt policy_type=sts policy_failure=bad", 1, 37, "unknown failure"},
		{"example.org encrypt {match}", 1, 21, "name = value"},
		{"example.org encrypt {match=x", 1, 21, "there is no }"},
	} {
		table, err := tlspolicy.ParseTable(strings.NewReader("ok.example secure\n"+tt.table), files)
		if strings.HasPrefix(tt.table, " ") { // would go on with the line before
			table, err = tlspolicy.ParseTable(strings.NewReader(tt.table), files)
			tt.line--
		}
		var at *tlspolicy.ParseError
		if !errors.As(err, &at) || table != nil || at.Line != tt.line+1 || at.Column != tt.column || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\n%v, want line %d, column %d: %s", tt.table, err, tt.line+1, tt.column, tt.want)
		}
	}
	if _, err := tlspolicy.ParseTable(strings.NewReader("example.org verify tafile=ca.pem"), nil); err == nil || !strings.Contains(err.Error(), "no files") {
		t.Errorf("without files: %v", err)
	}
}

// On a change the file is read again; what cannot be used changes nothing.
func TestTableFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "tls_policy")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tlspolicy.OpenTable(name); err == nil {
		t.Error("a file that is not there is fine")
	}
	write(name, "example.org strong")
	if _, err := tlspolicy.OpenTable(name); err == nil || !strings.Contains(err.Error(), "tls_policy") {
		t.Errorf("a file at fault: %v", err)
	}
	write(filepath.Join(dir, "ca.pem"), string(newAuthority(t).pem()))
	write(name, "example.org verify tafile=ca.pem")
	table, err := tlspolicy.OpenTable(name)
	if err != nil {
		t.Fatal(err)
	}
	level := func() tlspolicy.Level {
		t.Helper()
		p, err := table.Decide(t.Context(), query(t, "example.org", "mx.example.net"))
		if err != nil {
			t.Fatal(err)
		}
		return p.Level
	}
	for _, step := range []struct {
		text string
		want tlspolicy.Level
		err  string
	}{
		{"example.org verify tafile=ca.pem", tlspolicy.Verify, ""},
		{"example.org verify tafile=" + filepath.Join(dir, "ca.pem"), tlspolicy.Verify, ""},
		{"example.org secure", tlspolicy.Secure, ""},
		{"example.org non", tlspolicy.Secure, "unknown TLS level"},
		{"example.org encrypt", tlspolicy.Encrypt, ""},
		{"", 0, ""},
	} {
		write(name, step.text)
		if got := level(); got != step.want {
			t.Errorf("%q: level %v, want %v", step.text, got, step.want)
		}
		if err := table.Err(); (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%q: Err() is %v, want %q", step.text, err, step.err)
		}
	}
	write(name, "example.org secure")
	if got := level(); got != tlspolicy.Secure {
		t.Errorf("level %v", got)
	}
	os.Remove(name)
	if level() != tlspolicy.Secure || table.Err() == nil || table.Reload() == nil {
		t.Error("a file that is gone has taken the table with it, or nobody hears of it")
	}
	write(name, "example.org encrypt")
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	if level(); table.Err() == nil {
		t.Error("nobody hears of a file that is gone")
	}
	if err := os.Rename(name+".away", name); err != nil {
		t.Fatal(err)
	}
	if level() != tlspolicy.Encrypt || table.Err() != nil {
		t.Errorf("the file is back, but: %v", table.Err())
	}
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	level()
	if err := os.Rename(name+".away", name); err != nil {
		t.Fatal(err)
	}
	if table.Err() != nil {
		t.Errorf("the file is back as it was read, but: %v", table.Err())
	}
}

// Whatever parses is a table that decides without a fault of its own, and every
// key can be found.
func FuzzParseTable(f *testing.F) {
	for _, seed := range []string{"example.org secure match=nexthop:.a.example", "[a.example]:587 fingerprint match=" + digest, "# x\n\n.example.org\tmay\n  ciphers=high, exclude=RC4",
		"a.example encrypt { protocols = >=TLSv1.2 }", "unix:/a none", ",", "a.example verify policy_type=sts mx_host_pattern=*.a.example policy_failure=validation-failure"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		table, err := tlspolicy.ParseTable(strings.NewReader(text), fstest.MapFS{})
		if err != nil {
			var at *tlspolicy.ParseError
			if table != nil || errors.As(err, &at) && (at.Line < 1 || at.Line > strings.Count(text, "\n")+1 || at.Column < 1 || at.Column > len(text)+1) {
				t.Fatalf("%q: table %v, error %v", text, table, err)
			}
			return
		}
		if err := table.CheckKeys(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for key, source := range table {
			q := tlspolicy.Query{Route: &resolve.Route{NextHop: resolve.NextHop{Name: "x" + key}}, Host: resolve.Host{Name: "mx.example.net"}}
			if !strings.HasPrefix(key, ".") {
				q = query(t, key, "mx.example.net")
			}
			p, err := source.Decide(t.Context(), q)
			if found, _ := table.Decide(t.Context(), q); err == nil && found.ID() != p.ID() {
				t.Fatalf("%q: %s is not found", text, key)
			}
			if err == nil && p.Level == tlspolicy.Fingerprint && len(p.Fingerprints) == 0 {
				t.Fatalf("%q: fingerprint without one", text)
			}
			if err == nil && p.MaxVersion != 0 && p.MinVersion > p.MaxVersion {
				t.Fatalf("%q: versions %x to %x", text, p.MinVersion, p.MaxVersion)
			}
		}
	})
}
