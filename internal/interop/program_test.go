package interop

import (
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// A real sendmail -bs takes mail on its standard input.
func TestSendmail(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) (server, []string)
	}{
		{"Postfix", postfixSendmail},
		{"Exim", eximSendmail},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, args := c.start(t)
			sendmail := &smtpclient.Program{Args: args}
			client := &smtpclient.Client{
				LocalName: "client.example.org",
				NextHops:  []string{"unix:/sendmail"},
				TLS:       tlspolicy.None,
				Dialer:    &smtpclient.Dialer{DialContext: sendmail.DialContext},
			}
			to, other := s.NewMailbox("example.test"), s.NewMailbox("example.test")
			report := deliver(t, client, simple("from a program"), to, other, "bob@@example.test")
			for _, o := range report.Outcomes[:2] {
				if o.Status != smtpclient.Delivered {
					t.Errorf("%s: %v", o.Address, o.Err())
				}
			}
			wantOutcome(t, report.Outcomes[2], smtpclient.Failed, "5.1.3", smtpclient.StageInput)
			for _, box := range []string{to, other} {
				stored(t, s, box)
			}
		})
	}
}

func postfixSendmail(t *testing.T) (server, []string) {
	p := postfix(t)
	program, err := find("sendmail", "postfix")
	present(t, err)
	return p, []string{program, "-C", p.dir, "-bs"}
}

func eximSendmail(t *testing.T) (server, []string) {
	e := exim(t)
	chroot, err := find("chroot", "coreutils")
	present(t, err)
	return e, []string{chroot, "--userspec=65534:65534", "--groups=", e.dir, "/usr/sbin/exim4", "-C", "/exim.conf", "-bs"}
}
