package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// The program is run against a name server and a mail server on loopback
// sockets, as a user would run it.

const message = "From: Ann <ann@example.org>\r\nSubject: Grüße\r\n\r\n.A line with a dot before it.\r\n"

const zone = `
$ORIGIN example.net.
@     MX 10 mx
mx    A  127.0.0.1
null  MX 0 .
`

// world is what the program finds: a mail server for example.net, which knows
// some recipients by their names.
type world struct {
	mail *smtptest.Server
	args []string // as that lead there
}

func newWorld(t *testing.T, mail *smtptest.Server) world {
	t.Helper()
	return newWorldIn(t, mail, func(int) dnstest.Zone { return dnstest.Zone{Text: zone} })
}

// newWorldIn makes the zone for the port of the mail server.
func newWorldIn(t *testing.T, mail *smtptest.Server, zoneFor func(port int) dnstest.Zone) world {
	t.Helper()
	smtp, err := mail.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := smtp.(*net.TCPAddr).Port
	names := &dnstest.Server{Zones: []dnstest.Zone{zoneFor(port)}}
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
	return world{mail: mail, args: []string{"-from", "ann@example.org", "-helo", "client.example.org",
		"-dns", dns.String(), "-local", "-port", fmt.Sprint(port)}}
}

// run delivers to the recipients, with further arguments in their midst.
func (w world) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runWith(t, message, append(slices.Clone(w.args), args...)...)
}

// byName treats a recipient as its name says.
func byName(c smtptest.Command) smtptest.Action {
	switch {
	case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody"):
		return smtptest.Action{Reply: "550 5.1.1 no such user"}
	case c.Verb == "RCPT" && strings.Contains(c.Args, "later"):
		return smtptest.Action{Reply: "450 4.2.1 not now"}
	case c.Verb == smtptest.EndOfData && slices.ContainsFunc(c.Message.To, func(to string) bool { return strings.Contains(to, "lost") }):
		return smtptest.Action{Fault: smtptest.Drop}
	}
	return smtptest.Action{}
}

func TestDeliversToMX(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	code, stdout, stderr := w.run(t, "-to", "bob@example.net", "-to", "carol@example.net", "-tls", "encrypt", "-json")
	if code != 0 || stderr != "" {
		t.Errorf("exit %d, standard error %q; want 0 and nothing", code, stderr)
	}
	var report jsonReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Recipients) != 2 {
		t.Fatalf("%d recipients, want 2: %s", len(report.Recipients), stdout)
	}
	for _, r := range report.Recipients {
		if r.Status != "delivered" || r.Host != "mx.example.net" || r.Code != 250 || r.TLS.Version != "TLS1.3" || r.TLS.Reached != "encrypt" {
			t.Errorf("got %+v", r)
		}
		if r.Durations["connect"] <= 0 || r.Durations["data-done"] <= 0 {
			t.Errorf("durations %v, want connect and data-done among them", r.Durations)
		}
	}
	stored := w.mail.Messages()
	if len(stored) != 1 || string(stored[0].Data) != message || stored[0].From != "ann@example.org" || len(stored[0].To) != 2 {
		t.Errorf("stored %+v", stored)
	}
}

func TestExitCodeOfADelivery(t *testing.T) {
	tests := []struct {
		to   string
		want int
	}{
		{"bob@example.net", 0},
		{"bob@example.net nobody@example.net", 69},
		{"bob@null.example.net", 69},
		{"bob@example.net nobody@example.net no-address@", 65},
		{"", 65},
		{"bob@example.net nobody@example.net no-address@ later@example.net", 75},
		{"lost@example.net nobody@example.net no-address@ later@example.net", 76},
	}
	for _, tt := range tests {
		w := newWorld(t, &smtptest.Server{Script: byName})
		var args []string
		for _, to := range strings.Fields(tt.to) {
			args = append(args, "-to", to)
		}
		code, stdout, stderr := w.run(t, args...)
		if code != tt.want {
			t.Errorf("%q: exit %d, want %d\n%s%s", tt.to, code, tt.want, stdout, stderr)
		}
	}
}

// What the library finds wrong is its verdict and not a fault of usage.
func TestFaultsThatTheLibraryFinds(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	tests := []struct {
		args []string
		want int
	}{
		{[]string{"-from", ""}, 65},
		{[]string{"-from", "no address"}, 65},
		{[]string{"-nexthop", "[mx.example.net"}, 75},
		{[]string{"-helo", "no name"}, 75},
		{[]string{"-bind4", "::1"}, 75},
	}
	for _, tt := range tests {
		code, stdout, _ := w.run(t, append([]string{"-to", "bob@example.net"}, tt.args...)...)
		if code != tt.want || !strings.Contains(stdout, "at input:") {
			t.Errorf("%q: exit %d, want %d and a report of stage input\n%s", tt.args, code, tt.want, stdout)
		}
	}
	if got := w.mail.Sessions(); got != 0 {
		t.Errorf("%d connections, want none", got)
	}
}

func TestTextReport(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Script: byName})
	_, stdout, _ := w.run(t, "-to", "bob@example.net", "-to", "nobody@example.net", "-tls", "none")
	for _, want := range []string{
		"bob@example.net: delivered (relayed), mx.example.net (127.0.0.1:",
		"nobody@example.net: failed, mx.example.net (127.0.0.1:",
		"at rcpt: 550 5.1.1 no such user\n    tls: plaintext\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
}

func TestNextHopsInOrder(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if c.Session == 0 && c.Verb == smtptest.Connect {
			return smtptest.Action{Reply: "421 4.3.2 closing"}
		}
		return smtptest.Action{}
	}})
	code, stdout, _ := w.run(t, "-to", "bob@elsewhere.example", "-nexthop", "example.net", "-nexthop", "[127.0.0.1]", "-bind4", "127.0.0.1")
	if code != 0 || !strings.Contains(stdout, "    before: mx.example.net") || !strings.Contains(stdout, "at greeting: 421 4.3.2 closing") {
		t.Errorf("exit %d, want 0 and the first next hop before\n%s", code, stdout)
	}
}

func TestTrace(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	_, quiet, _ := w.run(t, "-to", "bob@example.net")
	_, stdout, stderr := w.run(t, "-to", "bob@example.net", "-trace")
	if strings.Contains(quiet+stdout, "EHLO") {
		t.Errorf("the dialogue is on standard output:\n%s%s", quiet, stdout)
	}
	for _, want := range []string{"\nC: EHLO client.example.org\n", "\nC: RCPT TO:<bob@example.net>\n", "\nS: 354 ", "\n-- connect mx.example.net (127.0.0.1:"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing in\n%s", want, stderr)
		}
	}
}

func TestRepeat(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	code, stdout, stderr := w.run(t, "-to", "bob@example.net", "-repeat", "12", "-concurrency", "3", "-json", "-trace")
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if code != 0 || len(lines) != 12 {
		t.Errorf("exit %d and %d lines, want 0 and 12\n%s", code, len(lines), stdout)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not an object: %s", line)
		}
	}
	if got := len(w.mail.Messages()); got != 12 {
		t.Errorf("%d messages stored, want 12", got)
	}
	summary := regexp.MustCompile(`\n12 messages in [0-9.]+ s, [0-9.]+ messages/s; recipients: 12 delivered, 0 deferred, 0 failed, 0 refused as input, 0 unknown\n$`)
	if !summary.MatchString(stderr) {
		t.Errorf("no summary at the end of\n%s", stderr)
	}
	for n := range 12 {
		if !strings.Contains(stderr, fmt.Sprintf("\n%d C: DATA\n", n+1)) {
			t.Errorf("delivery %d has no line of its own in the dialogue", n+1)
		}
	}
}

func TestRepeatExitsWithTheWorst(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if c.Session == 1 && c.Verb == "MAIL" {
			return smtptest.Action{Reply: "451 4.3.0 not now"}
		}
		return smtptest.Action{}
	}})
	// The session limit keeps the second delivery from trying again.
	code, stdout, stderr := w.run(t, "-to", "bob@example.net", "-repeat", "3", "-mx-session-limit", "1")
	if code != 75 || strings.Count(stdout, ": delivered") != 2 || strings.Count(stdout, ": deferred") != 1 {
		t.Errorf("exit %d, want 75 for one of three\n%s%s", code, stdout, stderr)
	}
	if !strings.Contains(stderr, "2 delivered, 1 deferred") {
		t.Errorf("summary %q", stderr)
	}
}

// What is overlooked is not used: without SIZE there is no SIZE=, and without
// PIPELINING no two commands come together.
func TestDiscard(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	w.run(t, "-to", "bob@example.net")
	w.run(t, "-to", "bob@example.net", "-discard", "size", "-pipelining", "off")

	stored := w.mail.Messages()
	if len(stored) != 2 {
		t.Fatalf("%d messages stored, want 2", len(stored))
	}
	if !strings.Contains(stored[0].FromArgs, "SIZE=") || strings.Contains(stored[1].FromArgs, "SIZE=") {
		t.Errorf("parameters of MAIL: %q and %q; want SIZE in the first only", stored[0].FromArgs, stored[1].FromArgs)
	}
	if !grouped(w.mail.Transcript(0)) || grouped(w.mail.Transcript(1)) {
		t.Error("want commands in groups in the first session only")
	}
}

// grouped tells whether RCPT came in one piece with MAIL.
func grouped(transcript []smtptest.Chunk) bool {
	return slices.ContainsFunc(transcript, func(c smtptest.Chunk) bool {
		return c.FromClient && bytes.Contains(c.Data, []byte("MAIL FROM")) && bytes.Contains(c.Data, []byte("RCPT TO"))
	})
}

// A server that falls silent costs no more than what was allowed for it.
func TestDeadlineAndTimeout(t *testing.T) {
	for _, args := range [][]string{{"-deadline", "100ms"}, {"-timeout", "rcpt=100ms"}} {
		w := newWorld(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "RCPT" {
				return smtptest.Action{Fault: smtptest.Stall}
			}
			return smtptest.Action{}
		}})
		code, stdout, _ := w.run(t, append(args, "-to", "bob@example.net")...)
		if code != 75 || !strings.Contains(stdout, "bob@example.net: deferred") {
			t.Errorf("%q: exit %d, want 75\n%s", args, code, stdout)
		}
	}
}
