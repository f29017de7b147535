package interop

import (
	"sync"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// What travels together is seen on the wire, between the client and the server.

func TestPipeliningSendsTheEnvelopeAtOnce(t *testing.T) {
	for name, start := range map[string]func(*testing.T) server{"Postfix": postfixServer, "Exim": eximServer} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			wire := watch(t, s, PostfixFull)
			wantDelivered(t, deliver(t, clientTo(s, Watched), simple("grouped"), s.NewMailbox("example.test"), s.NewMailbox("example.test")))
			wire.want(t, "EHLO", "MAIL+", "RCPT+", "RCPT+", "DATA", ".+", "QUIT")
		})
	}
}

func TestLockstepWaitsForEachReply(t *testing.T) {
	for _, c := range []struct {
		name    string
		start   func(*testing.T) server
		door    string
		discard []string
	}{
		{"not offered by Postfix", postfixServer, PostfixLockstep, nil},
		{"not offered by OpenSMTPD", openSMTPDServer, OpenSMTPDFull, nil},
		{"discarded of Postfix", postfixServer, PostfixFull, []string{"pipelining"}},
		{"discarded of Exim", eximServer, EximFull, []string{"pipelining"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.start(t)
			wire := watch(t, s, c.door)
			client := withQuirks(clientTo(s, Watched), smtpclient.Quirks{Discard: c.discard})
			wantDelivered(t, deliver(t, client, simple("lockstep"), s.NewMailbox("example.test"), s.NewMailbox("example.test")))
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

// watch stands between the client and one of a server's doors.
func watch(t *testing.T, s server, door string) *wire {
	t.Helper()
	w := &wire{ended: make(chan struct{})}
	pass := Watch(s.Addr(door), func(step Step) bool {
		w.note(step)
		return true
	})
	f, err := NewFront(s.Addr(Watched), pass)
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
