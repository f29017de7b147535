// Package worker delivers what is in the queue. One Worker is one process of the
// fleet:
//
//   - it serves the shards that are its own among those who live, so that the
//     messages for a site meet in one process and share its sessions;
//   - it writes down that a recipient may get the message before the server can get
//     the end of it, and what became of him before the entry leaves the queue;
//   - whatever it leaves undone when it dies goes to another after Queue.AckWait.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/postrider/postrider/examples/fleet/policy"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
)

// OnUnknown is what to do about a recipient who may have the message: the end of the
// content was on its way when the server, the network or a worker was gone.
type OnUnknown uint8

const (
	// Retry tries again, as RFC 5321, Section 3.8 has it after a connection that
	// was lost: nobody goes without, and some get it twice.
	Retry OnUnknown = iota
	// Hold does not: nobody gets it twice, and the letter waits among the dead ones for
	// somebody to look at it.
	Hold
)

// Worker is one process's part. All but Queue, Conn, Name and ReportingMTA may be
// zero.
type Worker struct {
	Queue  *queue.Queue
	Conn   *nats.Conn
	Client smtpclient.Client // with what the fleet shares: Cache and Limiter
	// Name tells this process from all others, also from the one that had its place
	// before.
	Name         string
	ReportingMTA string // for notices
	Backoff      policy.Backoff
	Unknown      OnUnknown
	// PerShard is how many messages of a shard are on their way at the same time.
	// Zero: 64.
	PerShard int
	// Memory is how many bytes of contents are in hand at the same time; a larger one
	// goes alone. Zero: 512 MiB.
	Memory int
	// Short is how long a message that the limiter has refused is kept in hand. For
	// longer it goes back into the queue, as a scheduled message. Zero: 2 s.
	Short time.Duration
	// Grace is how long deliveries may go on after Run's ctx has ended. Zero: 1 min.
	Grace time.Duration
	Alive time.Duration // between two signs of life; zero: 2 s
	Log   *slog.Logger  // nil: nothing is said

	Stats Stats

	line policy.Line
	room room
	mu   sync.Mutex
	held map[uint64]jetstream.Msg // entries on their way, by their sequence numbers
}

// Stats count recipients, but for Refused and Notices.
type Stats struct {
	Delivered, Deferred, Failed, Unknown, Expired atomic.Int64
	Refused                                       atomic.Int64 // times that the limiter sent a message back into the queue
	Notices                                       atomic.Int64
	Buried                                        atomic.Int64 // dead letters
}

func orDefault[T int | time.Duration](v, usual T) T {
	if v <= 0 {
		return usual
	}
	return v
}

func (w *Worker) log() *slog.Logger {
	if w.Log != nil {
		return w.Log
	}
	return slog.New(slog.DiscardHandler)
}

// Run works until ctx ends. Then nothing new begins, the shards go to the others, and
// what is on its way has Grace to come to its end; after that it is cut off, and what
// is not certain is written down as Unknown.
func (w *Worker) Run(ctx context.Context) error {
	w.held = map[uint64]jetstream.Msg{}
	w.room.most = orDefault(w.Memory, 512<<20)
	m, err := join(ctx, w.Conn, w.Name, orDefault(w.Alive, 2*time.Second))
	if err != nil {
		return fmt.Errorf("telling the others in NATS: %w", err)
	}
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var deliveries sync.WaitGroup
	go w.stayInProgress(work)
	var serving sync.WaitGroup
	w.serveShare(ctx, m, func(ctx context.Context, shard string) {
		serving.Go(func() { w.serve(ctx, shard, func(msg jetstream.Msg) { w.handle(work, msg) }, &deliveries) })
	})
	serving.Wait()
	ended := make(chan struct{})
	go func() {
		deliveries.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(orDefault(w.Grace, time.Minute)):
		cut()
		<-ended
	}
	return w.Conn.Flush()
}

// serveShare serves the shards that are ours, as they change, until ctx ends.
func (w *Worker) serveShare(ctx context.Context, m *members, serve func(ctx context.Context, shard string)) {
	shards := []string{queue.Split}
	for n := range w.Queue.Shards {
		shards = append(shards, fmt.Sprint(n))
	}
	serving := map[string]context.CancelFunc{}
	for {
		ours := map[string]bool{}
		for _, shard := range m.share(shards) {
			ours[shard] = true
			if serving[shard] == nil {
				c, stop := context.WithCancel(ctx)
				serving[shard] = stop
				serve(c, shard)
			}
		}
		for shard, stop := range serving {
			if !ours[shard] {
				stop()
				delete(serving, shard)
			}
		}
		select {
		case <-m.wake:
		case <-ctx.Done():
			for _, stop := range serving {
				stop()
			}
			return
		}
	}
}

// serve takes entries of a shard as long as there is room, until ctx ends.
func (w *Worker) serve(ctx context.Context, shard string, handle func(jetstream.Msg), deliveries *sync.WaitGroup) {
	slots := make(chan struct{}, orDefault(w.PerShard, 64))
	var cons jetstream.Consumer
	for ctx.Err() == nil {
		var err error
		if cons == nil {
			cons, err = w.Queue.Consumer(ctx, shard)
		}
		if err == nil {
			err = w.fetch(ctx, cons, slots, func(msg jetstream.Msg) {
				deliveries.Go(func() {
					defer func() { <-slots }()
					handle(msg)
				})
			})
		}
		if err != nil && ctx.Err() == nil {
			w.log().Debug("fetch", "shard", shard, "error", err)
			cons = nil
			pause(ctx, 200*time.Millisecond)
		}
	}
}

// fetch takes as many entries as there are free slots, or those that come within a
// second. Those that come after ctx has ended go back at once.
func (w *Worker) fetch(ctx context.Context, cons jetstream.Consumer, slots chan struct{}, start func(jetstream.Msg)) error {
	if len(slots) > cap(slots)*3/4 {
		pause(ctx, 20*time.Millisecond) // better a few at a time than one
	}
	free := cap(slots) - len(slots)
	if free == 0 {
		return nil
	}
	batch, err := cons.Fetch(free, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		if ctx.Err() != nil {
			_ = msg.Nak()
			continue
		}
		slots <- struct{}{}
		start(msg)
	}
	return batch.Error()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stayInProgress tells the server that the entries on their way are ours.
func (w *Worker) stayInProgress(ctx context.Context) {
	tick := time.NewTicker(w.Queue.AckWait / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		for _, msg := range w.held {
			_ = msg.InProgress()
		}
		w.mu.Unlock()
	}
}

// hold notes that an entry is on its way here, and tells whether it was not.
func (w *Worker) hold(seq uint64, msg jetstream.Msg) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[seq] != nil {
		return false
	}
	w.held[seq] = msg
	return true
}

func (w *Worker) letGo(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, seq)
}
