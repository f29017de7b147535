package interop

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// A cancel returns at once, wherever the server has fallen silent. That it waits for
// nothing at all the core's tests hold in fake time; here it must not wait for the
// network, where the shortest wait would be longer than this, and a machine that is
// busy may need some of it.
const atOnce = 10 * time.Second

func TestCancelDuringLookup(t *testing.T) {
	p := postfix(t)
	port, err := FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.ListenPacket("udp", hostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	asked := make(chan struct{})
	go func() {
		silent.ReadFrom(make([]byte, 512))
		close(asked)
	}()
	c := clientTo(p, PostfixFull)
	c.NextHops, c.Resolver = nil, &resolve.DNS{Servers: []string{silent.LocalAddr().String()}, Timeout: time.Minute}
	o := cancelled(t, c, simple("cancel"), asked)
	wantCancelled(t, o, smtpclient.Deferred, smtpclient.StageResolve)
}

func TestCancelDuringConnect(t *testing.T) {
	p := postfix(t)
	full := fullBacklog(t, Watched, p.Port)
	defer full()
	dialling := make(chan struct{})
	c := clientTo(p, Watched)
	c.Dialer = &smtpclient.Dialer{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		close(dialling)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	o := cancelled(t, c, simple("cancel"), dialling)
	wantCancelled(t, o, smtpclient.Deferred, smtpclient.StageConnect)
}

func TestCancelDuringGreeting(t *testing.T) {
	p := postfix(t)
	f, err := NewFront(p.Addr(Watched), Silence)
	listen(t, f, err)
	reading := make(chan struct{})
	c := clientTo(p, Watched)
	c.Dialer = &smtpclient.Dialer{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &noted{Conn: conn, reading: reading}, err
	}}
	o := cancelled(t, c, simple("cancel"), reading)
	wantCancelled(t, o, smtpclient.Deferred, smtpclient.StageGreeting)
}

// noted tells when the client begins to read.
type noted struct {
	net.Conn
	once    sync.Once
	reading chan struct{}
}

func (n *noted) Read(p []byte) (int, error) {
	n.once.Do(func() { close(n.reading) })
	return n.Conn.Read(p)
}

// Postfix answers as far as the step, and then no more. In lockstep the client has
// read all earlier replies by then, so that the stage is certain.
func TestCancelDuringSession(t *testing.T) {
	p := postfix(t)
	for _, c := range []struct {
		step   string
		level  tlspolicy.Level
		status smtpclient.Status
		stage  smtpclient.Stage
	}{
		{"EHLO", tlspolicy.None, smtpclient.Deferred, smtpclient.StageHello},
		{"STARTTLS", tlspolicy.May, smtpclient.Deferred, smtpclient.StageStartTLS},
		{"handshake", tlspolicy.May, smtpclient.Deferred, smtpclient.StageStartTLS},
		{"MAIL", tlspolicy.None, smtpclient.Deferred, smtpclient.StageMail},
		{"RCPT", tlspolicy.None, smtpclient.Deferred, smtpclient.StageRcpt},
		{"DATA", tlspolicy.None, smtpclient.Deferred, smtpclient.StageDataInit},
		{"content", tlspolicy.None, smtpclient.Deferred, smtpclient.StageDataBlock},
		{".", tlspolicy.None, smtpclient.Unknown, smtpclient.StageDataDone},
	} {
		t.Run(c.step, func(t *testing.T) {
			content := simple("cancel")
			if c.step == "content" {
				content = body("cancel", bulk(32<<20)) // more than the buffers on the way hold
			}
			front, reached := stallAt(t, p, c.step)
			ch := channel{level: c.level, quirk: smtpclient.Quirks{Discard: []string{"PIPELINING"}}}
			o := cancelled(t, ch.client(p, Watched), content, reached)
			wantCancelled(t, o, c.status, c.stage)
			if n := front.Connections.Load(); n != 1 {
				t.Errorf("%d connections, want one", n)
			}
		})
	}
}

// In a group the stage is that of the reply which is waited for, and that may be
// any; nothing has been accepted yet.
func TestCancelDuringPipelinedEnvelope(t *testing.T) {
	p := postfix(t)
	for _, step := range []string{"MAIL", "RCPT", "DATA"} {
		t.Run(step, func(t *testing.T) {
			_, reached := stallAt(t, p, step)
			o := cancelled(t, clientTo(p, Watched), simple("cancel"), reached)
			if o.Status != smtpclient.Deferred || o.Stage < smtpclient.StageMail || o.Stage > smtpclient.StageDataInit {
				t.Errorf("got %v at %v, want deferred at mail, rcpt or data-init: %v", o.Status, o.Stage, o.Err())
			}
		})
	}
}

// stallAt stands between the client and Postfix until the client comes to a step.
func stallAt(t *testing.T, p *Postfix, step string) (front *Front, reached chan struct{}) {
	t.Helper()
	reached = make(chan struct{})
	f, err := NewFront(p.Addr(Watched), Watch(p.Addr(PostfixFull), func(s Step) bool {
		if s.Name == step {
			close(reached)
		}
		return s.Name != step
	}))
	return listen(t, f, err), reached
}

// cancelled delivers to one recipient, cancels when the moment has come, and
// measures until the call returns.
func cancelled(t *testing.T, c *smtpclient.Client, content []byte, moment <-chan struct{}) smtpclient.Outcome {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var report smtpclient.Report
	var err error
	var call sync.WaitGroup
	call.Go(func() { report, err = c.Deliver(ctx, envelope(mailbox(0, "example.test")), smtpclient.Bytes(content)) })

	returned := make(chan struct{})
	go func() {
		call.Wait()
		close(returned)
	}()
	select {
	case <-moment:
	case <-returned:
		t.Fatalf("returned before the moment to cancel: %v", err)
	}
	start := time.Now()
	cancel()
	<-returned
	if took := time.Since(start); took > atOnce {
		t.Errorf("returned %v after the cancel, want at most %v", took, atOnce)
	}
	if len(report.Outcomes) != 1 {
		t.Fatalf("%d outcomes, want one; error %v", len(report.Outcomes), err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not wrap context.Canceled", err)
	}
	return report.Outcomes[0]
}

func wantCancelled(t *testing.T, o smtpclient.Outcome, status smtpclient.Status, stage smtpclient.Stage) {
	t.Helper()
	if o.Status != status || o.Stage != stage || o.Enhanced == "" || o.Enhanced[0] != '4' {
		t.Errorf("got %v %q at %v, want %v with a code of class 4 at %v; %v", o.Status, o.Enhanced, o.Stage, status, stage, o.Err())
	}
}
