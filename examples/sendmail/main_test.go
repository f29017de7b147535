package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// world is a program with a server that it knows.
type world struct {
	program
	server   *smtptest.Server
	hub      string
	out, err bytes.Buffer
}

func newWorld(t *testing.T, server *smtptest.Server, lines ...string) *world {
	t.Helper()
	w := &world{server: server}
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	conf := filepath.Join(t.TempDir(), "conf")
	w.hub = fmt.Sprintf("[127.0.0.1]:%d", addr.(*net.TCPAddr).Port)
	lines = append(lines, "mailhub="+strings.NewReplacer("[", "", "]", "").Replace(w.hub), "Hostname=box.example.org", "# a note", "Debug=YES")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.program = program{name: "sendmail", login: "ann", fullName: "Ann", conf: conf, out: &w.out, err: &w.err}
	return w
}

// run sends with a line of arguments, and expects an exit code.
func (w *world) run(t *testing.T, code int, args, message string) {
	t.Helper()
	w.in = strings.NewReader(message)
	if got := w.program.run(t.Context(), strings.Fields(args)); got != code {
		t.Errorf("sendmail %s: exit code %d, not %d: %s", args, got, code, &w.err)
	}
}

// last is what the server got last.
func (w *world) last(t *testing.T) smtptest.Message {
	t.Helper()
	all := w.server.Messages()
	if len(all) == 0 {
		t.Fatalf("the server got nothing: %s", &w.err)
	}
	return all[len(all)-1]
}

// Started without arguments it shows itself.
func TestDemo(t *testing.T) {
	var out, errs bytes.Buffer
	p := program{name: "sendmail", login: "ann", out: &out, err: &errs}
	if code := p.run(t.Context(), nil); code != exOK || errs.Len() > 0 {
		t.Errorf("%d, %s", code, &errs)
	}
	if got := out.String(); !strings.Contains(got, "from ann@example.org to bob@example.net and carol@example.com") || strings.Contains(got, "Bcc") {
		t.Errorf("output %q", got)
	}
}

// The recipients come from the header and from the arguments; nobody sees who got a
// blind copy, and what every message has is added.
func TestHeader(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	w.run(t, exOK, "-t -i dora@example.com", "From ann Mon Jan  1 00:00:00 2026\nSubject: a\n b\nTo: \"Bob, the\n first\" <bob@example.net>, carl\nCC: friends: eve@example.net;\nBcc: fay@example.net,\n gil@example.net\n\n.\n..dots\n")
	m := w.last(t)
	if want := []string{"dora@example.com", "bob@example.net", "carl@box.example.org", "eve@example.net", "fay@example.net", "gil@example.net"}; !slices.Equal(m.To, want) {
		t.Errorf("to %q", m.To)
	}
	text := string(m.Data)
	for _, want := range []string{"Subject: a\r\n b\r\nTo: \"Bob, the\r\n first\" <bob@example.net>, carl\r\n", "\r\nFrom: \"Ann\" <ann@box.example.org>\r\n", "\r\nDate: ", "\r\nMessage-ID: <", "\r\n\r\n.\r\n..dots\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("without %q: %q", want, text)
		}
	}
	if strings.Contains(text, "fay") || strings.Contains(text, "gil@") || strings.HasPrefix(text, "From ") {
		t.Errorf("%q", text)
	}
	w.run(t, exOK, "-ti", "To: old@example.net\nResent-To: new@example.net\nResent-Bcc: blind@example.net\nFrom: a@example.org\nDate: x\nMessage-ID: y\n\nz\n")
	if m := w.last(t); !slices.Equal(m.To, []string{"new@example.net", "blind@example.net"}) || string(m.Data) != "To: old@example.net\r\nResent-To: new@example.net\r\nFrom: a@example.org\r\nDate: x\r\nMessage-ID: y\r\n\r\nz\r\n" {
		t.Errorf("to %q: %q", m.To, m.Data)
	}
}

// Flags of Postfix, of ssmtp and of those who call them.
func TestFlags(t *testing.T) {
	for args, from := range map[string]string{
		"-FCronDaemon -i -B8BITMIME -oem bob@example.net":                             "ann@box.example.org",
		"-oem -oi -f me@example.com -- bob@example.net":                               "me@example.com",
		"-i -fme bob@example.net":                                                     "me@box.example.org",
		"-r <> -bm -v -U -G -X/dev/null -L tag bob@example.net":                       "",
		"-om -O DeliveryMode=b -h 3 -I -n -A c@example.com -Ac -p x -m b@example.net": "ann@box.example.org",
	} {
		w := newWorld(t, &smtptest.Server{})
		w.run(t, exOK, args, "Subject: x\n\nHello\n")
		if m := w.last(t); m.From != from || !strings.HasSuffix(string(m.Data), "\r\n\r\nHello\r\n") {
			t.Errorf("sendmail %s: from %q: %q", args, m.From, m.Data)
		}
	}
	w := newWorld(t, &smtptest.Server{})
	w.run(t, exOK, "-N success,delay -Rhdrs -V id7 -F Sister bob@example.net", "no header at all\n")
	m := w.last(t)
	if !strings.Contains(m.FromArgs, "ENVID=id7 RET=HDRS") || !strings.Contains(m.ToArgs[0], "NOTIFY=SUCCESS,DELAY") || !strings.Contains(string(m.Data), "\r\n\r\nno header at all\r\n") || !strings.Contains(string(m.Data), `From: "Sister" <ann@`) {
		t.Errorf("%q %q %q", m.FromArgs, m.ToArgs, m.Data)
	}
	for _, args := range []string{"-bd", "-bs", "-Z", "-f", "-N sometimes bob", "-N never,delay bob", "-Rsome bob", "-i"} {
		w.run(t, exUsage, args, "Subject: x\n\n")
	}
	for _, args := range []string{"-bp", "-bi", "-q", "-q15m"} {
		w.run(t, exOK, args, "")
	}
	if len(w.server.Messages()) != 1 || !strings.Contains(w.out.String(), "queue is empty") {
		t.Errorf("%d messages, output %q", len(w.server.Messages()), &w.out)
	}
}

// Without -i a line with a dot alone is the end.
func TestDotEnds(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	w.run(t, exOK, "bob@example.net", "Subject: x\n\none\n.\ntwo\n")
	if m := w.last(t); !strings.HasSuffix(string(m.Data), "\r\n\r\none\r\n") {
		t.Errorf("%q", m.Data)
	}
}

// The exit code says what became of the message.
func TestExitCodes(t *testing.T) {
	for want, reply := range map[int]string{
		exNoUser: "550 5.1.1 User unknown", exTempFail: "450 4.2.0 Greylisted", exUnavailable: "550 5.7.1 We do not like you",
		exNoPerm: "550 5.7.23 SPF validation failed", exDataErr: "552 5.3.4 Message too big",
	} {
		w := newWorld(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "RCPT" {
				return smtptest.Action{Reply: reply}
			}
			return smtptest.Action{}
		}})
		w.run(t, want, "bob@example.net", "Subject: x\n\n")
		if !strings.Contains(w.err.String(), "bob@example.net") || !strings.Contains(w.err.String(), reply[:3]) {
			t.Errorf("said: %s", &w.err)
		}
	}
	w := newWorld(t, &smtptest.Server{})
	w.run(t, exDataErr, "-t", "To: <<<\n\n")
	w.run(t, exConf, "-C /nowhere bob@example.net", "Subject: x\n\n")
	if len(w.server.Messages()) > 0 {
		t.Error("the server got something")
	}
}

// A password goes to a server that has proved its name, and to no other.
func TestPassword(t *testing.T) {
	const password = "open-sesame-of-ann"
	server := &smtptest.Server{Passwords: map[string]string{"ann": password}, Certificate: smtptest.Certificate{Names: []string{"127.0.0.1"}}}
	w := newWorld(t, server, "AuthUser=ann")
	w.run(t, exTempFail, "-ap"+password+" bob@example.net", "Subject: x\n\n") // nobody trusts this certificate
	conf := &config{hub: w.hub, user: "ann", password: password, roots: server.Roots(), host: "box.example.org", domain: "example.org"}
	w.in = strings.NewReader("Subject: x\n\n")
	if err := w.send(t.Context(), &flags{to: []string{"bob@example.net"}, verbose: true}, conf); err != nil {
		t.Fatal(err)
	}
	if m := w.last(t); m.Login != "ann" || m.TLS == nil {
		t.Errorf("%+v", m)
	}
	if said := w.err.String(); strings.Contains(said, password) || !strings.Contains(said, "C: MAIL FROM") {
		t.Errorf("said: %s", said)
	}
}

// The file is that of ssmtp, and says what is wrong with it.
func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		"mailhub=mx.example.org":                             "[mx.example.org]:25",
		"mailhub = mx.example.org\nAuthUser=x":               "[mx.example.org]:587",
		"mailhub=mx.example.org\nUseTLS=YES":                 "[mx.example.org]:465",
		"MailHub=mx.example.org:2525\nUseTLS=yes":            "[mx.example.org]:2525",
		"mailhub=mx.example.org\nUseTLS=yes\nUseSTARTTLS=on": "[mx.example.org]:25",
		"Hostname=x":                            "mailhub is missing",
		"mailhub=mx.example.org\nTLSCert=x":     "line 2",
		"mailhub=mx.example.org\nTLS_CA_File=.": "directory",
	} {
		var c config
		got := ""
		if err := c.read(strings.NewReader(text)); err != nil {
			got = err.Error()
		} else {
			got = c.client().NextHops[0]
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
	c := config{domain: "example.org", root: "admin@example.net"}
	for name, want := range map[string]string{"root": "admin@example.net", "no-such-user": "no-such-user@example.org", "a@example.com": "a@example.com"} {
		if got := c.mailbox(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Whatever comes in, there is one header and no blind copy in it.
func FuzzMessage(f *testing.F) {
	f.Add("To: a\nBcc: b\n c\n\nbody", false)
	f.Add("From x\n.\n", true)
	f.Add(" x\nbcc:\r\n\r\n", true)
	f.Fuzz(func(t *testing.T, text string, ignoreDots bool) {
		m, err := readMessage(strings.NewReader(text), ignoreDots)
		if err != nil {
			t.Fatal(err)
		}
		m.recipients()
		again, err := readMessage(bytes.NewReader(m.finish("", "ann@example.org")), true)
		if err != nil {
			t.Fatal(err)
		}
		have := make(map[string]int)
		for _, field := range again.fields {
			have[fieldName(field)]++
		}
		if have["bcc"] > 0 || have["from"] == 0 || have["date"] == 0 || have["message-id"] == 0 {
			t.Errorf("%q became %q", text, again.fields)
		}
	})
}
