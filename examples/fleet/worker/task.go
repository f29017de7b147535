package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
)

// task is an entry in work.
type task struct {
	w     *Worker
	seq   uint64
	entry queue.Entry
	actor string // whose attempt it is: ours, or that of one who is gone

	mu    sync.Mutex // guards the rest: transactions of one delivery may overlap
	rec   queue.Record
	rev   uint64
	begun bool // the Record says so
}

// handle does what an entry asks for, and then takes it out of the queue. On an error
// it stays, and somebody gets it again.
func (w *Worker) handle(ctx context.Context, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		return
	}
	seq := meta.Sequence.Stream
	if !w.hold(seq, msg) {
		return // the server has not heard from us for a while, and gave it to us again
	}
	defer w.letGo(seq)
	var wrong *malformed
	err = w.work(ctx, seq, msg)
	if errors.As(err, &wrong) {
		w.log().Error("an entry that is none is taken out of the queue", "entry", seq, "error", err, "data", string(msg.Data()))
		_ = msg.Term()
		return
	}
	if err != nil {
		w.log().Warn("an entry stays in the queue", "entry", seq, "error", err)
		return
	}
	_ = msg.Ack() // if that is lost, it comes again and there is nothing left to do
}

// malformed is the error of an entry that nobody can read.
type malformed struct{ error }

// work takes the next step with what an entry names.
func (w *Worker) work(ctx context.Context, seq uint64, msg jetstream.Msg) error {
	if msg.Subject() == "mail.ready."+queue.Split {
		return w.split(ctx, msg.Data())
	}
	t := &task{w: w, seq: seq, actor: w.Name}
	if err := json.Unmarshal(msg.Data(), &t.entry); err != nil {
		return &malformed{err}
	}
	return t.run(ctx)
}

// split makes an entry for each site of a message.
func (w *Worker) split(ctx context.Context, data []byte) error {
	var jobs []queue.Job
	if err := json.Unmarshal(data, &jobs); err != nil {
		return &malformed{err}
	}
	for _, j := range jobs {
		if err := w.Queue.Ready(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// errStale is of a copy of the store that is behind the queue.
var errStale = errors.New("the record of this job is older than its entry")

// run looks at the Record and takes the next step.
func (t *task) run(ctx context.Context) error {
	if err := t.read(ctx); err != nil {
		return err
	}
	switch {
	case t.rec.Gen > t.entry.Gen || t.rec.Done():
		// The attempt has ended; what follows from it may not be done.
		return t.follow(ctx)
	case t.rec.Begun == nil:
		return t.attempt(ctx)
	case t.rec.Begun.Entry != t.seq:
		// The same entry twice: the other one is in the queue as long as this attempt
		// has not ended, and brings it to its end.
		return nil
	}
	// Who began did not come to write down the end, and has been silent for AckWait:
	// nobody knows whether the server took the message.
	t.actor = t.rec.Begun.Worker
	return t.end(ctx, t.abandoned())
}

// read waits until the Record is not behind the entry.
func (t *task) read(ctx context.Context) (err error) {
	for range 50 {
		t.rec, t.rev, err = t.w.Queue.Record(ctx, &t.entry.Job)
		if err != nil || t.rec.Gen >= t.entry.Gen {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return errStale
}

// due are the recipients who can be tried at a time, by their numbers.
func (t *task) due(at time.Time) []int {
	var list []int
	for i := range t.rec.To {
		if s := &t.rec.To[i]; !s.Over && !s.Next.After(at.Add(time.Second)) {
			list = append(list, i)
		}
	}
	return list
}

// abandoned are the outcomes of an attempt whose worker is gone.
func (t *task) abandoned() map[int]smtpclient.Outcome {
	outcomes := map[int]smtpclient.Outcome{}
	for _, i := range t.due(t.rec.Begun.At) {
		outcomes[i] = smtpclient.Outcome{Address: t.entry.Envelope.To[i].Address, Status: smtpclient.Unknown, Attempt: &smtpclient.Attempt{
			Stage: smtpclient.StageDataDone, Enhanced: "4.4.2",
			Cause: fmt.Errorf("worker %s was gone before it could tell what came of it", t.rec.Begun.Worker),
		}}
	}
	return outcomes
}

// attempt delivers to those who are due.
func (t *task) attempt(ctx context.Context) error {
	due := t.due(time.Now())
	if len(due) == 0 {
		return t.later(ctx, t.rec.Next())
	}
	leave, err := t.w.room.enter(ctx, t.entry.Size)
	if err != nil {
		return err
	}
	defer leave()
	content, err := t.w.Queue.Content(ctx, &t.entry.Job)
	if errors.Is(err, queue.ErrGone) {
		return t.end(ctx, t.gone(due, err))
	}
	if err != nil {
		return err
	}
	env := t.entry.Envelope
	env.To = nil
	for _, i := range due {
		env.To = append(env.To, t.entry.Envelope.To[i])
	}
	report, err := t.deliver(ctx, env, smtpclient.Bytes(content))
	if err != nil {
		return err
	}
	if at, ok := refused(report); ok && !t.isBegun() && time.Now().Before(t.expiry()) {
		return t.putOff(ctx, at)
	}
	outcomes := map[int]smtpclient.Outcome{}
	for n, i := range due {
		outcomes[i] = report.Outcomes[n]
	}
	return t.end(ctx, outcomes)
}

// gone are the outcomes where there is nothing to deliver.
func (t *task) gone(due []int, err error) map[int]smtpclient.Outcome {
	outcomes := map[int]smtpclient.Outcome{}
	for _, i := range due {
		outcomes[i] = smtpclient.Outcome{Address: t.entry.Envelope.To[i].Address, Status: smtpclient.Failed, Owed: smtpclient.NotifyFailure,
			Attempt: &smtpclient.Attempt{Enhanced: "5.3.0", Cause: err}}
	}
	return outcomes
}

// deliver calls the library. A short refusal of the limiter is waited for in hand.
func (t *task) deliver(ctx context.Context, env smtpclient.Envelope, content smtpclient.Content) (smtpclient.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Start: func(ctx context.Context, e smtpclient.Event) {
		if e.Stage == smtpclient.StageDataBlock {
			if err := t.begin(ctx); err != nil {
				cancel(fmt.Errorf("%w: %w", errNotBegun, err))
			}
		}
	}})
	end := time.Now().Add(orDefault(t.w.Short, 2*time.Second))
	for {
		report, _ := t.w.Client.Deliver(ctx, env, content)
		if err := context.Cause(ctx); errors.Is(err, errNotBegun) {
			return report, err
		}
		at, ok := refused(report)
		if !ok || at.After(end) || t.isBegun() || ctx.Err() != nil {
			t.w.line.Done(t.entry.Site, time.Now())
			return report, nil
		}
		pause(ctx, time.Until(at))
	}
}

// errNotBegun is of an attempt that could not be written down, and so did not take
// place. Whoever has the entry next looks at the Record again.
var errNotBegun = errors.New("the attempt could not be written down")

// begin writes down that from now on the recipients may get the message. It is called
// when the server waits for the content, so that no attempt that ends before makes a
// recipient doubtful. That nobody else is at it, the revision makes sure.
func (t *task) begin(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun {
		return nil
	}
	rec := t.rec
	rec.Begun = &queue.Begun{Worker: t.w.Name, Entry: t.seq, At: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	rev, err := t.w.Queue.Change(ctx, &t.entry.Job, rec, t.rev)
	if err == nil {
		t.rec, t.rev, t.begun = rec, rev, true
	}
	return err
}

func (t *task) isBegun() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun
}

// refused tells whether the limiter has let nobody pass, and until when.
func refused(r smtpclient.Report) (at time.Time, ok bool) {
	for _, o := range r.Outcomes {
		if o.NotBefore.IsZero() || o.Status != smtpclient.Deferred {
			return at, false
		}
		if at.IsZero() || o.NotBefore.Before(at) {
			at = o.NotBefore
		}
	}
	return at, len(r.Outcomes) > 0
}

// putOff sends the job back into the queue. It was no attempt: nothing counts.
func (t *task) putOff(ctx context.Context, notBefore time.Time) error {
	t.w.Stats.Refused.Add(1)
	at := t.w.line.Next(t.entry.Site, notBefore, time.Now())
	if expiry := t.expiry(); at.After(expiry) {
		at = expiry
	}
	return t.later(ctx, at)
}

// later has this entry come again at a time. It is given up for that only where nobody
// has begun an attempt with it, as one may who had it before AckWait: should he die, it
// is all that is left of the message. The revision makes sure of that, and that nobody
// begins from now on.
func (t *task) later(ctx context.Context, at time.Time) error {
	rev, err := t.w.Queue.Change(ctx, &t.entry.Job, t.rec, t.rev)
	if err != nil {
		return err
	}
	t.rev = rev
	return t.w.Queue.Later(ctx, t.entry, at)
}

func (t *task) expiry() time.Time { return t.entry.Arrival.Add(t.w.Queue.Expire) }
