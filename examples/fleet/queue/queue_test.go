package queue

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

func open(t *testing.T) *Queue {
	t.Helper()
	srv, nc, err := Embed(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	q, err := Open(t.Context(), nc, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func toBob() smtpclient.Envelope {
	return smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@A.example"}}}
}

// gone asks for a content that is not there, which takes Patience: a short one, and
// again for as long as the store has not answered in time.
func gone(t *testing.T, q *Queue, j *Job) (err error) {
	short := *q
	short.Patience = 100 * time.Millisecond
	for range 1000 {
		if _, err = short.Content(t.Context(), j); !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return err
}

// Contents of all sizes come back as they were, also those of several chunks, and go
// when they are forgotten.
func TestContent(t *testing.T) {
	q := open(t)
	for _, size := range []int{0, 1, oneChunk, oneChunk + 1, 5*oneChunk + 7} {
		content := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		id, err := q.Submit(t.Context(), toBob(), content)
		if err != nil {
			t.Fatal(err)
		}
		j := &Job{ID: id + "-0", Message: id, Parts: 1}
		got, err := q.Content(t.Context(), j)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d: %v", size, len(got), err)
		}
		if err := q.Forget(t.Context(), j); err != nil {
			t.Error(err)
		}
		if err := gone(t, q, j); !errors.Is(err, ErrGone) {
			t.Errorf("%d bytes, forgotten: %v", size, err)
		}
	}
}

// Of two who change a record one does. Who repeats a write whose answer was lost is
// told that it is there.
func TestChange(t *testing.T) {
	q := open(t)
	j := &Job{ID: "m-0", Envelope: toBob()}
	rec, rev, err := q.Record(t.Context(), j)
	if err != nil || rev != 0 || len(rec.To) != 1 || rec.To[0].Address != "bob@A.example" {
		t.Fatalf("%+v, %d, %v", rec, rev, err)
	}
	mine, other := rec, rec
	mine.Begun, other.Begun = &Begun{Worker: "one"}, &Begun{Worker: "two"}
	for _, from := range []uint64{0, 0} {
		if rev, err = q.Change(t.Context(), j, mine, from); err != nil || rev == 0 {
			t.Errorf("mine: %v", err)
		}
	}
	if _, err := q.Change(t.Context(), j, other, 0); !errors.Is(err, ErrConflict) {
		t.Errorf("the other one: %v", err)
	}
	mine.Begun, mine.Gen = nil, 1
	for range 2 {
		if _, err = q.Change(t.Context(), j, mine, rev); err != nil {
			t.Errorf("mine again: %v", err)
		}
	}
	if _, err := q.Change(t.Context(), j, other, rev); !errors.Is(err, ErrConflict) {
		t.Errorf("the other one again: %v", err)
	}
}

// A job is scheduled once: the last time counts.
func TestLater(t *testing.T) {
	q := open(t)
	e := Entry{Job: Job{ID: "m-0", Site: "a"}}
	for _, after := range []time.Duration{2 * time.Hour, time.Hour, time.Hour, 0} {
		if err := q.Later(t.Context(), e, time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Now().Add(time.Minute)
	var due []Entry
	for len(due) == 0 && time.Now().Before(end) {
		var err error
		if due, err = q.Entries(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := q.Len(t.Context()); err != nil || n != 1 || len(due) != 1 || due[0].ID != "m-0" {
		t.Errorf("%d in the stream, due %+v, %v", n, due, err)
	}
}

// The same name is the same message.
func TestSubmitTwice(t *testing.T) {
	q := open(t)
	for range 2 {
		if err := q.SubmitAs(t.Context(), "notice", toBob(), []byte("Subject: Hello\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := q.Entries(t.Context())
	if err != nil || len(entries) != 1 || entries[0].Site != "a.example" || entries[0].Size != 18 {
		t.Errorf("%+v, %v", entries, err)
	}
	if err := q.SubmitAs(t.Context(), "nobody", smtpclient.Envelope{From: "ann@example.org"}, nil); err == nil {
		t.Error("a message without recipients was taken")
	}
}
