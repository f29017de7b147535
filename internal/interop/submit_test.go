package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve/dnstest"
)

// built is a program of examples.
func built(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", program, "./examples/"+name)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// submitSaid runs a program with a message and a password.
func submitSaid(t *testing.T, program string, env string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader("From: user@example.test\r\nSubject: submitted\r\n\r\nHello.\r\n")
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), Password) {
		t.Errorf("the password is in the output: %s", out)
	}
	return string(out), err
}

// examples/submit and examples/deliver log in to Postfix with Dovecot: by both
// services, with TLS from the first byte before STARTTLS, with the right password
// and a wrong one.
func TestSubmitWithPostfix(t *testing.T) {
	d, err := StartDovecot()
	present(t, err)
	t.Cleanup(d.Stop)
	wrapped, err := FreePort(PostfixFull)
	if err != nil {
		t.Fatal(err)
	}
	p := ownPostfix(t, PostfixSettings{
		Main: "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = " + d.Socket + "\n",
		Master: fmt.Sprintf("%s:%d inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n  -o { smtpd_recipient_restrictions=permit_sasl_authenticated,reject }\n",
			PostfixFull, wrapped),
	})
	// The name of the certificate is in the domain.
	zone := "$ORIGIN example.test.\nmx A 127.0.0.1\n_submission._tcp SRV 0 1 " + fmt.Sprint(p.Port) + " mx\n"
	both := zone + "_submissions._tcp SRV 0 1 " + fmt.Sprint(wrapped) + " mx\n"
	submit, deliver, ca := built(t, "submit"), built(t, "deliver"), filepath.Join(p.dir, "cert.pem")
	for text, port := range map[string]uint16{both: wrapped, zone: p.Port} {
		names := &dnstest.Server{Zones: []dnstest.Zone{{Text: text}}}
		t.Cleanup(func() { names.Close() })
		dns, err := names.Listen("udp+tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		box := p.NewMailbox(domains()[0])
		args := []string{"-dns", dns.String(), "-ca", ca, "-local", "-user", Account, "user@example.test", box}
		out, err := submitSaid(t, submit, "SUBMIT_PASSWORD="+Password, args...)
		if want := fmt.Sprintf("%s: delivered, mx.example.test (127.0.0.1:%d) as %s", box, port, Account); err != nil || !strings.Contains(out, want) {
			t.Errorf("submit: %v\n%s", err, out)
		}
		stored(t, p, box)
		if out, err := submitSaid(t, submit, "SUBMIT_PASSWORD=wrong", args...); err == nil || !strings.Contains(out, "535") {
			t.Errorf("submit with a wrong password: %v\n%s", err, out)
		}
	}

	box := p.NewMailbox(domains()[0])
	args := []string{"-from", "user@example.test", "-to", box, "-nexthop", "[127.0.0.1]:" + fmt.Sprint(p.Port), "-auth-user", Account, "-auth-pass-env", "SECRET", "-trace"}
	out, err := submitSaid(t, deliver, "SECRET="+Password, append(args, "-auth-plaintext-ok", "-auth-mech", "login")...)
	if err != nil || !strings.Contains(out, "auth: "+Account) || !strings.Contains(out, "C: AUTH LOGIN") {
		t.Errorf("deliver: %v\n%s", err, out)
	}
	if out, err := submitSaid(t, deliver, "SECRET="+Password, append(args, "-tls", "encrypt", "-auth-mech", "plain")...); err == nil || strings.Contains(out, "C: AUTH") {
		t.Errorf("deliver to a server that is not verified: %v\n%s", err, out)
	}
}
