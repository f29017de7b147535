// Bulk sends every message of an mbox file, or of the .eml files of a directory, to
// the recipients that its To and Cc fields name:
//
//	bulk -helo mail.example.org newsletter.mbox
//
// Without a name it sends to mail servers of its own on this machine. A progress bar
// is on standard error, who did not get a message on standard output. The exit code
// is 0 if everybody got his. There is no queue: nothing is tried twice.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/schollz/progressbar/v3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client := &smtpclient.Client{Pool: &smtpclient.Pool{}}
	flag.StringVar(&client.LocalName, "helo", "", "our name in EHLO; else the name of this machine")
	flag.IntVar(&client.Pool.PerDestination, "sessions", 4, "connections to a destination at the same time")
	workers := flag.Int("workers", 100, "messages that are on their way, or wait for a connection")
	flag.Parse()
	b := &bulk{client: client, out: os.Stdout}
	err := b.run(ctx, flag.Arg(0), *workers)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bulk:", err)
	}
	if err != nil || b.unread > 0 || b.count[smtpclient.Delivered] < b.recipients {
		os.Exit(1)
	}
}

// bulk is one run.
type bulk struct {
	client *smtpclient.Client
	bar    *progressbar.ProgressBar
	took   time.Duration

	mu                           sync.Mutex // guards the rest
	out                          io.Writer
	messages, recipients, unread int
	count                        map[smtpclient.Status]int
}

// run sends what is in a file or directory; without a name it sends to the demo.
func (b *bulk) run(ctx context.Context, name string, workers int) error {
	if name == "" {
		d, err := newDemo()
		defer d.close()
		if err != nil {
			return err
		}
		name = d.use(b.client)
	}
	total, err := size(name)
	if err != nil {
		return err
	}
	terminal, err := os.Stderr.Stat()
	b.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
		progressbar.OptionSetVisibility(err == nil && terminal.Mode()&os.ModeCharDevice != 0))
	b.send(ctx, messages(name), max(workers, 1))
	b.bar.Finish()
	fmt.Fprintln(os.Stderr, "\n"+b.summary())
	return ctx.Err()
}

// send delivers the messages from many goroutines. Those to the same destination
// share a few connections of the pool and follow each other without a pause. After a
// cancel those are finished that have begun, and no more are read.
func (b *bulk) send(ctx context.Context, messages iter.Seq2[[]byte, error], workers int) {
	start := time.Now()
	b.count = map[smtpclient.Status]int{}
	work := make(chan []byte)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for message := range work {
				b.deliver(ctx, message)
			}
		})
	}
	for message, err := range messages {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			b.unreadable(err)
			continue
		}
		work <- message
	}
	close(work)
	group.Wait()
	b.client.Pool.Close(ctx)
	b.took = time.Since(start)
}

func (b *bulk) deliver(ctx context.Context, message []byte) {
	defer b.bar.Add(len(message))
	env, err := envelope(message)
	if err != nil {
		b.unreadable(err)
		return
	}
	report, _ := b.client.Deliver(ctx, env, smtpclient.Bytes(message))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages++
	for _, o := range report.Outcomes {
		b.recipients++
		b.count[o.Status]++
		if err := o.Err(); err != nil {
			fmt.Fprintln(b.out, o.Address, o.Status, err)
		}
	}
}

func (b *bulk) unreadable(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unread++
	fmt.Fprintln(b.out, err)
}

func (b *bulk) summary() string {
	return fmt.Sprintf("%d messages in %.1f s, %.0f/s, on %d connections; recipients: %d delivered, %d deferred, %d failed, %d unknown; %d messages unreadable",
		b.messages, b.took.Seconds(), float64(b.messages)/b.took.Seconds(), b.client.Pool.Stats().Dialed, b.count[smtpclient.Delivered],
		b.count[smtpclient.Deferred], b.count[smtpclient.Failed], b.count[smtpclient.Unknown], b.unread)
}
