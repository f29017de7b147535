package main

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// all are the flags of DESIGN.md, section 9.
var all = strings.Fields(`from to file nexthop proto helo dns local port fallback srv bind4 bind6 prefer tls tls-policy ca cert key fingerprint match
		wrapper servername retry-plaintext requiretls tls-required
		body smtputf8 ret envid notify orcpt pipelining chunking discard mx-address-limit mx-session-limit timeout
		verify arrival deadline by hold priority auth-param xforward repeat concurrency trace json
		auth-user auth-pass-env auth-mech auth-plaintext-ok overlap final pool`)

// switches take no value, so that a -to after one is still read.
var switches = strings.Fields("local trace json wrapper auth-plaintext-ok smtputf8 requiretls verify final")

func TestTableHoldsEveryFlagAndNoOther(t *testing.T) {
	var names, bare []string
	for _, o := range options() {
		names = append(names, o.name)
		if o.takes == "" {
			bare = append(bare, o.name)
		}
		if o.help == "" {
			t.Errorf("-%s has no line of help", o.name)
		}
	}
	same := func(what string, got, want []string) {
		t.Helper()
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
		}
	}
	same("flags", names, all)
	same("switches", bare, switches)
}

// Every fault of the command line ends with 64 and one line that names the flag
// and what it takes, before anything is read or sent.
func TestUsageFaults(t *testing.T) {
	tests := []struct {
		args []string
		want string // in the line
	}{
		{nil, "-from is missing: it takes the sender's address"},
		{[]string{"-to", "bob@example.net"}, "-from is missing"},
		{[]string{"-from"}, "-from takes ADDRESS"},
		{[]string{"-from", "a@example.org", "-fallback"}, "-fallback takes DEST"},
		{[]string{"-from", "a@example.org", "-overlap"}, "-overlap takes on|off"},
		{[]string{"-from", "a@example.org", "-overlap", "yes"}, `-overlap "yes": takes on or off`},
		{[]string{"-from", "a@example.org", "-pool", "4"}, `-pool "4": takes on or off`},
		{[]string{"-from", "a@example.org", "-final=x"}, `-final "x": is a switch`},
		{[]string{"-from", "a@example.org", "-final"}, "-final is for -proto lmtp"},
		{[]string{"-from", "a@example.org", "-proto", "lmtp", "-fallback", "[relay.example.org]"}, "-fallback is not for -proto lmtp"},
		{[]string{"-from", "a@example.org", "-proto", "lmtp", "-srv", "submission"}, "-srv is not for -proto lmtp"},
		{[]string{"-from", "a@example.org", "-proto", "lmtp", "-prefer", "ipv6"}, "-prefer is not for -proto lmtp"},
		{[]string{"-from", "a@example.org", "-nope"}, "flag provided but not defined: -nope; deliver -h"},
		{[]string{"-from", "a@example.org", "message.eml"}, `"message.eml" is not a flag; the message comes from -file`},
		{[]string{"-from", "a@example.org", "-proto", "uucp"}, `-proto "uucp": takes smtp or lmtp`},
		{[]string{"-from", "a@example.org", "-dns", "127.0.0.1"}, `-dns "127.0.0.1": takes HOST:PORT`},
		{[]string{"-from", "a@example.org", "-dns", ":53"}, `-dns ":53": takes HOST:PORT`},
		{[]string{"-from", "a@example.org", "-dns", "127.0.0.1:http"}, `-dns "127.0.0.1:http": takes HOST:PORT`},
		{[]string{"-from", "a@example.org", "-local=maybe"}, `-local "maybe": is a switch`},
		{[]string{"-from", "a@example.org", "-port", "0"}, `-port "0": takes a number from 1 to 65535`},
		{[]string{"-from", "a@example.org", "-port", "65536"}, `-port "65536": takes a number from 1 to 65535`},
		{[]string{"-from", "a@example.org", "-port", "smtp"}, `-port "smtp": takes a number`},
		{[]string{"-from", "a@example.org", "-bind4", "localhost"}, `-bind4 "localhost": takes an IP address`},
		{[]string{"-from", "a@example.org", "-bind6", ""}, `-bind6 "": takes an IP address`},
		{[]string{"-from", "a@example.org", "-prefer", "ipv5"}, `-prefer "ipv5": takes ipv4, ipv6 or any`},
		{[]string{"-from", "a@example.org", "-tls", "much"}, `-tls "much": unknown TLS level "much"; use none, may, encrypt, fingerprint`},
		{[]string{"-from", "a@example.org", "-wrapper=maybe"}, `-wrapper "maybe": is a switch`},
		{[]string{"-from", "a@example.org", "-body", "9bit"}, `-body "9bit": takes auto, 7bit, 8bitmime or binarymime`},
		{[]string{"-from", "a@example.org", "-body"}, "-body takes auto|7bit|8bitmime|binarymime"},
		{[]string{"-from", "a@example.org", "-smtputf8=x"}, `-smtputf8 "x": is a switch`},
		{[]string{"-from", "a@example.org", "-ret", "HEADERS"}, `-ret "HEADERS": takes full or hdrs`},
		{[]string{"-from", "a@example.org", "-envid", ""}, `-envid "": takes 1 to 100 printable ASCII characters`},
		{[]string{"-from", "a@example.org", "-envid", "Grüße"}, `-envid "Grüße": takes 1 to 100`},
		{[]string{"-from", "a@example.org", "-envid", "a\r\nb"}, `-envid "a\r\nb": takes 1 to 100`},
		{[]string{"-from", "a@example.org", "-envid", strings.Repeat("x", 101)}, "takes 1 to 100"},
		{[]string{"-from", "a@example.org", "-notify", ""}, `-notify "": takes never, or some of success, failure and delay`},
		{[]string{"-from", "a@example.org", "-notify", "success,always"}, `-notify "success,always": takes never, or`},
		{[]string{"-from", "a@example.org", "-notify", "never,delay"}, `-notify "never,delay": takes never alone`},
		{[]string{"-from", "a@example.org", "-orcpt", ""}, `-orcpt "": takes an address`},
		{[]string{"-from", "a@example.org", "-chunking", "on"}, `-chunking "on": takes off, auto, after or grouped`},
		{[]string{"-from", "a@example.org", "-verify=data"}, `-verify "data": is a switch`},
		{[]string{"-from", "a@example.org", "-arrival", "yesterday"}, `-arrival "yesterday": takes a time as 2026-12-31T18:00:00Z`},
		{[]string{"-from", "a@example.org", "-arrival", "0001-01-01T00:00:00Z"}, "takes a time as"},
		{[]string{"-from", "a@example.org", "-by", "soon"}, `-by "soon": takes SECONDS`},
		{[]string{"-from", "a@example.org", "-by", "60;"}, `-by "60;": takes SECONDS`},
		{[]string{"-from", "a@example.org", "-by", "60;T"}, `-by "60;T": takes SECONDS`},
		{[]string{"-from", "a@example.org", "-by", "60;RTT"}, `-by "60;RTT": takes SECONDS`},
		{[]string{"-from", "a@example.org", "-by", "0;N"}, `-by "0;N": takes SECONDS`},
		{[]string{"-from", "a@example.org", "-by", "1000000000;N"}, `-by "1000000000;N": takes SECONDS`},
		{[]string{"-from", "a@example.org", "-by", "9223372036854775807"}, "takes SECONDS"},
		{[]string{"-from", "a@example.org", "-by", "-60;R"}, `-by "-60;R": takes a positive time`},
		{[]string{"-from", "a@example.org", "-hold", "0"}, `-hold "0": takes a number of seconds, or a time`},
		{[]string{"-from", "a@example.org", "-hold", "-5"}, `-hold "-5": takes a number of seconds`},
		{[]string{"-from", "a@example.org", "-hold", "1000000000"}, `-hold "1000000000": takes a number of seconds`},
		{[]string{"-from", "a@example.org", "-hold", "tomorrow"}, `-hold "tomorrow": takes a number of seconds`},
		{[]string{"-from", "a@example.org", "-priority", "10"}, `-priority "10": takes a number from -9 to 9`},
		{[]string{"-from", "a@example.org", "-priority", "high"}, `-priority "high": takes a number from -9 to 9`},
		{[]string{"-from", "a@example.org", "-auth-param", ""}, `-auth-param "": takes an address, or <>`},
		{[]string{"-from", "a@example.org", "-xforward", "NAME"}, `-xforward "NAME": takes NAME=VALUE`},
		{[]string{"-from", "a@example.org", "-xforward", "HELO="}, `-xforward "HELO=": takes NAME=VALUE`},
		{[]string{"-from", "a@example.org", "-xforward", "COLOUR=red"}, "where NAME is one of NAME, ADDR, PORT,"},
		{[]string{"-from", "a@example.org", "-xforward", "ADDR=localhost"}, `-xforward "ADDR=localhost": takes an IP address`},
		{[]string{"-from", "a@example.org", "-xforward", "DESTADDR=1.2.3"}, `-xforward "DESTADDR=1.2.3": takes an IP address`},
		{[]string{"-from", "a@example.org", "-xforward", "PORT=0"}, `-xforward "PORT=0": takes a number from 1 to 65535`},
		{[]string{"-from", "a@example.org", "-xforward", "DESTPORT=65536"}, `-xforward "DESTPORT=65536": takes a number`},
		{[]string{"-from", "a@example.org", "-pipelining", "no"}, `-pipelining "no": takes on or off`},
		{[]string{"-from", "a@example.org", "-discard", " , "}, `-discard " , ": takes EHLO keywords`},
		{[]string{"-from", "a@example.org", "-mx-address-limit", "-1"}, `-mx-address-limit "-1": takes a number; 0 is no limit`},
		{[]string{"-from", "a@example.org", "-mx-session-limit", "two"}, `-mx-session-limit "two": takes a number`},
		{[]string{"-from", "a@example.org", "-timeout", "rcpt"}, `-timeout "rcpt": takes STAGE=DURATION`},
		{[]string{"-from", "a@example.org", "-timeout", "rcpt=30"}, `-timeout "rcpt=30": takes STAGE=DURATION`},
		{[]string{"-from", "a@example.org", "-timeout", "lunch=1h"}, "where STAGE is one of connect, greeting, hello,"},
		{[]string{"-from", "a@example.org", "-deadline", "0s"}, `-deadline "0s": takes a duration`},
		{[]string{"-from", "a@example.org", "-deadline", "soon"}, `-deadline "soon": takes a duration`},
		{[]string{"-from", "a@example.org", "-repeat", "0"}, `-repeat "0": takes a number, 1 or more`},
		{[]string{"-from", "a@example.org", "-concurrency", "-3"}, `-concurrency "-3": takes a number, 1 or more`},
		{[]string{"-from", "a@example.org", "-file", filepath.Join("no", "such", "file")}, "-file: open"},
	}
	for _, tt := range tests {
		code, stdout, stderr := runWith(t, "", tt.args...)
		oneLine := strings.HasPrefix(stderr, "deliver: ") && strings.Count(stderr, "\n") == 1
		if code != 64 || stdout != "" || !oneLine || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: exit %d, standard output %q, standard error %q; want 64 and one line with %q",
				tt.args, code, stdout, stderr, tt.want)
		}
	}
}

func TestUnreadableInput(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run([]string{"-from", "a@example.org"}, brokenReader{}, &stdout, &stderr)
	if want := "deliver: standard input: the pipe broke\n"; code != 64 || stderr.String() != want {
		t.Errorf("exit %d, standard error %q; want 64 and %q", code, &stderr, want)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the pipe broke") }

func TestHelp(t *testing.T) {
	code, stdout, stderr := runWith(t, "", "-h")
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d, standard error %q; want 0 and nothing", code, stderr)
	}
	for _, name := range all {
		if !strings.Contains(stdout, "\n  -"+name+" ") {
			t.Errorf("-%s is not in the help", name)
		}
	}
}

func TestFlagsReachTheLibrary(t *testing.T) {
	c, err := parseFlags([]string{
		"-from", "<>", "-to", "bob@example.net", "-local", "-to", "carol@example.net",
		"-nexthop", "[mx.example.net]:2525", "-nexthop", "unix:/run/lmtp",
		"-proto", "smtp", "-helo", "out.example.org", "-dns", "[::1]:5353", "-port", "2525",
		"-bind4", "127.0.0.2", "-bind6", "::1", "-prefer", "ipv6", "-tls", "encrypt",
		"-discard", "size,8bitmime", "-discard", "DSN", "-pipelining", "off",
		"-mx-address-limit", "0", "-mx-session-limit", "7", "-srv", "submission",
		"-fallback", "relay.example.org", "-fallback", "[192.0.2.1]",
		"-timeout", "rcpt=30s", "-timeout", "data-done=-1s", "-timeout", "transaction=2h",
		"-deadline", "90s", "-repeat", "3", "-concurrency", "2", "-trace", "-json", "-file", "message.eml",
	})
	if err != nil {
		t.Fatal(err)
	}
	equal := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	equal("From", c.envelope.From, "<>")
	equal("recipients", len(c.envelope.To), 2)
	equal("To[1]", c.envelope.To[1].Address, "carol@example.net")
	equal("NextHops", strings.Join(c.client.NextHops, " "), "[mx.example.net]:2525 unix:/run/lmtp")
	equal("Protocol", c.client.Protocol, smtpclient.SMTP)
	equal("LocalName", c.client.LocalName, "out.example.org")
	equal("Servers", c.client.Resolver.(*resolve.DNS).Servers[0], "[::1]:5353")
	equal("Local", c.client.Routing.Local, true)
	equal("Port", c.client.Routing.Port, uint16(2525))
	equal("Prefer", c.client.Routing.Prefer, resolve.IPv6)
	equal("TLS", c.client.TLS.(tlspolicy.Policy).Level, tlspolicy.Encrypt)
	equal("LocalAddr4", c.client.Dialer.LocalAddr4, netip.MustParseAddr("127.0.0.2"))
	equal("LocalAddr6", c.client.Dialer.LocalAddr6, netip.MustParseAddr("::1"))
	discard := c.client.Dialer.Quirks(smtpclient.Target{}).Discard
	equal("Discard", strings.Join(discard, " "), "size 8bitmime DSN PIPELINING")
	equal("Addresses", c.client.Limits.Addresses, -1)
	equal("Sessions", c.client.Limits.Sessions, 7)
	equal("Service", c.client.Routing.Service, "submission")
	equal("Fallback", strings.Join(c.client.Fallback, " "), "relay.example.org [192.0.2.1]")
	equal("Rcpt", c.client.Dialer.Timeouts.Rcpt, 30*time.Second)
	equal("DataDone", c.client.Dialer.Timeouts.DataDone, -time.Second)
	equal("Transaction", c.client.Dialer.Timeouts.Transaction, 2*time.Hour)
	equal("deadline", c.deadline, 90*time.Second)
	equal("repeat", c.repeat, 3)
	equal("concurrency", c.concurrency, 2)
	equal("trace", c.trace, true)
	equal("json", c.json, true)
	equal("file", c.file, "message.eml")
}

func TestFlagsLeaveDefaultsAlone(t *testing.T) {
	c, err := parseFlags([]string{"-from", "ann@example.org", "-prefer", "any", "-pipelining", "off", "-pipelining", "on"})
	if err != nil {
		t.Fatal(err)
	}
	if c.client.Resolver != nil || c.client.TLS != nil || c.client.NextHops != nil || c.client.Dialer.Quirks != nil || !reflect.DeepEqual(c.envelope, smtpclient.Envelope{From: "ann@example.org"}) {
		t.Errorf("got %+v, want a client without Resolver, TLS, NextHops and Quirks, and in the envelope only From: %+v", c.client, c.envelope)
	}
	if c.client.Limits != (smtpclient.Limits{}) || !reflect.DeepEqual(c.client.Routing, resolve.Routing{}) {
		t.Errorf("got %+v and %+v, want zero values", c.client.Limits, c.client.Routing)
	}
}

// Each stage sets its own timeout and no other.
func TestEveryTimeoutStage(t *testing.T) {
	seen := map[smtpclient.Timeouts]string{}
	for _, stage := range timeoutStages {
		c, err := parseFlags([]string{"-from", "ann@example.org", "-timeout", stage + "=7s"})
		if err != nil {
			t.Errorf("%s: %v", stage, err)
			continue
		}
		if other, taken := seen[c.dialer.Timeouts]; taken || c.dialer.Timeouts == (smtpclient.Timeouts{}) {
			t.Errorf("%s gives %+v, as does %q", stage, c.dialer.Timeouts, other)
		}
		seen[c.dialer.Timeouts] = stage
	}
	if len(seen) != 13 {
		t.Errorf("%d stages have a timeout, want 13", len(seen))
	}
}

func TestMessageFromFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(name, []byte("Subject: x\r\n\r\nbody\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ file, want string }{{name, "Subject: x\r\n\r\nbody\r\n"}, {"", "from the pipe"}} {
		message, err := readMessage(tt.file, strings.NewReader("from the pipe"))
		if err != nil || string(message) != tt.want {
			t.Errorf("readMessage(%q) = %q, %v; want %q", tt.file, message, err, tt.want)
		}
	}
}

// runWith runs the program with the text as its standard input.
func runWith(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &errs)
	heard := eavesdrop.New(authSecret)
	if heard.Check(out.String()) || heard.Check(errs.String()) {
		t.Errorf("the secret is in the output: %s%s", &out, &errs)
	}
	return code, out.String(), errs.String()
}
