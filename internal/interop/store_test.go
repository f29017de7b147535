package interop

import (
	"bytes"
	"sync"
	"testing"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

var startDovecotStore = sync.OnceValues(func() (*DovecotStore, error) {
	d, err := StartDovecotStore()
	if err == nil {
		atEnd(d.Stop)
	}
	return d, err
})

func dovecotStore(t *testing.T) *DovecotStore {
	t.Helper()
	d, err := startDovecotStore()
	present(t, err)
	return d
}

// Dovecot's verdict on each recipient reaches the one it is about: no such user
// at RCPT, over quota after the content, and fine.
func TestDovecotMixedVerdicts(t *testing.T) {
	d := dovecotStore(t)
	for name, c := range map[string]struct {
		server string
		tls    tlspolicy.Source
		want   tlspolicy.Level
	}{
		"socket":       {"unix:" + d.Socket, nil, tlspolicy.None},
		"TCP":          {"inet:" + d.Addr("127.0.0.1"), nil, tlspolicy.None},
		"TCP with TLS": {"inet:" + d.Addr("127.0.0.1"), tlspolicy.Encrypt, tlspolicy.Encrypt},
	} {
		t.Run(name, func(t *testing.T) {
			bob, carol := d.NewMailbox("example.test"), d.NewMailbox("example.test")
			client := &lmtp.Client{Servers: []string{c.server}, Final: true, LocalName: "relay.example.test", TLS: c.tls}
			message := []byte("Subject: " + name + "\r\n\r\n.Hello\r\n")
			report, _ := client.Deliver(t.Context(), smtpclient.Envelope{
				From: "ann@example.test",
				To:   []smtpclient.Recipient{{Address: bob}, {Address: "nobody@example.test"}, {Address: "full@example.test"}, {Address: carol}},
			}, smtpclient.Bytes(message))
			want := []string{"delivered data-done delivered", "failed rcpt failed", "failed data-done failed", "delivered data-done delivered"}
			for i, o := range report.Outcomes {
				if got := o.Status.String() + " " + o.Stage.String() + " " + o.Action; got != want[i] {
					t.Errorf("%s: %s, want %s (%v)", o.Address, got, want[i], o.Reply)
				}
				if o.TLS.Reached != c.want {
					t.Errorf("%s: TLS %v, want %v", o.Address, o.TLS.Reached, c.want)
				}
			}
			for _, box := range []string{bob, carol} {
				stored, err := d.Stored(box, 1)
				if err != nil {
					t.Fatal(err)
				}
				if text := bytes.ReplaceAll(stored[0], []byte("\r\n"), []byte("\n")); !bytes.HasSuffix(text, bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))) {
					t.Errorf("%s has\n%s", box, stored[0])
				}
			}
		})
	}
}

var startCyrusStore = sync.OnceValues(func() (*CyrusStore, error) {
	c, err := StartCyrusStore()
	if err == nil {
		atEnd(c.Stop)
	}
	return c, err
})

func cyrusStore(t *testing.T) *CyrusStore {
	t.Helper()
	c, err := startCyrusStore()
	present(t, err)
	return c
}

// Cyrus looks at user and quota when it hears RCPT. A mailbox that is full takes
// the message with IGNOREQUOTA.
func TestCyrusMixedVerdicts(t *testing.T) {
	c := cyrusStore(t)
	for name, server := range map[string]string{"socket": "unix:" + c.Socket, "TCP": "inet:" + c.Addr("127.0.0.1")} {
		t.Run(name, func(t *testing.T) {
			bob, full, carol := c.NewMailbox("example.test"), c.NewMailbox("example.test"), c.NewMailbox("example.test")
			client := &lmtp.Client{Servers: []string{server}, Final: true, LocalName: "relay.example.test"}
			ann := func(to ...string) smtpclient.Envelope {
				env := smtpclient.Envelope{From: "ann@example.test"}
				for _, a := range to {
					env.To = append(env.To, smtpclient.Recipient{Address: a})
				}
				return env
			}
			big := smtpclient.Bytes(append([]byte("Subject: big\r\n\r\n"), bytes.Repeat([]byte("a line of a message that fills a mailbox\r\n"), 1000)...))
			if _, err := client.Deliver(t.Context(), ann(full), big); err != nil {
				t.Fatal(err)
			}
			// Cyrus adds the fields that are missing.
			message := []byte("Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <" + name + "@example.test>\r\nSubject: " + name + "\r\n\r\n.Hello\r\n")
			report, _ := client.Deliver(t.Context(), ann(bob, "nobody@example.test", full, carol), smtpclient.Bytes(message))
			want := []string{"delivered data-done delivered", "failed rcpt failed", "deferred rcpt delayed", "delivered data-done delivered"}
			for i, o := range report.Outcomes {
				if got := o.Status.String() + " " + o.Stage.String() + " " + o.Action; got != want[i] {
					t.Errorf("%s: %s, want %s (%v)", o.Address, got, want[i], o.Reply)
				}
			}
			forced := *client
			forced.Dialer = &smtpclient.Dialer{Quirks: func(smtpclient.Target) smtpclient.Quirks { return smtpclient.Quirks{IgnoreQuota: true} }}
			if _, err := forced.Deliver(t.Context(), ann(full), smtpclient.Bytes(message)); err != nil {
				t.Errorf("with IGNOREQUOTA: %v", err)
			}
			for box, n := range map[string]int{bob: 1, full: 2, carol: 1} {
				stored, err := c.Delivered(box)
				if err != nil || len(stored) != n || !bytes.HasSuffix(stored[n-1], message) {
					t.Errorf("%s has %d messages, want %d: %v", box, len(stored), n, err)
				}
			}
		})
	}
}

// The server of go-smtp in its LMTP form, with a verdict for each recipient.
func TestGoSMTPStore(t *testing.T) {
	store := newGoStore(t)
	client := &lmtp.Client{Servers: []string{"inet:" + store}, LocalName: "relay.example.test"}
	report, _ := client.Deliver(t.Context(), smtpclient.Envelope{
		From: "ann@example.test",
		To:   []smtpclient.Recipient{{Address: "bob@example.test"}, {Address: "full@example.test"}, {Address: "nobody@example.test"}, {Address: "bob@example.test"}},
	}, smtpclient.Bytes([]byte("Subject: x\r\n\r\nHello\r\n")))
	want := []string{"delivered data-done 2.0.0", "deferred data-done 4.2.2", "failed rcpt 5.1.1", "delivered data-done 2.0.0"}
	for i, o := range report.Outcomes {
		if got := o.Status.String() + " " + o.Stage.String() + " " + o.Enhanced; got != want[i] {
			t.Errorf("%s: %s, want %s (%v)", o.Address, got, want[i], o.Err())
		}
	}
}
