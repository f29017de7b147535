package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postrider/postrider/examples/fleet/policy"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
)

// end writes down what came of an attempt, and does what follows. The end is kept
// also when the worker is about to stop.
func (t *task) end(ctx context.Context, outcomes map[int]smtpclient.Outcome) error {
	ctx = context.WithoutCancel(ctx)
	random := policy.Random() // for all alike: they stay together
	for {
		ours := t.isOurs()
		if !ours && !t.knowsMore(outcomes) {
			return t.leave(ctx)
		}
		rec := t.apply(outcomes, random)
		rev, err := t.w.Queue.Change(ctx, &t.entry.Job, rec, t.rev)
		switch {
		case errors.Is(err, queue.ErrConflict):
			// Either begin was written after all, or somebody took us for dead.
			if t.rec, t.rev, err = t.w.Queue.Record(ctx, &t.entry.Job); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			t.rec, t.rev = rec, rev
			if !ours {
				return t.leave(ctx)
			}
			t.count(outcomes)
			return t.follow(ctx)
		}
	}
}

// isOurs tells whether the end of this attempt is ours to write. It is not where
// somebody else has begun one, or has ended ours as abandoned.
func (t *task) isOurs() bool {
	b := t.rec.Begun
	return t.rec.Gen == t.entry.Gen && (b == nil || b.Entry == t.seq && b.Worker == t.actor)
}

// errTaken is of an entry that somebody else has, too, and is at.
var errTaken = errors.New("another worker has the entry")

// leave is for a job that somebody else has gone on with. The entry goes only where
// he does not need it.
func (t *task) leave(ctx context.Context) error {
	switch {
	case t.rec.Begun == nil:
		return t.follow(ctx)
	case t.rec.Begun.Entry == t.seq:
		return errTaken
	}
	return nil
}

// knowsMore tells whether a recipient is certain here who is not in the Record.
func (t *task) knowsMore(outcomes map[int]smtpclient.Outcome) bool {
	for i, o := range outcomes {
		if o.Status == smtpclient.Delivered && t.rec.To[i].Last.Status != smtpclient.Delivered {
			return true
		}
	}
	return false
}

// apply gives the Record as it is after the attempt. Where somebody else has gone on
// with the job meanwhile it is not ours any more, and only what is certain counts.
func (t *task) apply(outcomes map[int]smtpclient.Outcome, random float64) queue.Record {
	rec, ours := t.rec, t.isOurs()
	rec.To = slices.Clone(rec.To)
	if ours {
		rec.Gen++
		rec.Begun = nil
	}
	for i, o := range outcomes {
		s := &rec.To[i]
		switch {
		case o.Status == smtpclient.Delivered:
			s.Over, s.Gen, s.Last = true, rec.Gen, queue.Find(o)
		case ours && !s.Over:
			t.judge(s, o, random)
			s.Gen = rec.Gen
		}
		rec.Dead = rec.Dead || s.Over && t.isDead(s)
	}
	return rec
}

// judge says how it goes on with a recipient who was not delivered.
func (t *task) judge(s *queue.State, o smtpclient.Outcome, random float64) {
	s.Last = queue.Find(o)
	now := time.Now()
	switch {
	case o.Status == smtpclient.Failed:
		s.Over = true
		return
	case o.Status == smtpclient.Unknown:
		s.Unknown++
		if t.w.Unknown == Hold {
			s.Over = true
			return
		}
	}
	if o.NotBefore.IsZero() {
		s.Tries++
		s.Next = now.Add(t.w.Backoff.After(s.Tries, random))
	} else {
		s.Next = t.w.line.Next(t.entry.Site, o.NotBefore, now)
	}
	expiry := t.expiry()
	s.Over = !now.Before(expiry)
	if s.Next.After(expiry) {
		s.Next = expiry // one last time
	}
}

// isDead tells whether nobody will hear of a recipient who is over: a notice itself,
// or one of whom nobody knows.
func (t *task) isDead(s *queue.State) bool {
	return s.Last.Status == smtpclient.Unknown ||
		s.Last.Status != smtpclient.Delivered && t.entry.Envelope.From == "<>"
}

func (t *task) count(outcomes map[int]smtpclient.Outcome) {
	n := &t.w.Stats
	for i, o := range outcomes {
		switch {
		case o.Status == smtpclient.Delivered:
			n.Delivered.Add(1)
		case o.Status == smtpclient.Failed:
			n.Failed.Add(1)
		case o.Status == smtpclient.Unknown:
			n.Unknown.Add(1)
		case t.rec.To[i].Over:
			n.Expired.Add(1)
		default:
			n.Deferred.Add(1)
		}
	}
}

// follow does what follows from the last attempt: notice, dead letter, the next entry,
// or the end. All of it may be done again.
func (t *task) follow(ctx context.Context) error {
	if err := t.notify(ctx); err != nil {
		return fmt.Errorf("the notice: %w", err)
	}
	if t.rec.Dead {
		l := queue.Letter{Job: t.entry.Job, State: t.rec.To, Why: "nobody can be told", At: time.Now()}
		if err := t.w.Queue.Bury(ctx, l); err != nil {
			return err
		}
		t.w.Stats.Buried.Add(1)
	}
	if !t.rec.Done() {
		next := t.entry
		next.Gen = t.rec.Gen
		return t.w.Queue.Later(ctx, next, t.rec.Next())
	}
	if t.rec.Dead {
		return nil
	}
	return t.w.Queue.Forget(ctx, &t.entry.Job)
}

// notify tells the sender of those who have ended with the last attempt, in a message
// whose name follows from it: it is queued once, however often this is done.
func (t *task) notify(ctx context.Context) error {
	env, report := t.ended()
	if len(env.To) == 0 {
		return nil
	}
	content, err := t.w.Queue.Content(ctx, &t.entry.Job)
	if err != nil && !errors.Is(err, queue.ErrGone) {
		return err
	}
	var original smtpclient.Content
	if err == nil {
		original = smtpclient.Bytes(content)
	}
	notice := smtpclient.Notice{ReportingMTA: t.w.ReportingMTA, Expired: true}
	back, body, err := notice.Compose(ctx, env, report, original)
	if errors.Is(err, smtpclient.ErrNoNotice) {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := readAll(body)
	if err != nil {
		return err
	}
	t.w.Stats.Notices.Add(1)
	return t.w.Queue.SubmitAs(ctx, fmt.Sprintf("%s-n%d", t.entry.ID, t.rec.Gen), back, data)
}

// ended are those of the last attempt of whom something may be to tell, with what
// became of them.
func (t *task) ended() (smtpclient.Envelope, smtpclient.Report) {
	env, report := t.entry.Envelope, smtpclient.Report{}
	env.To = nil
	if env.From == "<>" {
		return env, report
	}
	for i, s := range t.rec.To {
		if !s.Over || s.Gen != t.rec.Gen || s.Last.Owed == 0 && s.Last.Status != smtpclient.Deferred {
			continue
		}
		to := t.entry.Envelope.To[i]
		env.To = append(env.To, to)
		report.Outcomes = append(report.Outcomes, s.Last.Outcome(to.Address))
	}
	return env, report
}

func readAll(c smtpclient.Content) ([]byte, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
