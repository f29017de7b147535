package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrConflict is the error of a change of a Record that somebody else has changed.
var ErrConflict = errors.New("somebody else has changed the record of this job")

// errBehind is of a copy that does not know yet what the leader has refused for.
var errBehind = errors.New("the copy that was read is behind")

// Record reads what is known of a job. rev is zero where there is none. It may be
// behind the truth, as a copy of the store answers; Change finds that out.
func (q *Queue) Record(ctx context.Context, j *Job) (rec Record, rev uint64, err error) {
	err = q.tryFor(ctx, func(ctx context.Context) error {
		entry, err := q.state.Get(ctx, j.ID)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			rec, rev = New(j), 0
			return nil
		case err != nil:
			return err
		}
		rec, rev = Record{}, entry.Revision()
		return json.Unmarshal(entry.Value(), &rec)
	})
	return rec, rev, err
}

// Change writes a Record in place of revision rev, and gives its own revision. The
// error is ErrConflict where there is another one by now. A write whose answer was
// lost is found again: what is there then is what was to be written.
func (q *Queue) Change(ctx context.Context, j *Job, rec Record, rev uint64) (uint64, error) {
	value, err := json.Marshal(rec)
	if err != nil {
		return 0, err
	}
	err = q.tryFor(ctx, func(ctx context.Context) error {
		now, err := q.put(ctx, j.ID, value, rev)
		if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			entry, failed := q.state.Get(ctx, j.ID)
			switch {
			case failed != nil:
				return failed
			case entry.Revision() <= rev:
				return errBehind
			case !bytes.Equal(entry.Value(), value):
				return ErrConflict
			}
			now, err = entry.Revision(), nil
		}
		if err == nil {
			rev = now
		}
		return err
	})
	return rev, err
}

func (q *Queue) put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	if rev == 0 {
		return q.state.Create(ctx, key, value)
	}
	return q.state.Update(ctx, key, value, rev)
}

// Records calls use with each record that there is, by the ID of its job.
func (q *Queue) Records(ctx context.Context, use func(id string, rec Record)) error {
	return each(ctx, q.state, func(id string, value []byte) error {
		var rec Record
		if err := json.Unmarshal(value, &rec); err != nil {
			return err
		}
		use(id, rec)
		return nil
	})
}

// each reads all of a store.
func each(ctx context.Context, store jetstream.KeyValue, use func(key string, value []byte) error) error {
	all, err := store.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer all.Stop()
	for entry := range all.Updates() {
		if entry == nil {
			return nil // these were all
		}
		if err := use(entry.Key(), entry.Value()); err != nil {
			return err
		}
	}
	return errors.New("the store stopped answering")
}
