package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/examples/fleet/policy"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// post is a queue, a worker and the only mail server there is.
type post struct {
	t      *testing.T
	conn   *nats.Conn
	queue  *queue.Queue
	worker *Worker
	server *smtptest.Server

	mu   sync.Mutex
	seen map[string]int // RCPT by address
}

// open makes a post whose server does what script says. Every domain is at mx.example.
func open(t *testing.T, s queue.Settings, script func(p *post, c smtptest.Command) smtptest.Action) *post {
	t.Helper()
	srv, nc, err := queue.Embed(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &post{t: t, conn: nc, seen: map[string]int{}}
	if s.Shards == 0 {
		s.Shards = 2
	}
	if s.AckWait == 0 {
		s.AckWait = time.Second
	}
	if p.queue, err = queue.Open(t.Context(), nc, s); err != nil {
		t.Fatal(err)
	}
	p.queue.Site = func(context.Context, string) string { return "mx.example" }
	p.server = &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" {
			p.mu.Lock()
			p.seen[c.Args]++
			p.mu.Unlock()
		}
		return script(p, c)
	}}
	p.worker = p.newWorker("one")
	t.Cleanup(func() {
		p.server.Close()
		nc.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	return p
}

func (p *post) newWorker(name string) *Worker {
	resolver := resolve.Func(func(_ context.Context, q resolve.Question) (resolve.Answer, error) {
		switch {
		case q.Type == resolve.TypeMX:
			return resolve.Answer{MX: []resolve.MX{{Host: "mx.example"}}}, nil
		case q.Type == resolve.TypeA:
			return resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, nil
		}
		return resolve.Answer{}, nil
	})
	return &Worker{
		Queue: p.queue, Conn: p.conn, Name: name, ReportingMTA: "mail.example.org",
		Client: smtpclient.Client{LocalName: "mail.example.org", Resolver: resolver, TLS: tlspolicy.None, Cache: cache.None,
			Dialer: &smtpclient.Dialer{DialContext: p.server.DialContext}},
		Backoff: policy.Backoff{First: time.Second, Max: time.Second, Jitter: -1},
		Alive:   100 * time.Millisecond,
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// work runs a worker until the queue is empty.
func (p *post) work(w *Worker) {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	p.until("the queue is empty", func() bool {
		n, err := p.queue.Len(ctx)
		return err == nil && n == 0
	})
	stop()
	if err := <-ended; err != nil {
		p.t.Error(err)
	}
}

func (p *post) until(what string, done func() bool) {
	p.t.Helper()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			p.t.Fatal("it did not come to pass: ", what)
		}
	}
}

// submit queues a message from ann, or with from, to some.
func (p *post) submit(from string, to ...string) string {
	p.t.Helper()
	env := smtpclient.Envelope{From: from}
	for _, a := range to {
		env.To = append(env.To, smtpclient.Recipient{Address: a})
	}
	id, err := p.queue.Submit(p.t.Context(), env, []byte("Subject: Hello\r\n\r\nHello.\r\n"))
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// state is where a recipient of a message stands.
func (p *post) state(id string, n int) queue.State {
	p.t.Helper()
	rec, rev, err := p.queue.Record(p.t.Context(), &queue.Job{ID: id + "-0"})
	if err != nil || rev == 0 || len(rec.To) <= n {
		p.t.Fatalf("the record of %s: %+v, %v", id, rec, err)
	}
	return rec.To[n]
}

// got is how often an address has got a message, by its sender.
func (p *post) got(from, to string) (n int) {
	for _, m := range p.server.Messages() {
		for _, a := range m.To {
			if a == to && m.From == from && strings.HasPrefix(m.Replies[0], "2") {
				n++
			}
		}
	}
	return n
}

func (p *post) asked(to string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen["TO:<"+to+">"]
}

func accept(*post, smtptest.Command) smtptest.Action { return smtptest.Action{} }

// Who was delivered is not asked for again when another recipient of the message has
// to be; who failed is not either, and the sender is told once.
func TestStatePerRecipient(t *testing.T) {
	p := open(t, queue.Settings{}, func(p *post, c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Args, "grey") && p.asked("grey@a.example") < 3:
			return smtptest.Action{Reply: "451 4.7.1 come back later"}
		case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody"):
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	})
	id := p.submit("ann@example.org", "bob@a.example", "grey@a.example", "nobody@a.example")
	p.work(p.worker)
	for to, want := range map[string][2]int{"bob@a.example": {1, 1}, "grey@a.example": {3, 1}, "nobody@a.example": {1, 0}} {
		if asked, got := p.asked(to), p.got("ann@example.org", to); asked != want[0] || got != want[1] {
			t.Errorf("%s was asked for %d times and got %d messages, want %v", to, asked, got, want)
		}
	}
	if s := p.state(id, 1); s.Tries != 3 && s.Last.Status != smtpclient.Delivered || !s.Over {
		t.Errorf("greylisted: %+v", s)
	}
	if n := p.got("", "ann@example.org"); n != 1 {
		t.Errorf("ann has got %d notices", n)
	}
	for _, m := range p.server.Messages() {
		if m.From == "" && (!strings.Contains(string(m.Data), "Final-Recipient: rfc822; nobody@a.example") ||
			strings.Contains(string(m.Data), "bob@a.example") || !strings.Contains(string(m.Data), "Subject: Hello")) {
			t.Errorf("the notice says\n%s", m.Data)
		}
	}
	p.checkForgotten(id)
}

// checkForgotten is for a message of which nobody needs the content any more.
func (p *post) checkForgotten(id string) {
	p.t.Helper()
	short := *p.queue
	short.Patience = 100 * time.Millisecond // a store that takes longer is asked again
	var err error
	p.until("the store answers", func() bool {
		_, err = short.Content(p.t.Context(), &queue.Job{Message: id})
		return !errors.Is(err, context.DeadlineExceeded)
	})
	if !errors.Is(err, queue.ErrGone) {
		p.t.Errorf("the content of %s: %v", id, err)
	}
}

// What cannot be delivered in time goes back to the sender (RFC 3464), but a notice
// that cannot be is a dead letter: no notice is ever sent about one. The time is long
// enough for a slow machine to try for the first time before it is over.
func TestExpiry(t *testing.T) {
	p := open(t, queue.Settings{Expire: 5 * time.Second}, func(p *post, c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" {
			return smtptest.Action{Reply: "451 4.7.1 come back later"}
		}
		return smtptest.Action{}
	})
	id := p.submit("ann@example.org", "bob@a.example")
	p.work(p.worker)
	if s := p.state(id, 0); !s.Over || s.Last.Status != smtpclient.Deferred || s.Tries < 2 {
		t.Errorf("bob: %+v", s)
	}
	p.checkForgotten(id)
	notice := id + "-0-n" + fmt.Sprint(p.state(id, 0).Gen)
	if s := p.state(notice, 0); s.Address != "ann@example.org" || !s.Over || s.Last.Status != smtpclient.Deferred {
		t.Errorf("the notice to ann: %+v", s)
	}
	letters, err := p.queue.Letters(t.Context())
	if err != nil || len(letters) != 1 || letters[0].Job.Message != notice {
		t.Errorf("dead letters: %+v, %v", letters, err)
	}
	if content, err := p.queue.Content(t.Context(), &queue.Job{Message: notice}); err != nil || !strings.Contains(string(content), "Final-Recipient: rfc822; bob@a.example") {
		t.Errorf("the dead letter is gone: %q, %v", content, err)
	}
	if n := p.worker.Stats.Notices.Load(); n != 1 {
		t.Errorf("%d notices were made", n)
	}
}

// From the null reverse path comes no notice.
func TestNullReversePath(t *testing.T) {
	p := open(t, queue.Settings{}, func(p *post, c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" {
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	})
	id := p.submit("<>", "bob@a.example")
	p.work(p.worker)
	if s := p.state(id, 0); s.Last.Status != smtpclient.Failed {
		t.Errorf("bob: %+v", s)
	}
	letters, err := p.queue.Letters(t.Context())
	if err != nil || len(letters) != 1 || letters[0].Job.Message != id || p.worker.Stats.Notices.Load() != 0 {
		t.Errorf("dead letters: %+v, %v; %d notices", letters, err, p.worker.Stats.Notices.Load())
	}
}

// lost loses the connection of the first message when it is complete: the server has
// it, and nobody is told.
func lost(p *post, c smtptest.Command) smtptest.Action {
	if c.Verb == smtptest.EndOfData && c.Session == 0 {
		return smtptest.Action{Fault: smtptest.Drop}
	}
	return smtptest.Action{}
}

// Of whom nobody knows is tried again, and it is kept that he may have it twice.
func TestUnknownRetry(t *testing.T) {
	p := open(t, queue.Settings{}, lost)
	id := p.submit("ann@example.org", "bob@a.example")
	p.work(p.worker)
	if s := p.state(id, 0); s.Unknown != 1 || s.Last.Status != smtpclient.Delivered || len(p.server.Messages()) != 2 {
		t.Errorf("bob: %+v, %d messages", s, len(p.server.Messages()))
	}
}

// With Hold he is not, and a person has to look.
func TestUnknownHold(t *testing.T) {
	p := open(t, queue.Settings{}, lost)
	p.worker.Unknown = Hold
	id := p.submit("ann@example.org", "bob@a.example")
	p.work(p.worker)
	letters, err := p.queue.Letters(t.Context())
	if s := p.state(id, 0); s.Unknown != 1 || !s.Over || len(p.server.Messages()) != 1 || err != nil || len(letters) != 1 {
		t.Errorf("bob: %+v, %d messages; dead letters %+v, %v", s, len(p.server.Messages()), letters, err)
	}
}

// A refusal of the limiter is no attempt: nothing counts, and the message comes back
// at the time.
func TestRefusal(t *testing.T) {
	p := open(t, queue.Settings{}, accept)
	l := &limiter{wait: 3 * time.Second}
	p.worker.Client.Limiter, p.worker.Short = l, time.Millisecond
	id := p.submit("ann@example.org", "bob@a.example")
	p.work(p.worker)
	if s := p.state(id, 0); s.Tries != 0 || s.Last.Status != smtpclient.Delivered || p.got("ann@example.org", "bob@a.example") != 1 {
		t.Errorf("bob: %+v", s)
	}
	if n := p.worker.Stats.Refused.Load(); n == 0 || n > 3 {
		t.Errorf("it was put off %d times", n)
	}
}

// Nor does it count where others of the same message were delivered.
func TestRefusalOfSome(t *testing.T) {
	p := open(t, queue.Settings{}, accept)
	p.worker.Client.Limiter = &limiter{wait: 2 * time.Second, hop: "b.example"}
	id := p.submit("ann@example.org", "bob@a.example", "bob@b.example")
	p.work(p.worker)
	for n := range 2 {
		if s := p.state(id, n); s.Tries != 0 || s.Last.Status != smtpclient.Delivered || p.got("ann@example.org", s.Address) != 1 {
			t.Errorf("%+v", s)
		}
	}
}

// limiter refuses all, or those of a next hop, for some time after the first of them.
type limiter struct {
	wait time.Duration
	hop  string

	mu    sync.Mutex
	until time.Time
}

func (l *limiter) Acquire(_ context.Context, u smtpclient.Use) (smtpclient.Lease, error) {
	if l.hop != "" && u.NextHop != l.hop {
		return lease{}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		l.until = time.Now().Add(l.wait)
	}
	if time.Now().Before(l.until) {
		return nil, &smtpclient.RefusedError{Key: "all", NotBefore: l.until}
	}
	return lease{}, nil
}

type lease struct{}

func (lease) Report(smtpclient.Feedback) {}
func (lease) Release()                   {}

// record writes what a worker would have written before it died.
func (p *post) record(id string, change func(rec *queue.Record)) {
	p.t.Helper()
	j := queue.Job{ID: id + "-0", Envelope: smtpclient.Envelope{To: []smtpclient.Recipient{{Address: "bob@a.example"}}}}
	rec := queue.New(&j)
	change(&rec)
	if _, err := p.queue.Change(p.t.Context(), &j, rec, 0); err != nil {
		p.t.Fatal(err)
	}
}

// A worker that died in the midst of a content leaves a recipient of whom nobody knows,
// and that is said before he is tried again.
func TestDeadWorker(t *testing.T) {
	for policy, want := range map[OnUnknown]int{Retry: 1, Hold: 0} {
		p := open(t, queue.Settings{}, accept)
		p.worker.Unknown = policy
		id := p.submit("ann@example.org", "bob@a.example")
		p.record(id, func(rec *queue.Record) {
			rec.Begun = &queue.Begun{Worker: "gone", Entry: 1, At: time.Now()}
		})
		p.work(p.worker)
		s := p.state(id, 0)
		if n := p.got("ann@example.org", "bob@a.example"); n != want || s.Unknown != 1 || !s.Over {
			t.Errorf("policy %d: bob has got %d: %+v", policy, n, s)
		}
	}
}

// One that died behind the end of an attempt leaves what follows from it to others:
// the message is not delivered again, and the sender hears of a failure.
func TestDeadWorkerBehindTheEnd(t *testing.T) {
	p := open(t, queue.Settings{}, accept)
	id := p.submit("ann@example.org", "bob@a.example")
	p.record(id, func(rec *queue.Record) {
		rec.Gen = 1
		rec.To[0].Over, rec.To[0].Gen = true, 1
		rec.To[0].Last = queue.Finding{Status: smtpclient.Failed, Enhanced: "5.1.1", Owed: smtpclient.NotifyFailure}
	})
	p.work(p.worker)
	if n := p.asked("bob@a.example"); n != 0 || p.got("", "ann@example.org") != 1 {
		t.Errorf("bob was asked for %d times, ann has %d notices", n, p.got("", "ann@example.org"))
	}
}

// An entry that comes twice is one message.
func TestEntryTwice(t *testing.T) {
	p := open(t, queue.Settings{}, func(p *post, c smtptest.Command) smtptest.Action {
		if c.Verb == "DATA" {
			return smtptest.Action{Delay: 300 * time.Millisecond}
		}
		return smtptest.Action{}
	})
	env := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@a.example"}}, Arrival: time.Now()}
	if err := p.queue.SubmitAs(t.Context(), "m", env, []byte("Subject: Hello\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	entry := queue.Entry{Job: queue.Job{ID: "m-0", Message: "m", Parts: 1, Site: "mx.example", Arrival: env.Arrival, Envelope: env}}
	for range 3 {
		data, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.conn.Publish("mail.ready."+p.queue.Shard("mx.example"), data); err != nil {
			t.Fatal(err)
		}
	}
	p.work(p.worker)
	if n := p.got("ann@example.org", "bob@a.example"); n != 1 || p.state("m", 0).Unknown != 0 {
		t.Errorf("bob has got %d: %+v", n, p.state("m", 0))
	}
}

// A worker that has to stop lets what has begun come to its end, and leaves the rest.
func TestDrain(t *testing.T) {
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p := open(t, queue.Settings{}, func(p *post, c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData {
			once.Do(func() { close(reached) })
			<-goOn
		}
		return smtptest.Action{}
	})
	id := p.submit("ann@example.org", "bob@a.example")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.worker.Run(ctx) }()
	<-reached
	stop()
	select {
	case <-ended:
		t.Fatal("it has not waited")
	case <-time.After(50 * time.Millisecond):
	}
	later := p.submit("ann@example.org", "carol@a.example")
	close(goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := p.state(id, 0); s.Last.Status != smtpclient.Delivered || s.Unknown != 0 || p.asked("carol@a.example") != 0 {
		t.Errorf("bob: %+v; carol was asked for %d times", s, p.asked("carol@a.example"))
	}
	p.work(p.newWorker("two"))
	if s := p.state(later, 0); s.Last.Status != smtpclient.Delivered || len(p.server.Messages()) != 2 {
		t.Errorf("carol: %+v; %d messages", s, len(p.server.Messages()))
	}
}

// What does not come to its end within Grace is cut off, and known to be unknown.
func TestDrainCutsOff(t *testing.T) {
	reached := make(chan struct{})
	var once sync.Once
	p := open(t, queue.Settings{}, func(p *post, c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && c.Session == 0 {
			once.Do(func() { close(reached) })
			return smtptest.Action{Fault: smtptest.Stall}
		}
		return smtptest.Action{}
	})
	p.worker.Grace = 50 * time.Millisecond
	id := p.submit("ann@example.org", "bob@a.example")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.worker.Run(ctx) }()
	<-reached
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := len(p.worker.held); n != 0 {
		t.Errorf("Run has returned with %d messages on their way", n)
	}
	if s := p.state(id, 0); s.Unknown != 1 || s.Over {
		t.Errorf("bob: %+v", s)
	}
}

// What nobody can read does not come again and again.
func TestMalformed(t *testing.T) {
	p := open(t, queue.Settings{}, accept)
	for _, subject := range []string{"mail.ready.0", "mail.ready.split"} {
		if err := p.conn.Publish(subject, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	p.submit("ann@example.org", "bob@a.example")
	p.work(p.worker)
	if p.got("ann@example.org", "bob@a.example") != 1 {
		t.Error("bob has got nothing")
	}
}

// A message to several sites is split up, and its content kept until the last part is
// through.
func TestSeveralSites(t *testing.T) {
	p := open(t, queue.Settings{}, func(p *post, c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.Contains(c.Args, "@b.example") && p.asked("bob@b.example") < 2 {
			return smtptest.Action{Reply: "451 4.7.1 come back later"}
		}
		return smtptest.Action{}
	})
	p.queue.Site = func(_ context.Context, address string) string { return "mx." + address[strings.Index(address, "@")+1:] }
	id := p.submit("ann@example.org", "bob@a.example", "bob@b.example", "carol@a.example")
	p.work(p.worker)
	for _, to := range []string{"bob@a.example", "bob@b.example", "carol@a.example"} {
		if n := p.got("ann@example.org", to); n != 1 {
			t.Errorf("%s has got %d", to, n)
		}
	}
	if n := len(p.server.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
	p.checkForgotten(id)
}
