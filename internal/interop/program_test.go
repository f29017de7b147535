package interop

import (
	"bytes"
	"os/exec"
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

// A batch is a file that a real sendmail -bs takes, and its replies are read back:
// one mailbox each for the two who exist, and a verdict for each recipient.
func TestBatch(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (server, []string){"Postfix": postfixSendmail, "Exim": eximSendmail} {
		t.Run(name, func(t *testing.T) {
			s, args := start(t)
			var file bytes.Buffer
			batch, err := smtpclient.NewBatch(&file, "client.example.org", "8BITMIME", "CHUNKING")
			if err != nil {
				t.Fatal(err)
			}
			boxes := []string{s.NewMailbox("example.test"), s.NewMailbox("example.test")}
			for _, box := range boxes {
				if err := batch.Add(t.Context(), envelope("reject@example.test", box), smtpclient.Bytes(simple("in a batch"))); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Close(); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Stdin = &file
			replies, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, replies)
			}
			reports, err := batch.Replies(t.Context(), bytes.NewReader(replies))
			if err != nil || len(reports) != len(boxes) {
				t.Fatalf("%d reports, %v", len(reports), err)
			}
			for i, box := range boxes {
				if got := reports[i].Outcomes[1]; got.Status != smtpclient.Delivered {
					t.Errorf("%s: %v\n%s", box, got.Err(), replies)
				}
				stored(t, s, box)
			}
		})
	}
}
