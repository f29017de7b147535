package queue

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrGone is the error of Content where there is none of that name.
var ErrGone = errors.New("the content of this message is gone")

// oneChunk is how much is in one message of the stream below the object store.
const oneChunk = 128 << 10

// keep stores a content. Small ones are written as the two messages that they are in
// the stream (ADR-20 of NATS), which takes half the work of asking the store.
func (q *Queue) keep(ctx context.Context, name string, content []byte) error {
	return q.tryFor(ctx, func(ctx context.Context) error {
		if len(content) > oneChunk {
			_, err := q.content.PutBytes(ctx, name, content)
			return err
		}
		id := rand.Text() // anew for each try: what a broken one left behind goes with its age
		sum := sha256.Sum256(content)
		info, err := json.Marshal(jetstream.ObjectInfo{
			ObjectMeta: jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: oneChunk}},
			Bucket:     contentName, NUID: id, Size: uint64(len(content)), Chunks: 1, Digest: digest(sum),
		})
		if err != nil {
			return err
		}
		if _, err := q.js.Publish(ctx, chunkSubject(id), content); err != nil {
			return err
		}
		meta := &nats.Msg{Subject: fmt.Sprintf("$O.%s.M.%s", contentName, base64.URLEncoding.EncodeToString([]byte(name))), Data: info,
			Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}}}
		_, err = q.js.PublishMsg(ctx, meta)
		return err
	})
}

func chunkSubject(id string) string { return fmt.Sprintf("$O.%s.C.%s", contentName, id) }

func digest(sum [sha256.Size]byte) string {
	return "SHA-256=" + base64.URLEncoding.EncodeToString(sum[:])
}

// Content reads the content of a job. Small ones, of one chunk, are read as the
// message that they are in the stream: the store itself would make a consumer for each, which all servers have to agree on.
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
		msg, err := q.chunks.GetLastMsgForSubject(ctx, chunkSubject(info.NUID))
		if err != nil {
			return err
		}
		if info.Digest != digest(sha256.Sum256(msg.Data)) {
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
