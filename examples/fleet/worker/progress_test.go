package worker

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// openSlow makes a post whose server keeps the first message back when it is complete:
// reached is closed then, and goOn lets the server answer.
func openSlow(t *testing.T, s queue.Settings) (p *post, reached chan struct{}, goOn func()) {
	t.Helper()
	reached, answer := make(chan struct{}), make(chan struct{})
	p = open(t, s, func(_ *post, c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && c.Session == 0 {
			close(reached)
			<-answer
		}
		return smtptest.Action{}
	})
	goOn = sync.OnceFunc(func() { close(answer) })
	t.Cleanup(goOn) // before the server is closed
	return p, reached, goOn
}

// A delivery that takes longer than AckWait stays that of its worker, also when he
// drains and another has his shard: the one hears of what comes due after more than
// two AckWaits, and not of what is on its way. An AckWait is long, as the server gives
// the entry away if this process stands still for that time.
func TestInProgress(t *testing.T) {
	p, reached, goOn := openSlow(t, queue.Settings{AckWait: 6 * time.Second})
	id := p.submit("ann@example.org", "bob@a.example")
	p.worker.Grace = time.Minute
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.worker.Run(ctx) }()
	<-reached
	stop()
	p.carolLater(13 * time.Second)

	two, stopTwo := context.WithCancel(t.Context())
	endedTwo := make(chan error, 1)
	go func() { endedTwo <- p.newWorker("two").Run(two) }()
	p.until("carol has her message", func() bool { return p.got("ann@example.org", "carol@a.example") == 1 })
	if n := p.asked("bob@a.example"); n != 1 {
		t.Errorf("bob was asked for %d times while his message was on its way", n)
	}
	goOn()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.until("the queue is empty", func() bool {
		n, err := p.queue.Len(t.Context())
		return err == nil && n == 0
	})
	stopTwo()
	if err := <-endedTwo; err != nil {
		t.Error(err)
	}
	if b := p.state(id, 0); b.Last.Status != smtpclient.Delivered || b.Unknown != 0 || p.got("ann@example.org", "bob@a.example") != 1 {
		t.Errorf("bob has got %d: %+v", p.got("ann@example.org", "bob@a.example"), b)
	}
}

// carolLater queues a message that is due after a while.
func (p *post) carolLater(after time.Duration) {
	p.t.Helper()
	env := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "carol@a.example"}}, Arrival: time.Now()}
	if err := p.queue.SubmitAs(p.t.Context(), "carol", env, []byte("Subject: Hello\r\n\r\n")); err != nil {
		p.t.Fatal(err)
	}
	_, msg := p.fetch("carol")
	if err := msg.Ack(); err != nil {
		p.t.Fatal(err)
	}
	j := queue.Job{ID: "carol-0", Message: "carol", Parts: 1, Site: "mx.example", Arrival: env.Arrival, Envelope: env}
	if err := p.queue.Later(p.t.Context(), queue.Entry{Job: j}, time.Now().Add(after)); err != nil {
		p.t.Fatal(err)
	}
}

// fetch takes an entry that has a word out of the queue as a worker does, with its
// sequence number.
func (p *post) fetch(word string) (uint64, jetstream.Msg) {
	p.t.Helper()
	cons, err := p.queue.Consumer(p.t.Context(), p.queue.Shard("mx.example"))
	if err != nil {
		p.t.Fatal(err)
	}
	msg, err := cons.Next(jetstream.FetchMaxWait(time.Minute))
	if err != nil {
		p.t.Fatal(err)
	}
	meta, err := msg.Metadata()
	if err != nil || !strings.Contains(string(msg.Data()), word) {
		p.t.Fatalf("%s, %v", msg.Data(), err)
	}
	return meta.Sequence.Stream, msg
}

// An entry that comes back to the worker who still has it is not delivered again, and
// the word about the first copy takes it out of the queue.
func TestEntryComesBack(t *testing.T) {
	p, reached, goOn := openSlow(t, queue.Settings{})
	id := p.submit("ann@example.org", "bob@a.example")
	w := p.worker
	w.held = map[uint64]jetstream.Msg{} // and nobody tells the server that it is in progress
	first, msg := p.fetch("bob")
	ended := make(chan struct{})
	go func() {
		w.handle(t.Context(), msg)
		close(ended)
	}()
	<-reached
	again, copied := p.fetch("bob")
	w.handle(t.Context(), copied)
	rec, _, err := p.queue.Record(t.Context(), job(id))
	if n := p.asked("bob@a.example"); again != first || n != 1 || err != nil || rec.Gen != 0 || rec.Begun == nil {
		t.Fatalf("entry %d came, and then %d; bob was asked for %d times; %+v, %v", first, again, n, rec, err)
	}
	goOn()
	<-ended
	p.until("the queue is empty", func() bool {
		n, err := p.queue.Len(t.Context())
		return err == nil && n == 0
	})
	if b := p.state(id, 0); b.Last.Status != smtpclient.Delivered || b.Unknown != 0 || len(p.server.Messages()) != 1 {
		t.Errorf("bob: %+v, %d messages", b, len(p.server.Messages()))
	}
}

// Who is refused does not put off what another has begun with the same entry, as the
// server gives it to a second one when the first has been silent for AckWait: should
// the other one die, it is all that is left of the message.
func TestRefusedBesideAnother(t *testing.T) {
	p, reached, goOn := openSlow(t, queue.Settings{})
	id := p.submit("ann@example.org", "bob@a.example")
	_, msg := p.fetch("bob")
	_, copied := p.fetch("bob")

	refusing := &late{asked: make(chan struct{}), answer: make(chan struct{})}
	two := p.newWorker("two")
	two.Client.Limiter, two.Short, two.held = refusing, time.Millisecond, map[uint64]jetstream.Msg{}
	endedTwo := make(chan struct{})
	go func() {
		two.handle(t.Context(), copied)
		close(endedTwo)
	}()
	<-refusing.asked

	one := p.worker
	one.held = map[uint64]jetstream.Msg{}
	ended := make(chan struct{})
	go func() {
		one.handle(t.Context(), msg)
		close(ended)
	}()
	<-reached
	close(refusing.answer)
	<-endedTwo
	// In this order: the server hears at some time later that an entry may go.
	n, err := p.queue.Len(t.Context())
	entries, failed := p.queue.Entries(t.Context())
	if n != 1 || len(entries) != 1 || err != nil || failed != nil {
		t.Errorf("of %d entries %d are due; %v, %v", n, len(entries), err, failed)
	}
	goOn()
	<-ended
	if b := p.state(id, 0); b.Last.Status != smtpclient.Delivered || b.Unknown != 0 || len(p.server.Messages()) != 1 {
		t.Errorf("bob: %+v, %d messages", b, len(p.server.Messages()))
	}
}

// late refuses when it is told to.
type late struct{ asked, answer chan struct{} }

func (l *late) Acquire(context.Context, smtpclient.Use) (smtpclient.Lease, error) {
	close(l.asked)
	<-l.answer
	return nil, &smtpclient.RefusedError{Key: "all", NotBefore: time.Now().Add(time.Hour)}
}
