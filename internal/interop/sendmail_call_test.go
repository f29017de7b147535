package interop

import (
	"fmt"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// smtpclient.SendMail and net/smtp's bring the same message to Postfix, and log in
// to go-smtp's server with the same Auth.
func TestSendMailCall(t *testing.T) {
	p := postfix(t)
	g, err := StartGoSMTPWith([]string{"PLAIN"})
	present(t, err)
	t.Cleanup(g.Close)
	plain := smtp.PlainAuth("", Account, Password, "127.0.0.1")
	message := "From: ann@example.test\r\nSubject: by a call\r\n\r\n.\r\n..dots\r\n"
	var bodies []string
	for name, send := range map[string]func(string, smtp.Auth, string, []string, []byte) error{"net/smtp": smtp.SendMail, "smtpclient": smtpclient.SendMail} {
		box := p.NewMailbox(domains()[0])
		err := send(fmt.Sprintf("127.0.0.1:%d", p.Port), nil, "ann@example.test", []string{box}, []byte(message))
		if name == "net/smtp" && err != nil { // it wants a signed certificate
			if !strings.Contains(err.Error(), "certificate") {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			_, got := stored(t, p, box)
			bodies = append(bodies, string(got))
		}
		if err := send(g.Addr, plain, "ann@example.test", []string{"bob@example.test"}, []byte(message)); err != nil && name == "smtpclient" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(bodies) == 0 || slices.ContainsFunc(bodies, func(b string) bool { return !strings.HasSuffix(b, "\n\n.\n..dots\n") }) {
		t.Errorf("Postfix has %q", bodies)
	}
	taken := g.Taken()
	if len(taken) == 0 || taken[len(taken)-1].From != "ann@example.test" || string(taken[len(taken)-1].Content) != message {
		t.Errorf("go-smtp has %+v", taken)
	}
	if err := smtpclient.SendMail(g.Addr, smtp.PlainAuth("", Account, "wrong", "127.0.0.1"), "ann@example.test", []string{"bob@example.test"}, []byte(message)); err == nil || len(g.Taken()) != len(taken) {
		t.Errorf("a wrong password: %v", err)
	}
}
