//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const (
	reuseMessages = 2000
	reusePace     = 250 // in a second, so that a site gets some six
)

// reuse delivers a load with some workers, and gives the share of messages that found
// a session open, as the servers count it, and the share of those that met at one
// worker. With sprayed, where a message goes does not depend on its site.
func reuse(t *testing.T, workers int, sprayed bool) (reused, together float64) {
	t.Helper()
	sites, w := openSites(t, 40, func() func(smtptest.Command) smtptest.Action {
		return func(smtptest.Command) smtptest.Action { return smtptest.Action{} }
	})
	urls, _ := startNATS(t, 1)
	config := workerConfig{
		Name: "test", NATS: urls, Redis: startRedis(t), World: w, Sessions: 4,
		Alive: 3 * time.Second, // nobody dies here, and who is slow is not to be taken for dead
		Queue: queue.Settings{Shards: 12, Expire: time.Hour},
	}
	n, err := open(t.Context(), config.settings())
	defer n.close()
	if err != nil {
		t.Fatal(err)
	}
	if sprayed {
		n.queue.Site = func(context.Context, string) string { return rand.Text() }
	}
	heard := hear(t, n)
	for i := range workers {
		config.Name = fmt.Sprint("worker", i)
		p := start(t, asWorker, config)
		defer func() {
			p.Process.Signal(syscall.SIGTERM)
			if err := p.Wait(); err != nil {
				t.Errorf("a worker did not end well: %v", err)
			}
		}()
	}
	until(t, "the workers know each other", func() bool { return heard() >= workers })
	var submitted atomic.Int64
	pace := time.NewTicker(time.Second / reusePace)
	defer pace.Stop()
	submitAll(t, n.queue, w, pace.C, reuseMessages, &submitted)
	until(t, "the queue is empty", func() bool {
		left, err := n.queue.Len(t.Context())
		return err == nil && left == 0
	})
	sent := taken(sites)
	if sent < reuseMessages*99/100 {
		t.Fatalf("only %d messages were taken", sent)
	}
	reused, together = 1-float64(connections(sites))/float64(sent), met(sites)
	t.Logf("%d workers, sprayed %v: %d messages on %d connections, %.1f each; reuse %.1f %%; %.1f %% met", workers, sprayed,
		sent, connections(sites), float64(sent)/float64(connections(sites)), 100*reused, 100*together)
	return reused, together
}

// hear tells how many workers have given three signs of life, by when each has heard
// of the others.
func hear(t *testing.T, n *node) func() int {
	t.Helper()
	var mu sync.Mutex
	signs := map[string]int{}
	sub, err := n.worker.Conn.Subscribe("fleet.alive", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		signs[string(m.Data)]++
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		known := 0
		for _, n := range signs {
			if n >= 3 {
				known++
			}
		}
		return known
	}
}

// Three workers reuse sessions nearly as often as one does, since a site's messages
// meet at one of them. How many sessions that saves depends on the load and on the
// machine; who gets the messages does not.
func TestReuse(t *testing.T) {
	one, _ := reuse(t, 1, false)
	three, together := reuse(t, 3, false)
	_, sprayed := reuse(t, 3, true)
	if one < 0.5 || three < 0.5 {
		t.Errorf("one worker found a session open for %.3f of the messages, three for %.3f", one, three)
	}
	if together < 0.9 || sprayed > 0.7 {
		t.Errorf("%.3f of the messages met at one worker, without shards %.3f", together, sprayed)
	}
}
