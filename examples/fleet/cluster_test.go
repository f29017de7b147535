//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const (
	clusterMessages = 20_000
	clusterSites    = 40
	clusterSessions = 4 // to a site, of all workers together
)

// grey refuses every 20th recipient once, and those named nobody for good.
func grey() func(smtptest.Command) smtptest.Action {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb != "RCPT" {
			return smtptest.Action{}
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.Contains(c.Args, "nobody"):
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		case strings.Contains(c.Args, "grey") && !seen[c.Args]:
			seen[c.Args] = true
			return smtptest.Action{Reply: "451 4.7.1 come back later"}
		}
		return smtptest.Action{}
	}
}

// recipient is that of message number n: every 20th is greylisted, every 200th unknown.
func recipient(n int, domains []string) string {
	name := "box"
	switch {
	case n%200 == 7:
		name = "nobody"
	case n%20 == 3:
		name = "grey"
	}
	return fmt.Sprintf("%s%d@%s", name, n, domains[n%len(domains)])
}

// sender has a mailbox of its own, so that its notice can be told from others.
func sender(n int) string { return fmt.Sprintf("ann%d@example.org", n) }

// submitAll puts n messages into the queue and counts them; not faster than pace
// allows, which may be nil.
func submitAll(t *testing.T, q *queue.Queue, w *world, pace <-chan time.Time, n int, done *atomic.Int64) {
	domains := w.domains()
	numbers := make(chan int)
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for i := range numbers {
				env := smtpclient.Envelope{From: sender(i), To: []smtpclient.Recipient{{Address: recipient(i, domains)}}}
				content := fmt.Sprintf("From: %s\r\nSubject: Number %d\r\n\r\nHello.\r\n", env.From, i)
				if _, err := q.Submit(context.Background(), env, []byte(content)); err != nil {
					t.Errorf("message %d: %v", i, err)
				}
				done.Add(1)
			}
		})
	}
	for i := range n {
		if pace != nil {
			<-pace
		}
		numbers <- i
	}
	close(numbers)
	group.Wait()
}

// Three workers deliver 20,000 messages with a NATS cluster of three servers and
// Redis, while two of the workers and one of the servers are killed. Nobody goes
// without, nobody gets a message twice but those of whom it was reported that nobody
// knows, and the servers never see more connections than the fleet may have.
func TestCluster(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("FLEET_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("FLEET_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 15))

	sites, w := openSites(t, clusterSites, grey)
	urls, servers := startNATS(t, 3)
	config := workerConfig{
		NATS: urls, Redis: startRedis(t), World: w, Sessions: clusterSessions,
		Queue: queue.Settings{Shards: 12, Replicas: 3, AckWait: 5 * time.Second, Expire: time.Hour, Patience: time.Minute},
	}
	config.Name = "test"
	n, err := open(t.Context(), config.settings())
	t.Cleanup(n.close)
	if err != nil {
		t.Fatal(err)
	}
	var workers []*exec.Cmd
	for i := range 3 {
		config.Name = fmt.Sprint("worker", i)
		workers = append(workers, start(t, asWorker, config))
	}
	// Whom to kill, and when, as messages that were taken by a server.
	victims := []*exec.Cmd{workers[random.IntN(3)], servers[random.IntN(3)]}
	for len(victims) < 3 {
		if v := workers[random.IntN(3)]; v != victims[0] {
			victims = append(victims, v)
		}
	}
	random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	var submitted, delivered atomic.Int64
	begin := time.Now()
	var submitting sync.WaitGroup
	submitting.Go(func() { submitAll(t, n.queue, w, nil, clusterMessages, &submitted) })
	for i, v := range victims {
		when := clusterMessages/20 + i*clusterMessages/4 + random.IntN(clusterMessages/5)
		until(t, "the load goes on", func() bool {
			delivered.Store(int64(taken(sites)))
			return delivered.Load() >= int64(when)
		})
		t.Logf("%6.1f s: %d submitted, %d taken: killing %v", time.Since(begin).Seconds(), submitted.Load(), delivered.Load(), v.Process.Pid)
		if err := v.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	submitting.Wait()
	t.Logf("%6.1f s: all are submitted", time.Since(begin).Seconds())
	until(t, "the queue is empty", func() bool {
		left, err := n.queue.Len(t.Context())
		return err == nil && left == 0
	})
	t.Logf("%6.1f s: the queue is empty; %d connections", time.Since(begin).Seconds(), connections(sites))
	account(t, n.queue, sites, w)
}

// taken is how many messages the servers have read.
func taken(sites []*site) int {
	n := 0
	for _, s := range sites {
		n += int(s.messages.Load())
	}
	return n
}

// account holds what the servers got against what the queue says of each recipient.
func account(t *testing.T, q *queue.Queue, sites []*site, w *world) {
	t.Helper()
	times := got(sites)
	states := map[string]queue.State{}
	err := q.Records(t.Context(), func(id string, rec queue.Record) {
		if rec.Begun != nil || !rec.Done() {
			t.Errorf("job %s has not ended: %+v", id, rec)
		}
		for _, s := range rec.To {
			states[s.Address] = s
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	domains := w.domains()
	doubled, unknown, failed := 0, 0, 0
	for n := range clusterMessages {
		to := recipient(n, domains)
		want := 1
		if strings.HasPrefix(to, "nobody") {
			failed++
			want = 0
			checkNotice(t, times[sender(n)], states[sender(n)], sender(n))
		}
		s, ok := states[to]
		unknown += s.Unknown
		switch {
		case !ok || times[to] < want:
			t.Errorf("%s has got %d: %+v", to, times[to], s)
		case want == 0 && s.Last.Status != smtpclient.Failed || want == 1 && s.Last.Status != smtpclient.Delivered:
			t.Errorf("%s ended as %v", to, s.Last.Status)
		case times[to] > want+s.Unknown:
			t.Errorf("%s has got %d, and is said to be unknown %d times", to, times[to], s.Unknown)
		case times[to] > want:
			doubled++
		}
	}
	most := 0
	for i, s := range sites {
		most = max(most, s.most)
		if s.most > clusterSessions {
			t.Errorf("site %d has seen %d connections at the same time", i, s.most)
		}
		for _, v := range s.server.Violations() {
			t.Error(v)
		}
	}
	if most < clusterSessions {
		t.Errorf("at most %d connections at the same time: the cap of %d was not tried", most, clusterSessions)
	}
	t.Logf("%d failed, %d times unknown, %d of them delivered twice, %d connections for %d messages", failed, unknown, doubled, connections(sites), clusterMessages)
}

// checkNotice is about a sender who has to hear that somebody is unknown.
func checkNotice(t *testing.T, times int, s queue.State, address string) {
	if times < 1 || times > 1+s.Unknown {
		t.Errorf("the notice to %s came %d times: %+v", address, times, s)
	}
}
