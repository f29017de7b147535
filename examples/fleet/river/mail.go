// Package river is the loop of examples/fleet on river, a queue in PostgreSQL: the
// rules are those of docs/fleet.md, and a transaction of the database keeps what a
// record and its revisions keep there. Its tables, besides those of river, are in schema.sql.
package river

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/postrider/postrider/smtpclient"
	"github.com/riverqueue/river"
)

// Mail is the job: a row of the table mail, with recipients at one site.
type Mail struct {
	ID int64 `json:"id"`
}

// Kind implements river.JobArgs.
func (Mail) Kind() string { return "mail" }

// Queue is that of a site's shard. A process works on some of them, so that the
// messages for a site share its sessions.
func Queue(site string, shards int) string {
	return fmt.Sprintf("mail%d", crc32.ChecksumIEEE([]byte(site))%uint32(shards))
}

// Worker delivers. All fields are needed.
type Worker struct {
	river.WorkerDefaults[Mail]
	DB           *pgxpool.Pool
	River        *river.Client[pgx.Tx] // the one that this Worker was added to
	Client       *smtpclient.Client
	ReportingMTA string
	Expire       time.Duration
	Backoff      func(tries int) time.Duration
	Site         func(address string) string
	Shards       int
}

// Timeout implements river.Worker: Client.Limits.Call bounds the delivery, and what is
// cut off in the midst is Unknown. Config.RescueStuckJobsAfter has to be longer.
func (w *Worker) Timeout(*river.Job[Mail]) time.Duration { return -1 }

// Submit takes a message for one site within a transaction of the caller's.
func (w *Worker) Submit(ctx context.Context, tx pgx.Tx, env smtpclient.Envelope, content []byte) (id int64, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO mail (sender, content) VALUES ($1, $2) RETURNING id`, env.From, content).Scan(&id)
	if err != nil {
		return 0, err
	}
	for _, to := range env.To {
		if _, err := tx.Exec(ctx, `INSERT INTO mail_recipient (mail, address) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, to.Address); err != nil {
			return 0, err
		}
	}
	_, err = w.River.InsertTx(ctx, tx, Mail{ID: id}, &river.InsertOpts{Queue: Queue(w.Site(env.To[0].Address), w.Shards)})
	return id, err
}

// Work implements river.Worker. Retries and refusals are snoozes: river counts no
// attempt for them, as the recipients count their own.
func (w *Worker) Work(ctx context.Context, job *river.Job[Mail]) error {
	keep := context.WithoutCancel(ctx)
	a := attempt{mail: job.Args.ID, name: fmt.Sprintf("%d at %v", job.ID, time.Now())}
	env, err := w.load(keep, &a)
	if err != nil || len(env.To) == 0 {
		return err // nobody is left: all of it was done before
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Start: func(ctx context.Context, e smtpclient.Event) {
		if e.Stage == smtpclient.StageDataBlock {
			if err := w.begin(ctx, a); err != nil {
				cancel(err)
			}
		}
	}})
	report, _ := w.Client.Deliver(ctx, env, smtpclient.Bytes(a.content))
	next, err := w.end(keep, a, env, report)
	if err != nil || next < 0 {
		return err
	}
	return river.JobSnooze(next)
}

// attempt is one time that a message is in hand.
type attempt struct {
	mail    int64
	name    string
	content []byte
}

// load reads what is left to do. An attempt that has begun and not ended was that of a
// process that is gone, or river would not have given the job to us.
func (w *Worker) load(ctx context.Context, a *attempt) (env smtpclient.Envelope, err error) {
	_, err = w.DB.Exec(ctx, `WITH gone AS (UPDATE mail SET begun = NULL WHERE id = $1 AND begun IS NOT NULL RETURNING id)
		UPDATE mail_recipient SET unknown = unknown + 1, reason = 'the worker was gone' FROM gone WHERE mail = gone.id AND status = 'open'`, a.mail)
	if err != nil {
		return env, err
	}
	var open []string
	err = w.DB.QueryRow(ctx, `SELECT sender, content, arrival, ARRAY(SELECT address FROM mail_recipient WHERE mail = id AND status = 'open' ORDER BY address)
		FROM mail WHERE id = $1`, a.mail).Scan(&env.From, &a.content, &env.Arrival, &open)
	env.To = smtpclient.To(open...)
	return env, err
}

// begin writes down that the recipients may get the message from now on.
func (w *Worker) begin(ctx context.Context, a attempt) error {
	tag, err := w.DB.Exec(ctx, `UPDATE mail SET begun = $2 WHERE id = $1 AND (begun IS NULL OR begun = $2)`, a.mail, a.name)
	if err == nil && tag.RowsAffected() == 0 {
		err = errors.New("another worker is at this message")
	}
	return err
}

// end writes down in one transaction what came of it, and the notice to the sender. It
// gives when to come back; less than zero: not at all.
func (w *Worker) end(ctx context.Context, a attempt, env smtpclient.Envelope, report smtpclient.Report) (next time.Duration, err error) {
	next = -1
	err = pgx.BeginFunc(ctx, w.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE mail SET begun = NULL WHERE id = $1 AND begun = $2`, a.mail, a.name); err != nil {
			return err
		}
		over, told := env, smtpclient.Report{} // those whose end it is
		over.To = nil
		for i, o := range report.Outcomes {
			status, tries, unknown := w.judge(o, env.Arrival)
			err := tx.QueryRow(ctx, `UPDATE mail_recipient SET status = $3, tries = tries + $4, unknown = unknown + $5, reason = $6
				WHERE mail = $1 AND address = $2 AND (status = 'open' OR $3 = 'delivered' AND status <> 'delivered') RETURNING tries`,
				a.mail, o.Address, status, tries, unknown, fmt.Sprint(o.Err())).Scan(&tries)
			switch {
			case errors.Is(err, pgx.ErrNoRows): // somebody else has taken us for dead, and gone on
			case err != nil:
				return err
			case status != "open":
				over.To, told.Outcomes = append(over.To, env.To[i]), append(told.Outcomes, o)
			default:
				wait := max(time.Until(o.NotBefore), 0)
				if o.NotBefore.IsZero() {
					wait = w.Backoff(tries)
				}
				if next < 0 || wait < next {
					next = wait
				}
			}
		}
		return w.notify(ctx, tx, over, told, a.content)
	})
	return next, err
}

// judge says where a recipient stands. A refusal of the limiter is no try.
func (w *Worker) judge(o smtpclient.Outcome, arrival time.Time) (status string, tries, unknown int) {
	status, tries = o.Status.String(), 1
	if !o.NotBefore.IsZero() {
		tries = 0
	}
	if o.Status == smtpclient.Unknown {
		unknown = 1
	}
	switch {
	case o.Status == smtpclient.Delivered || o.Status == smtpclient.Failed:
	case time.Since(arrival) < w.Expire:
		status = "open"
	case o.Status == smtpclient.Deferred:
		status = "expired"
	}
	return status, tries, unknown
}

// notify queues the notice, if one is due, in the same transaction. Rows that failed or
// expired and have the sender <> are the dead letters.
func (w *Worker) notify(ctx context.Context, tx pgx.Tx, env smtpclient.Envelope, report smtpclient.Report, content []byte) error {
	back, notice, err := smtpclient.Notice{ReportingMTA: w.ReportingMTA, Expired: true}.Compose(ctx, env, report, smtpclient.Bytes(content))
	if errors.Is(err, smtpclient.ErrNoNotice) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := notice.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if content, err = io.ReadAll(r); err == nil {
		_, err = w.Submit(ctx, tx, back, content)
	}
	return err
}
