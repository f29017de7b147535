package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	want := `gone@example.net failed: 550 5.1.1 no such user
300 delivered, 1 failed, of 301
example.com: 100 messages
example.net: 100 messages
example.org: 100 messages
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

// Each has got his own lines, and nobody those of another, by few connections.
func TestEachHasHisOwn(t *testing.T) {
	w, err := newWorld("example.net")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	pool := &smtpclient.Pool{PerDestination: 4}
	defer pool.Close(t.Context())
	client := &smtpclient.Client{Pool: pool, TLS: tlspolicy.May, Resolver: w.names, Dialer: &smtpclient.Dialer{DialContext: w.dial}}
	to := []string{"ann@example.net", "bob@example.net", "carol@example.net", "dave@example.net", "eve@example.net", "fay@example.net"}
	for _, o := range publish(t.Context(), client, smtpclient.Bytes([]byte(issue)), to) {
		if o.Status != smtpclient.Delivered {
			t.Errorf("%s: %v", o.Address, o.Err())
		}
	}
	messages := w.servers["example.net"].Messages()
	if len(messages) != len(to) {
		t.Fatalf("%d messages", len(messages))
	}
	for _, m := range messages {
		head, rest, _ := strings.Cut(string(m.Data), "From: ")
		who := m.To[0]
		if head != "To: "+who+"\r\nList-Unsubscribe: <https://lists.example.org/bye?"+who+">\r\n" || "From: "+rest != issue {
			t.Errorf("%s has\n%s", who, m.Data)
		}
		if m.From != "news+"+strings.Replace(who, "@", "=", 1)+"@lists.example.org" {
			t.Errorf("%s has it from %s", who, m.From)
		}
	}
	if n := w.servers["example.net"].Sessions(); n > 4 {
		t.Errorf("%d connections", n)
	}
}
