package submission

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// relay is a server with its queue.
type relay struct {
	addr  string
	queue *queue.Queue
	stop  func() // NATS
}

func open(t *testing.T, clients []netip.Prefix) *relay {
	t.Helper()
	srv, nc, err := queue.Embed(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		nc.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	}
	q, err := queue.Open(t.Context(), nc, queue.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, Server(&Backend{Queue: q, Name: "relay.example.org", Clients: clients}), l, time.Minute)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stop()
	})
	return &relay{addr: l.Addr().String(), queue: q, stop: stop}
}

// send submits a message by SMTP.
func (r *relay) send(t *testing.T, env smtpclient.Envelope, content string) smtpclient.Outcome {
	t.Helper()
	host, port, _ := strings.Cut(r.addr, ":")
	client := &smtpclient.Client{LocalName: "app.example.org", TLS: tlspolicy.None, NextHops: []string{fmt.Sprintf("[%s]:%s", host, port)}}
	report, _ := client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(content)))
	return report.Outcomes[0]
}

func toBob() smtpclient.Envelope {
	return smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@example.net"}}}
}

// entry takes the only entry out of the queue.
func (r *relay) entry(t *testing.T) (e queue.Entry, content string) {
	t.Helper()
	entries, err := r.queue.Entries(t.Context())
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries: %v", len(entries), err)
	}
	text, err := r.queue.Content(t.Context(), &entries[0].Job)
	if err != nil {
		t.Fatal(err)
	}
	return entries[0], string(text)
}

// What was asked for with the message stays with it, and a trace line comes on top.
func TestQueued(t *testing.T) {
	r := open(t, nil)
	env := toBob()
	env.EnvID, env.Return = "id-1", smtpclient.ReturnHeaders
	env.To[0].Notify, env.To[0].ORCPT = smtpclient.NotifyFailure|smtpclient.NotifyDelay, "rfc822;robert@example.net"
	o := r.send(t, env, "Subject: Hello\r\n\r\n.dot\r\n")
	if o.Status != smtpclient.Delivered || !strings.Contains(o.Reply.String(), "queued as ") {
		t.Fatalf("%v: %v", o.Status, o.Reply)
	}
	e, content := r.entry(t)
	got := e.Envelope
	if got.From != env.From || got.EnvID != "id-1" || got.Return != smtpclient.ReturnHeaders || len(got.To) != 1 || got.To[0] != env.To[0] || got.Arrival.IsZero() {
		t.Errorf("the envelope became %+v", got)
	}
	head, rest, _ := strings.Cut(content, "Subject: ")
	if rest != "Hello\r\n\r\n.dot\r\n" || !strings.HasPrefix(head, "Received: from app.example.org ([127.0.0.1])\r\n\tby relay.example.org with ESMTP;\r\n\t") {
		t.Errorf("the content became %q", content)
	}
	if !strings.HasSuffix(o.Reply.String(), e.Message) {
		t.Errorf("%v, but it is %s", o.Reply, e.Message)
	}
}

// The null reverse path stays one.
func TestNullReversePath(t *testing.T) {
	r := open(t, nil)
	env := toBob()
	env.From = "<>"
	if o := r.send(t, env, "Subject: Hello\r\n\r\n"); o.Status != smtpclient.Delivered {
		t.Fatalf("%v: %v", o.Status, o.Reply)
	}
	if e, _ := r.entry(t); e.Envelope.From != "<>" {
		t.Errorf("it became %q", e.Envelope.From)
	}
}

// Strangers cannot send.
func TestStrangers(t *testing.T) {
	r := open(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	if o := r.send(t, toBob(), "Subject: Hello\r\n\r\n"); o.Status == smtpclient.Delivered {
		t.Errorf("%v: %v", o.Status, o.Reply)
	}
	if n, err := r.queue.Len(t.Context()); err != nil || n != 0 {
		t.Errorf("%d entries: %v", n, err)
	}
}

// A message that has come through a hundred hosts is in a loop.
func TestLoop(t *testing.T) {
	r := open(t, nil)
	hop := "received: from a by b; today\r\n"
	if o := r.send(t, toBob(), strings.Repeat(hop, 100)+"Subject: Hello\r\n\r\n"+hop); o.Status != smtpclient.Delivered {
		t.Errorf("100 hops: %v %v", o.Status, o.Reply)
	}
	if o := r.send(t, toBob(), strings.Repeat(hop, 101)+"Subject: Hello\r\n\r\n"); o.Status != smtpclient.Failed || o.Enhanced != "5.4.6" {
		t.Errorf("101 hops: %v %v", o.Status, o.Reply)
	}
}

// While the queue is away the client keeps its message.
func TestQueueAway(t *testing.T) {
	r := open(t, nil)
	r.stop()
	if o := r.send(t, toBob(), "Subject: Hello\r\n\r\n"); o.Status != smtpclient.Deferred || o.Reply.Code != 451 {
		t.Errorf("%v %v", o.Status, o.Reply)
	}
}

// What a client calls itself does not become header lines.
func TestReceivedName(t *testing.T) {
	if got := printable("a\r\nBcc: (b)"); got != "a--Bcc:--b-" {
		t.Errorf("%q", got)
	}
}
