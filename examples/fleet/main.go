// Fleet delivers mail with many machines: a queue on NATS JetStream, limits and a
// cache in Redis, and Postrider as the call that delivers.
//
//	fleet
//
// shows what it does: it takes some thousand messages by SMTP and delivers them to
// mail servers of its own, all within this process.
//
//	fleet -listen 127.0.0.1:2525 -helo mail.example.org -dir /var/lib/fleet
//
// is a small relay of one machine, with a NATS server inside. With
//
//	fleet -nats nats://a,nats://b,nats://c -replicas 3 -redis redis://d -helo mail.example.org
//
// on each of them it is a fleet: every process takes its share of the sites, and the
// shares of one that dies. SIGTERM lets a process finish what it has begun.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/postrider/postrider/examples/fleet/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return report(stderr, runDemo(ctx, demoMessages, stdout, stderr))
	}
	s, err := parse(args, stderr)
	if err != nil {
		return 2
	}
	s.log = slog.New(slog.NewTextHandler(stderr, nil))
	return report(stderr, serve(ctx, s, stderr))
}

func report(stderr io.Writer, err error) int {
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "fleet:", err)
		return 1
	}
	return 0
}

// parse reads the flags into settings.
func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("fleet", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.nats, "nats", "", "URLs of a NATS cluster with JetStream, 2.12 or newer; else a server within this process")
	f.StringVar(&s.dir, "dir", "", "where the server within this process keeps what it has; else it forgets at the end")
	f.StringVar(&s.redis, "redis", "", "URL of a Redis for limits and cache, as redis://host:6379/0; else those of this process")
	f.StringVar(&s.listen, "listen", "", "address to take mail at by SMTP, from -clients; else none is taken")
	f.Var(&s.clients, "clients", "networks that may send by SMTP, with commas between them; else this machine alone")
	f.BoolVar(&s.idle, "no-work", false, "take mail, but deliver none")
	f.StringVar(&s.name, "name", "", "of this process, for the others; else host name and a random part")
	f.StringVar(&s.client.LocalName, "helo", "", "our name in EHLO and in notices; else the name of this machine")
	f.IntVar(&s.queue.Shards, "shards", 32, "parts of the work queue; the same everywhere")
	f.IntVar(&s.queue.Replicas, "replicas", 1, "copies of everything in a cluster, 1 or 3; the same everywhere")
	f.DurationVar(&s.queue.Expire, "expire", 5*24*time.Hour, "how long a message is tried; the same everywhere")
	f.DurationVar(&s.backoff.First, "first", 5*time.Minute, "when to come back after the first attempt; then twice as long each time")
	f.DurationVar(&s.backoff.Max, "max", 4*time.Hour, "the longest time between two attempts")
	f.IntVar(&s.limits.Sessions, "sessions", 20, "connections to a site, of all machines together; the same everywhere")
	f.IntVar(&s.limits.PerSecond, "rate", 0, "messages to a site in a second, of all machines together; the same everywhere; 0: no bound")
	f.BoolFunc("hold-unknown", "do not try again who may have got the message: keep it as a dead letter", func(string) error {
		s.unknown = worker.Hold
		return nil
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		fmt.Fprintf(stderr, "fleet: %q is no flag\n", f.Arg(0))
		return nil, flag.ErrHelp
	}
	return s, nil
}
