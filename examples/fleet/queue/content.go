package queue

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrGone is the error of Content where there is none of that name.
var ErrGone = errors.New("the content of this message is gone")

// keep stores a content.
func (q *Queue) keep(ctx context.Context, name string, content []byte) error {
	return q.tryFor(ctx, func(ctx context.Context) error {
		_, err := q.content.PutBytes(ctx, name, content)
		return err
	})
}

// Content reads the content of a job. Small ones, of one chunk, are read as the
// message that they are in the stream below the store (ADR-20 of NATS): the store
// itself would make a consumer for each, which all servers have to agree on.
func (q *Queue) Content(ctx context.Context, j *Job) (content []byte, err error) {
	err = q.tryFor(ctx, func(ctx context.Context) error {
		info, err := q.content.GetInfo(ctx, j.Message)
		if err != nil {
			return err // also where it is not there: a copy may not have seen it yet
		}
		if info.Chunks != 1 {
			content, err = q.content.GetBytes(ctx, j.Message)
			return err
		}
		msg, err := q.chunks.GetLastMsgForSubject(ctx, fmt.Sprintf("$O.%s.C.%s", contentName, info.NUID))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(msg.Data)
		if info.Digest != "SHA-256="+base64.URLEncoding.EncodeToString(sum[:]) {
			return fmt.Errorf("the content %s does not have its checksum", j.Message)
		}
		content = msg.Data
		return nil
	})
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		err = ErrGone
	}
	return content, err
}

// Forget throws the content of a job away, once nobody needs it: after its part, or
// after the last one of several. What is left over goes with its age.
func (q *Queue) Forget(ctx context.Context, j *Job) error {
	for part := range j.Parts {
		if part == j.Part {
			continue
		}
		rec, rev, err := q.Record(ctx, &Job{ID: partID(j.Message, part)})
		if err != nil || rev == 0 || !rec.Done() || rec.Dead {
			return err
		}
	}
	return q.tryFor(ctx, func(ctx context.Context) error {
		err := q.content.Delete(ctx, j.Message)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return nil
		}
		return err
	})
}
