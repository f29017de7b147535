package worker

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// job is that of bob's message.
func job(id string) *queue.Job {
	return &queue.Job{ID: id + "-0", Message: id, Parts: 1, Site: "mx.example", Arrival: time.Now(), Envelope: smtpclient.Envelope{
		From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@a.example"}}}}
}

// at calls do once, when a verb comes for the first time.
func at(verb string, do func(p *post)) func(p *post, c smtptest.Command) smtptest.Action {
	var once sync.Once
	return func(p *post, c smtptest.Command) smtptest.Action {
		if c.Verb == verb {
			once.Do(func() { do(p) })
		}
		return smtptest.Action{}
	}
}

// The attempt is written down when the server has the end of the content, and it is
// not when it only knows of the recipient.
func TestBegunInTime(t *testing.T) {
	id := make(chan string, 1)
	var early, late queue.Record
	p := open(t, queue.Settings{}, func(p *post, c smtptest.Command) smtptest.Action {
		name := <-id
		id <- name
		rec, _, err := p.queue.Record(t.Context(), job(name))
		if err != nil {
			t.Error(err)
		}
		switch c.Verb {
		case "DATA":
			early = rec
		case smtptest.EndOfData:
			late = rec
		}
		return smtptest.Action{}
	})
	name := p.submit("ann@example.org", "bob@a.example")
	id <- name
	p.work(p.worker)
	if early.Begun != nil || late.Begun == nil || late.Begun.Worker != "one" || late.Begun.Entry != 1 || late.To[0].Over {
		t.Errorf("at DATA %+v, at the end of the content %+v", early, late)
	}
	if rec, _, err := p.queue.Record(t.Context(), job(name)); err != nil || rec.Begun != nil || rec.Gen != 1 {
		t.Errorf("at the end: %+v, %v", rec, err)
	}
}

// Who finds at the last moment that another is at the message leaves it to him: the
// server does not get the content.
func TestTaken(t *testing.T) {
	id := make(chan string, 1)
	p := open(t, queue.Settings{}, at("RCPT", func(p *post) {
		p.record(<-id, func(rec *queue.Record) { rec.Begun = &queue.Begun{Worker: "two", Entry: 99, At: time.Now()} })
	}))
	name := p.submit("ann@example.org", "bob@a.example")
	id <- name
	p.work(p.worker)
	rec, _, err := p.queue.Record(t.Context(), job(name))
	if n := len(p.server.Messages()); n != 0 || err != nil || rec.Begun == nil || rec.Begun.Worker != "two" {
		t.Errorf("the server has got %d messages; %+v, %v", n, rec, err)
	}
}

// One who was taken for dead, and comes with the server's word after all, is believed:
// nobody delivers it again.
func TestLateWord(t *testing.T) {
	id := make(chan string, 1)
	p := open(t, queue.Settings{}, at(smtptest.EndOfData, func(p *post) {
		j := job(<-id)
		rec, rev, err := p.queue.Record(t.Context(), j)
		if err != nil || rec.Begun == nil {
			t.Errorf("%+v, %v", rec, err)
		}
		rec.Gen, rec.Begun = 1, nil
		rec.To[0].Unknown, rec.To[0].Tries, rec.To[0].Next = 1, 1, time.Now()
		if _, err := p.queue.Change(t.Context(), j, rec, rev); err != nil {
			t.Error(err)
		}
	}))
	name := p.submit("ann@example.org", "bob@a.example")
	id <- name
	p.work(p.worker)
	// The entry for the next try comes when the word is there.
	if err := p.queue.Later(t.Context(), queue.Entry{Job: *job(name), Gen: 1}, time.Now()); err != nil {
		t.Fatal(err)
	}
	p.work(p.newWorker("two"))
	if s := p.state(name, 0); len(p.server.Messages()) != 1 || s.Last.Status != smtpclient.Delivered || !s.Over || s.Unknown != 1 {
		t.Errorf("%d messages; %+v", len(p.server.Messages()), s)
	}
}

// The shards are divided evenly, each to one, and who goes leaves those of the others
// mostly where they are.
func TestAssign(t *testing.T) {
	shards := strings.Fields("split 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14")
	all := assign([]string{"a", "b", "c"}, shards)
	load := map[string]int{}
	for _, name := range all {
		load[name]++
	}
	if len(all) != len(shards) || load["a"] > 6 || load["b"] > 6 || load["c"] > 6 || load[""] != 0 {
		t.Errorf("%v", all)
	}
	moved := 0
	for shard, name := range assign([]string{"c", "a"}, shards) {
		if name == "b" || name == "" {
			t.Errorf("shard %s is %q's", shard, name)
		}
		if all[shard] != "b" && all[shard] != name {
			moved++
		}
	}
	if moved > 4 {
		t.Errorf("%d shards of those who stay have moved", moved)
	}
}
