package interop

import (
	"sync"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// What travels together is seen on the wire, between the client and Postfix.

func TestPipeliningSendsTheEnvelopeAtOnce(t *testing.T) {
	p := postfix(t)
	wire := watch(t, p, PostfixFull)
	wantDelivered(t, deliver(t, clientTo(p, Watched), simple("grouped"), p.NewMailbox("example.test"), p.NewMailbox("example.test")))
	wire.want(t, "EHLO", "MAIL+", "RCPT+", "RCPT+", "DATA", ".+", "QUIT")
}

func TestLockstepWaitsForEachReply(t *testing.T) {
	p := postfix(t)
	for _, c := range []struct {
		name, door string
		discard    []string
	}{
		{"not offered", PostfixLockstep, nil},
		{"discarded", PostfixFull, []string{"pipelining"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wire := watch(t, p, c.door)
			client := clientTo(p, Watched)
			client.Dialer = &smtpclient.Dialer{Quirks: func(smtpclient.Target) smtpclient.Quirks {
				return smtpclient.Quirks{Discard: c.discard}
			}}
			wantDelivered(t, deliver(t, client, simple("lockstep"), p.NewMailbox("example.test"), p.NewMailbox("example.test")))
			wire.want(t, "EHLO", "MAIL", "RCPT", "RCPT", "DATA", ".", "QUIT")
		})
	}
}

// wire is what a client said, each step with a + if more had come with it.
type wire struct {
	mu    sync.Mutex
	steps []string
	ended chan struct{}
}

// watch stands between the client and one of Postfix's doors.
func watch(t *testing.T, p *Postfix, door string) *wire {
	t.Helper()
	w := &wire{ended: make(chan struct{})}
	pass := Watch(p.Addr(door), func(s Step) bool {
		w.note(s)
		return true
	})
	f, err := NewFront(p.Addr(Watched), pass)
	listen(t, f, err)
	return w
}

func (w *wire) note(s Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := s.Name
	if s.More {
		name += "+"
	}
	w.steps = append(w.steps, name)
	if s.Name == "QUIT" {
		close(w.ended)
	}
}

// want waits for QUIT, for which the client need not wait, and compares.
func (w *wire) want(t *testing.T, steps ...string) {
	t.Helper()
	select {
	case <-w.ended:
	case <-t.Context().Done():
		t.Fatal("no QUIT")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.steps) != len(steps) {
		t.Fatalf("the client said %q, want %q", w.steps, steps)
	}
	for i := range steps {
		if w.steps[i] != steps[i] {
			t.Errorf("step %d: the client said %q, want %q", i, w.steps, steps)
			return
		}
	}
}
