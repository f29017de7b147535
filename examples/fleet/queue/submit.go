package queue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/postrider/postrider/smtpclient"
)

// Submit takes a message. It is in the queue when Submit has returned nil, and not
// before: the one publish at its end is the moment that counts, also where the
// recipients are at several sites. After an error it is not there, or, if the server
// has kept the entry and its answer was lost for as long as Patience, it is.
func (q *Queue) Submit(ctx context.Context, env smtpclient.Envelope, content []byte) (id string, err error) {
	id = strings.ToLower(rand.Text())
	return id, q.SubmitAs(ctx, id, env, content)
}

// SubmitAs takes a message under a name of the caller's. The same name again is the
// same message, which is queued once; where its recipients are at several sites only
// for two minutes, as their sites may change.
func (q *Queue) SubmitAs(ctx context.Context, id string, env smtpclient.Envelope, content []byte) error {
	if len(env.To) == 0 {
		return fmt.Errorf("message %s has no recipients", id)
	}
	if env.Arrival.IsZero() {
		env.Arrival = time.Now()
	}
	if err := q.keep(ctx, id, content); err != nil {
		return err
	}
	jobs := q.jobs(ctx, id, env)
	for n := range jobs {
		jobs[n].Size = len(content)
	}
	if len(jobs) > 1 {
		return q.publish(ctx, Split, id, jobs)
	}
	return q.Ready(ctx, jobs[0])
}

// Ready puts a job into the work queue for the first time.
func (q *Queue) Ready(ctx context.Context, j Job) error {
	return q.publish(ctx, q.Shard(j.Site), j.ID, Entry{Job: j})
}

// publish writes an entry. The server overlooks a second one of that id within
// Duplicates; one that comes later is harmless, since the Record knows better.
func (q *Queue) publish(ctx context.Context, shard, id string, entry any) error {
	data, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	return q.tryFor(ctx, func(ctx context.Context) error {
		_, err := q.js.Publish(ctx, readySubject(shard), data, jetstream.WithMsgID(id))
		return err
	})
}

// Later has the server make an entry at a time, in whole seconds, of which a job has
// at most one: another time takes the place of the one before. So it may be repeated.
func (q *Queue) Later(ctx context.Context, e Entry, at time.Time) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: laterSubject(e.ID), Data: data}
	return q.tryFor(ctx, func(ctx context.Context) error {
		_, err := q.js.PublishMsg(ctx, msg, jetstream.WithScheduleAt(at.Add(time.Second-1)), jetstream.WithScheduleTarget(readySubject(q.Shard(e.Site))))
		return err
	})
}

// jobs splits the recipients by site, in the order of the first of each.
func (q *Queue) jobs(ctx context.Context, id string, env smtpclient.Envelope) []Job {
	var jobs []Job
	at := map[string]int{} // by site
	sites := map[string]string{}
	for _, to := range env.To {
		domain := domainOf(to.Address)
		site, ok := sites[domain]
		if !ok {
			site = domain
			if q.Site != nil {
				site = q.Site(ctx, to.Address)
			}
			sites[domain] = site
		}
		n, ok := at[site]
		if !ok {
			n = len(jobs)
			at[site] = n
			j := Job{ID: partID(id, n), Message: id, Part: n, Site: site, Arrival: env.Arrival, Envelope: env}
			j.Envelope.To = nil
			jobs = append(jobs, j)
		}
		jobs[n].Envelope.To = append(jobs[n].Envelope.To, to)
	}
	for n := range jobs {
		jobs[n].Parts = len(jobs)
	}
	return jobs
}

func partID(message string, part int) string { return fmt.Sprintf("%s-%d", message, part) }

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

// Entries lists the jobs that are due or under way, for those who want to look. The
// subject tells them from what is scheduled, and from what has to be split up.
func (q *Queue) Entries(ctx context.Context) ([]Entry, error) {
	info, err := q.stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		msg, err := q.stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if msg.Subject == readySubject(Split) || !strings.HasPrefix(msg.Subject, readySubject("")) {
			continue
		}
		var e Entry
		if err := json.Unmarshal(msg.Data, &e); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// Letter is one that nobody will deliver, for a person to look at. Its content stays
// as long as the object store keeps it.
type Letter struct {
	Job   Job
	State []State
	Why   string
	At    time.Time
}

// Bury keeps a dead letter.
func (q *Queue) Bury(ctx context.Context, l Letter) error {
	value, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return q.tryFor(ctx, func(ctx context.Context) error {
		_, err := q.dead.Put(ctx, l.Job.ID, value)
		return err
	})
}

// Letters lists the dead letters.
func (q *Queue) Letters(ctx context.Context) ([]Letter, error) {
	var list []Letter
	err := each(ctx, q.dead, func(_ string, value []byte) error {
		var l Letter
		err := json.Unmarshal(value, &l)
		list = append(list, l)
		return err
	})
	return list, err
}
