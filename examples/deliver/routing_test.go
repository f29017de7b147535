package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// The flags that say where mail goes, each seen from outside. In the zones PORT is
// the port of the mail server.

func newWorldOf(t *testing.T, mail *smtptest.Server, zone string) (w world, port string) {
	t.Helper()
	smtp, err := mail.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = fmt.Sprint(smtp.(*net.TCPAddr).Port)
	names := &dnstest.Server{Zones: []dnstest.Zone{{Text: strings.ReplaceAll(zone, "PORT", port)}}}
	dns, err := names.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		names.Close()
		mail.Close()
		for _, v := range mail.Violations() {
			t.Error(v)
		}
	})
	return world{mail: mail, args: []string{"-from", "ann@example.org", "-helo", "client.example.org", "-dns", dns.String(), "-local", "-json"}}, port
}

// runJSON gives the exit code and the report on the only recipient.
func (w world) runJSON(t *testing.T, args ...string) (int, jsonOutcome) {
	t.Helper()
	code, stdout, stderr := w.run(t, args...)
	var report jsonReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Recipients) != 1 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	return code, report.Recipients[0]
}

const sevenHosts = `
$ORIGIN example.net.
@ MX 10 mx1
@ MX 20 mx2
@ MX 30 mx3
@ MX 40 mx4
@ MX 50 mx5
@ MX 60 mx6
@ MX 70 mx7
mx1 A 127.0.0.1
mx2 A 127.0.0.1
mx3 A 127.0.0.1
mx4 A 127.0.0.1
mx5 A 127.0.0.1
mx6 A 127.0.0.1
mx7 A 127.0.0.1
`

func TestMXLimits(t *testing.T) {
	atGreeting := func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.Connect {
			return smtptest.Action{Reply: "450 4.3.2 busy"}
		}
		return smtptest.Action{}
	}
	atMail := func(c smtptest.Command) smtptest.Action {
		if c.Verb == "MAIL" {
			return smtptest.Action{Reply: "451 4.3.0 later"}
		}
		return smtptest.Action{}
	}
	for _, tt := range []struct {
		flags  string
		script func(smtptest.Command) smtptest.Action
		want   int
	}{
		{"", atGreeting, 5},
		{"-mx-address-limit 3", atGreeting, 3},
		{"-mx-address-limit 0", atGreeting, 7},
		{"-mx-session-limit 1", atGreeting, 5},
		{"", atMail, 2},
		{"-mx-session-limit 4", atMail, 4},
		{"-mx-session-limit 0", atMail, 5},
		{"-mx-session-limit 0 -mx-address-limit 0", atMail, 7},
	} {
		w, port := newWorldOf(t, &smtptest.Server{Script: tt.script}, sevenHosts)
		code, o := w.runJSON(t, append(strings.Fields(tt.flags), "-port", port, "-to", "bob@example.net")...)
		if code != 75 || w.mail.Sessions() != tt.want {
			t.Errorf("%q: exit %d after %d sessions, want 75 after %d", tt.flags, code, w.mail.Sessions(), tt.want)
		}
		if want := fmt.Sprintf("mx%d.example.net", tt.want); o.Host != want {
			t.Errorf("%q: the last host was %s, want %s", tt.flags, o.Host, want)
		}
	}
}

// A relay takes mail for a domain that cannot be found, but none that a host has
// answered.
func TestFallback(t *testing.T) {
	w, port := newWorldOf(t, &smtptest.Server{Script: byName}, "$ORIGIN example.net.\n@ MX 10 mx\nmx A 127.0.0.1\n")
	relay := "[127.0.0.1]:" + port
	for _, tt := range []struct {
		to, flags string
		code      int
		status    string
	}{
		{"bob@gone.example.net", "", 69, "failed"},
		{"bob@gone.example.net", "-fallback " + relay, 0, "delivered"},
		{"bob@gone.example.net", "-fallback [127.0.0.1]:1 -fallback " + relay, 0, "delivered"},
		{"bob@gone.example.net", "-fallback [127.0.0.1]:1", 75, "deferred"},
		{"later@example.net", "-port " + port + " -fallback " + relay, 75, "deferred"},
	} {
		code, o := w.runJSON(t, append(strings.Fields(tt.flags), "-to", tt.to)...)
		if code != tt.code || o.Status != tt.status {
			t.Errorf("%s %q: exit %d and %s, want %d and %s", tt.to, tt.flags, code, o.Status, tt.code, tt.status)
		}
	}
}

// With -srv host and port are those of the SRV record.
func TestSRV(t *testing.T) {
	const zone = `
$ORIGIN example.net.
@ MX 10 mx
mx A 127.0.0.1
_submission._tcp SRV 10 0 1 first
_submission._tcp SRV 20 0 PORT second
first A 127.0.0.1
second A 127.0.0.1
`
	w, port := newWorldOf(t, &smtptest.Server{}, zone)
	code, o := w.runJSON(t, "-srv", "submission", "-to", "bob@example.net")
	if code != 0 || o.Host != "second.example.net" || o.Addr != "127.0.0.1:"+port || len(o.Attempts) != 1 || o.Attempts[0].Addr != "127.0.0.1:1" {
		t.Errorf("exit %d, %+v", code, o)
	}
	if code, o := w.runJSON(t, "-port", port, "-to", "bob@example.net"); code != 0 || o.Host != "mx.example.net" {
		t.Errorf("without -srv: exit %d, host %s", code, o.Host)
	}
	if code, _ := w.runJSON(t, "-srv", "a service", "-to", "bob@example.net"); code != 75 {
		t.Errorf("a service that is none: exit %d, want 75", code)
	}
}

// -prefer says which family comes first. Nobody listens at ::1, or there is no IPv6
// at all.
func TestPrefer(t *testing.T) {
	const zone = "$ORIGIN example.net.\n@ MX 10 mx\nmx A 127.0.0.1\nmx AAAA ::1\n"
	for flag, want := range map[string][]string{"ipv4": {"127.0.0.1"}, "ipv6": {"[::1]", "127.0.0.1"}} {
		w, port := newWorldOf(t, &smtptest.Server{}, zone)
		code, o := w.runJSON(t, "-prefer", flag, "-port", port, "-to", "bob@example.net")
		var got []string
		for _, a := range o.Attempts {
			got = append(got, strings.TrimSuffix(a.Addr, ":"+port))
		}
		got = append(got, strings.TrimSuffix(o.Addr, ":"+port))
		if code != 0 || !slices.Equal(got, want) {
			t.Errorf("-prefer %s: exit %d, tried %q, want %q", flag, code, got, want)
		}
	}
}

// Only -local lets mail for a domain go to this machine; a configured next hop may
// be here.
func TestLocal(t *testing.T) {
	w, port := newWorldOf(t, &smtptest.Server{}, "$ORIGIN example.net.\n@ MX 10 mx\nmx A 127.0.0.1\n")
	w.args = slices.DeleteFunc(w.args, func(arg string) bool { return arg == "-local" })
	for flags, want := range map[string]int{"": 75, "-local": 0, "-nexthop example.net": 0, "-nexthop [127.0.0.1]:" + port: 0} {
		if code, o := w.runJSON(t, append(strings.Fields(flags), "-port", port, "-to", "bob@example.net")...); code != want {
			t.Errorf("%q: exit %d, want %d: %+v", flags, code, want, o)
		}
	}
}

// A dialogue is shown with one domain after another.
func TestTraceOfSeveralDomains(t *testing.T) {
	w, port := newWorldOf(t, &smtptest.Server{}, "$ORIGIN example.net.\na MX 10 mx\nb MX 10 mx\nc MX 10 mx\nmx A 127.0.0.1\n")
	_, _, stderr := w.run(t, "-trace", "-port", port, "-to", "bob@a.example.net", "-to", "bob@b.example.net", "-to", "bob@c.example.net")
	var verbs []string
	for line := range strings.Lines(stderr) {
		if words := strings.Fields(line); words[0] == "C:" {
			verbs = append(verbs, words[1])
		}
	}
	one := verbs[:len(verbs)/3]
	if want := slices.Concat(one, one, one); !slices.Equal(verbs, want) || !slices.Contains(one, "DATA") {
		t.Errorf("the dialogue is not three times the same:\n%s", stderr)
	}
}
