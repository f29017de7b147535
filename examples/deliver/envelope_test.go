package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// everything is what a server offers that knows all parameters of the envelope.
var everything = []string{"PIPELINING", "SIZE 1000000", "8BITMIME", "BINARYMIME", "CHUNKING", "DSN", "SMTPUTF8",
	"MT-PRIORITY", "DELIVERBY 10", "FUTURERELEASE 999999 2030-01-01T00:00:00Z", "AUTH PLAIN",
	"XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE LOGIN DESTADDR DESTPORT"}

// plainHeader is a message that needs 8BITMIME and, unlike message, no SMTPUTF8.
const plainHeader = "From: Ann <ann@example.org>\r\nSubject: Hello\r\n\r\nGrüße\r\n"

// runPlain delivers plainHeader to bob@example.net with the flags.
func (w world) runPlain(t *testing.T, flags string) (code int, stdout, stderr string) {
	t.Helper()
	args := append(slices.Clone(w.args), strings.Fields(flags)...)
	return runWith(t, plainHeader, append(args, "-to", "bob@example.net")...)
}

// received are the lines that a client has sent in a session.
func received(s *smtptest.Server, session int) []string {
	var all []byte
	for _, chunk := range s.Transcript(session) {
		if chunk.FromClient {
			all = append(all, chunk.Data...)
		}
	}
	return strings.Split(strings.TrimSuffix(string(all), "\r\n"), "\r\n")
}

// Each flag of the envelope puts its parameter into MAIL, and no other does.
func TestFlagsInMail(t *testing.T) {
	tests := []struct{ flag, want string }{
		{"-ret full", " RET=FULL"},
		{"-ret hdrs", " RET=HDRS"},
		{"-envid batch+1", " ENVID=batch+2B1"},
		{"-smtputf8", " SMTPUTF8"},
		{"-priority 4", " MT-PRIORITY=4"},
		{"-priority -9", " MT-PRIORITY=-9"},
		{"-by 3600", " BY=3600;N"},
		{"-by 3600;R", " BY=3600;R"},
		{"-by 600;nt", " BY=600;NT"},
		{"-by -60;N", " BY=-60;N"},
		{"-hold 86400", " HOLDFOR=86400"},
		{"-hold 2027-01-01T08:00:00+01:00", " HOLDUNTIL=2027-01-01T07:00:00Z"},
		{"-hold 60 -hold 2027-01-01T07:00:00Z", " HOLDUNTIL=2027-01-01T07:00:00Z"},
		{"-auth-param eve@example.org", " AUTH=eve@example.org"},
		{"-auth-param <>", " AUTH=<>"},
	}
	for _, tt := range tests {
		w := newWorld(t, &smtptest.Server{Extensions: everything})
		code, stdout, stderr := w.runPlain(t, tt.flag)
		stored := w.mail.Messages()
		if code != 0 || len(stored) != 1 {
			t.Errorf("%s: exit %d and %d messages, want 0 and 1\n%s%s", tt.flag, code, len(stored), stdout, stderr)
			continue
		}
		size := fmt.Sprintf("SIZE=%d BODY=8BITMIME", len(plainHeader))
		if got := stored[0].FromArgs; got != size+tt.want {
			t.Errorf("%s: parameters of MAIL %q, want %q", tt.flag, got, size+tt.want)
		}
	}
}

func TestBody(t *testing.T) {
	const ascii = "Subject: Hello\r\n\r\ntext\r\n"
	tests := []struct{ message, body, want string }{
		{ascii, "auto", ""},
		{ascii, "7bit", "BODY=7BIT"},
		{ascii, "8bitmime", "BODY=8BITMIME"},
		{ascii, "binarymime", "BODY=BINARYMIME"},
		{plainHeader, "auto", "BODY=8BITMIME"},
		{plainHeader, "binarymime", "BODY=BINARYMIME"},
	}
	for _, tt := range tests {
		w := newWorld(t, &smtptest.Server{Extensions: everything})
		args := append(slices.Clone(w.args), "-body", tt.body, "-to", "bob@example.net")
		code, stdout, _ := runWith(t, tt.message, args...)
		stored := w.mail.Messages()
		if code != 0 || len(stored) != 1 {
			t.Errorf("%s: exit %d and %d messages, want 0 and 1\n%s", tt.body, code, len(stored), stdout)
			continue
		}
		want := strings.TrimSpace(fmt.Sprintf("SIZE=%d %s", len(tt.message), tt.want))
		if got := stored[0].FromArgs; got != want {
			t.Errorf("%s: parameters of MAIL %q, want %q", tt.body, got, want)
		}
	}
	w := newWorld(t, &smtptest.Server{Extensions: everything})
	if code, stdout, _ := w.runPlain(t, "-body 7bit"); code != 65 || !strings.Contains(stdout, "Body7Bit") {
		t.Errorf("an 8-bit message as 7bit: exit %d, want 65\n%s", code, stdout)
	}
}

// What comes before any -to is for all; after that each flag is for the -to
// before it.
func TestOrderOfNotifyAndORCPT(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Extensions: everything})
	code, stdout, _ := w.run(t, "-notify", "failure,delay",
		"-to", "bob@example.net",
		"-to", "carol@example.net", "-notify", "never", "-orcpt", "list@example.com",
		"-to", "dave@example.net", "-json", "-orcpt", "X400;c=de", "-notify", "SUCCESS",
		"-to", "erin@example.net", "-orcpt", `"a;b"@example.net`,
		"-to", "frank@example.net")
	if code != 0 {
		t.Fatalf("exit %d, want 0\n%s", code, stdout)
	}
	got := w.mail.Messages()[0].ToArgs
	want := []string{
		"NOTIFY=FAILURE,DELAY",
		"ORCPT=rfc822;list@example.com NOTIFY=NEVER",
		"ORCPT=X400;c+3Dde NOTIFY=SUCCESS",
		`ORCPT=rfc822;"a;b"@example.net NOTIFY=FAILURE,DELAY`,
		"NOTIFY=FAILURE,DELAY",
	}
	if !slices.Equal(got, want) {
		t.Errorf("parameters of RCPT:\ngot  %q\nwant %q", got, want)
	}
}

func TestORCPTForAllAndInUTF8(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Extensions: everything})
	code, stdout, _ := w.run(t, "-orcpt", "jürgen@example.org", "-to", "bob@example.net", "-to", "carol@example.net", "-smtputf8")
	if code != 0 {
		t.Fatalf("exit %d, want 0\n%s", code, stdout)
	}
	for _, params := range w.mail.Messages()[0].ToArgs {
		if params != "ORCPT=utf-8;jürgen@example.org" {
			t.Errorf("parameters of RCPT %q", params)
		}
	}
}

// An address is judged by the library: the verdict is in the report.
func TestAddressesInParametersThatTheLibraryRefuses(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Extensions: everything})
	for _, args := range [][]string{{"-auth-param", "nobody"}, {"-to", "bob@example.net", "-orcpt", "rfc822;"}} {
		code, stdout, _ := w.run(t, append(args, "-to", "carol@example.net")...)
		if code != 65 || !strings.Contains(stdout, "at input:") {
			t.Errorf("%q: exit %d, want 65 and stage input\n%s", args, code, stdout)
		}
	}
}

// What is advice is left out where a server does not offer it, and the report
// says so; what is needed fails there.
func TestServerWithoutExtensions(t *testing.T) {
	tests := []struct {
		flag string
		code int
		want string
	}{
		{"-ret full", 0, "note: RET or ENVID was left out: the server does not offer DSN"},
		{"-priority 1", 0, "note: MT-PRIORITY was left out"},
		{"-by 60", 0, "note: BY was left out"},
		{"-xforward NAME=a.example", 0, "note: XFORWARD was left out"},
		{"-by 60;R", 69, "5.3.3 delivery within a time is asked for"},
		{"-hold 60", 69, "5.3.3 the message is to be held"},
		{"-smtputf8", 69, "5.6.7 the message needs SMTPUTF8"},
		{"-requiretls", 69, "5.7.10 TLS is required"},
		{"-body binarymime", 69, "5.6.3 the message is binary"},
	}
	for _, tt := range tests {
		w := newWorld(t, &smtptest.Server{Extensions: []string{"8BITMIME"}})
		code, stdout, _ := w.runPlain(t, tt.flag)
		if code != tt.code || !strings.Contains(stdout, tt.want) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", tt.flag, code, tt.code, tt.want, stdout)
		}
	}
}

// BY counts from the arrival: a message that has waited longer than that is
// returned without asking the server.
func TestArrival(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Extensions: everything})
	hourAgo := time.Now().Add(-time.Hour).Format(time.RFC3339)
	code, stdout, _ := w.run(t, "-arrival", hourAgo, "-by", "600;R", "-to", "bob@example.net")
	if code != 69 || !strings.Contains(stdout, "5.4.7") || len(w.mail.Messages()) != 0 {
		t.Errorf("expired: exit %d, want 69 and 5.4.7\n%s", code, stdout)
	}
	code, stdout, _ = w.run(t, "-arrival", hourAgo, "-by", "600;N", "-to", "bob@example.net")
	stored := w.mail.Messages()
	if code != 0 || len(stored) != 1 || !strings.Contains(stored[0].FromArgs, "BY=-3") {
		t.Errorf("late: exit %d, %d messages; want one with a negative BY\n%s", code, len(stored), stdout)
	}
}

func TestXForward(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Extensions: everything})
	var args []string
	for _, a := range []string{"name=client.example.com", "PORT=2525", "ADDR=2001:db8::1", "HELO=laptop", "PROTO=ESMTP",
		"IDENT=4711", "SOURCE=REMOTE", "LOGIN=ann", "DESTADDR=192.0.2.9", "DESTPORT=587"} {
		args = append(args, "-xforward", a)
	}
	if code, stdout, _ := w.run(t, append(args, "-to", "bob@example.net")...); code != 0 {
		t.Fatalf("exit %d, want 0\n%s", code, stdout)
	}
	lines := received(w.mail, 0)
	for _, want := range []string{
		"XFORWARD NAME=client.example.com ADDR=IPV6:2001:db8::1 PORT=2525",
		"XFORWARD PROTO=ESMTP HELO=laptop IDENT=4711 SOURCE=REMOTE LOGIN=ann DESTADDR=192.0.2.9 DESTPORT=587",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is missing in %q", want, lines)
		}
	}
}

// Verify asks in a transaction without content, and so needs none.
func TestVerify(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Script: byName})
	var stdout, stderr bytes.Buffer
	args := append(slices.Clone(w.args), "-verify", "-to", "bob@example.net", "-to", "nobody@example.net")
	code := run(args, brokenReader{}, &stdout, &stderr)
	if code != 69 || stderr.Len() != 0 {
		t.Errorf("exit %d, standard error %q; want 69 and nothing", code, &stderr)
	}
	for _, want := range []string{"bob@example.net: delivered (would be taken), mx.example.net (127.0.0.1:", "nobody@example.net: failed, mx.example.net"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &stdout)
		}
	}
	for _, line := range received(w.mail, 0) {
		if line == "DATA" || strings.HasPrefix(line, "BDAT") {
			t.Errorf("%s was sent", line)
		}
	}
}

func TestChunking(t *testing.T) {
	tests := []struct {
		use           string
		bdat, oneWith bool // in chunks; the chunk in one piece with MAIL
	}{
		{"off", false, false},
		{"auto", false, false},
		{"after", true, false},
		{"grouped", true, true},
	}
	for _, tt := range tests {
		w := newWorld(t, &smtptest.Server{Extensions: everything})
		code, stdout, _ := w.run(t, "-chunking", tt.use, "-to", "bob@example.net")
		stored := w.mail.Messages()
		if code != 0 || len(stored) != 1 || stored[0].BDAT != tt.bdat || string(stored[0].Data) != message {
			t.Errorf("%s: exit %d, stored %+v; want one message, in chunks: %v\n%s", tt.use, code, stored, tt.bdat, stdout)
		}
		together := slices.ContainsFunc(w.mail.Transcript(0), func(c smtptest.Chunk) bool {
			return c.FromClient && bytes.Contains(c.Data, []byte("MAIL FROM")) && bytes.Contains(c.Data, []byte("BDAT"))
		})
		if together != tt.oneWith {
			t.Errorf("%s: MAIL and BDAT in one piece: %v, want %v", tt.use, together, tt.oneWith)
		}
	}
}

// Binary content arrives byte by byte.
func TestBinary(t *testing.T) {
	binary := "Content-Transfer-Encoding: binary\r\n\r\n\x00\xff\n\r.\n"
	name := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(name, []byte(binary), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, &smtptest.Server{Extensions: everything})
	code, stdout, _ := w.run(t, "-body", "binarymime", "-file", name, "-to", "bob@example.net")
	stored := w.mail.Messages()
	if code != 0 || len(stored) != 1 || string(stored[0].Data) != binary {
		t.Errorf("exit %d, stored %+v, want the same bytes\n%s", code, stored, stdout)
	}
}

func TestWrapper(t *testing.T) {
	for _, level := range []string{"", "none", "may", "encrypt"} {
		w := newWorld(t, &smtptest.Server{ImplicitTLS: true})
		args := []string{"-wrapper", "-to", "bob@example.net", "-json"}
		if level != "" {
			args = append(args, "-tls", level)
		}
		code, stdout, _ := w.run(t, args...)
		if want := `"tls":{"wanted":"encrypt","reached":"encrypt"`; code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("-tls %q: exit %d, want 0 and %s\n%s", level, code, want, stdout)
		}
		for _, line := range received(w.mail, 0) {
			if line == "STARTTLS" {
				t.Errorf("-tls %q: STARTTLS inside TLS", level)
			}
		}
	}
}

// At level verify a server with a certificate of nobody's authority gets nothing.
func TestTLSVerify(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	code, stdout, _ := w.runPlain(t, "-tls verify")
	if code != 75 || !strings.Contains(stdout, "at starttls: 4.7.5") || len(w.mail.Messages()) != 0 {
		t.Errorf("exit %d and %d messages, want 75 and none\n%s", code, len(w.mail.Messages()), stdout)
	}
}

// A server that greets in plaintext gets no word in plaintext.
func TestWrapperNeverInPlaintext(t *testing.T) {
	w := newWorld(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		return smtptest.Action{Fault: smtptest.DropAfter} // before it reads the handshake as a command
	}})
	code, stdout, stderr := w.run(t, "-wrapper", "-to", "bob@example.net", "-trace")
	if code != 75 || !strings.Contains(stdout, "at starttls:") || strings.Contains(stderr, "C: EHLO") {
		t.Errorf("exit %d, want 75 at starttls and no EHLO\n%s%s", code, stdout, stderr)
	}
}
