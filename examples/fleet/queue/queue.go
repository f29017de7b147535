// Package queue is mail that waits, on NATS JetStream:
//
//   - contents in an object store,
//   - a work queue whose entries name what is due, with one subject and one consumer
//     for each shard of the sites,
//   - what is due later in the same stream, as scheduled messages, of which the
//     server makes entries in time (NATS 2.12),
//   - what became of each recipient in a key-value store, whose revisions make sure
//     that of two workers only one takes a step.
//
// Every write may be repeated, and is until the server has said that it is kept.
package queue

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Settings must be the same for all who share a queue.
type Settings struct {
	Shards   int           // zero: 32; may grow, and shrink only while the queue is empty
	Replicas int           // copies of everything: 1 or, in a cluster, 3; zero: 1
	Expire   time.Duration // how long a message may take; zero: 5 days (RFC 5321, Section 4.5.4.1)
	AckWait  time.Duration // when an entry of a silent worker goes to another; zero: 30 s
	Patience time.Duration // how long a write is tried again; zero: 30 s
}

// Queue is one process's door to the queue. It is safe for many goroutines.
type Queue struct {
	Settings
	// Site finds who receives the mail of an address. nil: its domain.
	Site func(ctx context.Context, address string) string

	nc      *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	content jetstream.ObjectStore
	chunks  jetstream.Stream
	state   jetstream.KeyValue
	dead    jetstream.KeyValue
}

// The names of what is kept in NATS.
const (
	streamName  = "MAIL"
	contentName = "content"
	stateName   = "state"
	deadName    = "dead"
)

// Split is the shard of what goes to several sites, and has to be split up first.
const Split = "split"

func readySubject(shard string) string { return "mail.ready." + shard }
func laterSubject(id string) string    { return "mail.later." + id }

// Open makes what is not there yet. The caller closes nc, after the last call.
func Open(ctx context.Context, nc *nats.Conn, s Settings) (*Queue, error) {
	if s.Shards <= 0 {
		s.Shards = 32
	}
	s.Replicas = max(s.Replicas, 1)
	s.Expire = orDefault(s.Expire, 5*24*time.Hour)
	s.AckWait = orDefault(s.AckWait, 30*time.Second)
	s.Patience = orDefault(s.Patience, 30*time.Second)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	q := &Queue{Settings: s, nc: nc, js: js}
	if err := q.tryFor(ctx, q.create); err != nil {
		return nil, fmt.Errorf("the queue in NATS, which has to be version 2.12 or newer with JetStream: %w", err)
	}
	return q, nil
}

func orDefault(d, usual time.Duration) time.Duration {
	if d <= 0 {
		return usual
	}
	return d
}

// create makes streams and stores, or finds them.
func (q *Queue) create(ctx context.Context) (err error) {
	// Who knows of a message longest are those who bounce it, and read of it.
	keep := q.Expire + 2*24*time.Hour
	q.stream, err = q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Subjects: []string{"mail.ready.*", "mail.later.*"},
		Retention: jetstream.WorkQueuePolicy, Replicas: q.Replicas,
		AllowMsgSchedules: true, AllowRollup: true, AllowDirect: true,
		Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return err
	}
	q.content, err = q.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: contentName, Replicas: q.Replicas, TTL: keep})
	if err != nil {
		return err
	}
	if q.chunks, err = q.js.Stream(ctx, "OBJ_"+contentName); err != nil {
		return err
	}
	q.state, err = q.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: stateName, Replicas: q.Replicas, TTL: keep})
	if err != nil {
		return err
	}
	q.dead, err = q.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: deadName, Replicas: q.Replicas})
	return err
}

// Consumer gives the entries of a shard: a number, or Split. Whoever asks gets some,
// so it is up to the workers to agree on who asks.
func (q *Queue) Consumer(ctx context.Context, shard string) (jetstream.Consumer, error) {
	return q.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "shard-" + shard, FilterSubject: readySubject(shard),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.AckWait,
		MaxAckPending: 1000,
	})
}

// Len is how many entries there are: due, on their way and scheduled.
func (q *Queue) Len(ctx context.Context) (int, error) {
	n := 0
	err := q.tryFor(ctx, func(ctx context.Context) error {
		info, err := q.stream.Info(ctx)
		if err == nil {
			n = int(info.State.Msgs)
		}
		return err
	})
	return n, err
}

// Shard is where a site's mail goes. It depends on the name of the site alone, so
// that its messages meet at one worker, which can reuse its sessions for them.
func (q *Queue) Shard(site string) string {
	h := fnv.New32a()
	h.Write([]byte(site))
	return fmt.Sprint(h.Sum32() % uint32(q.Shards))
}

// tryFor repeats a write that may be repeated, while a server elects a leader or is
// away, for Patience.
func (q *Queue) tryFor(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, q.Patience)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		once, stop := context.WithTimeout(ctx, 5*time.Second)
		err := do(once)
		stop()
		if err == nil || isFinal(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// isFinal tells errors that will be the same the next time. What the server refuses is
// not among them: a cluster that has just begun says no to nearly everything.
func isFinal(err error) bool {
	return errors.Is(err, ErrConflict) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed)
}
