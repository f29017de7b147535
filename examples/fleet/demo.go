package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/examples/fleet/policy"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
	"github.com/schollz/progressbar/v3"
)

const (
	demoSites    = 20
	demoDomains  = 50
	demoMessages = 3000
)

// demo is a load with all that happens to mail: each message has two recipients; some
// are unknown at their site, and their notices come back to example.org; two sites
// greylist, and one says now and then that it is busy.
type demo struct {
	world   *world
	servers []*smtptest.Server
}

// openDemo starts the servers.
func openDemo() (*demo, error) {
	d := &demo{world: &world{Domains: map[string]int{"example.org": 0}}}
	for site := range demoSites {
		s := &smtptest.Server{Script: script(site)}
		d.servers = append(d.servers, s)
		addr, err := s.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return d, err
		}
		d.world.Sites = append(d.world.Sites, addr.String())
	}
	for n := range demoDomains {
		d.world.Domains[fmt.Sprintf("d%d.example", n)] = n % demoSites
	}
	return d, nil
}

func (d *demo) close() {
	for _, s := range d.servers {
		s.Close()
	}
}

// script is how a site behaves.
func script(site int) func(smtptest.Command) smtptest.Action {
	greylist := smtptest.Greylist(time.Second)
	return func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody"):
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		case c.Verb == "RCPT" && site < 2 && !strings.Contains(c.Args, "example.org"):
			return greylist(c)
		case c.Verb == "MAIL" && site == 2 && c.Session%3 == 0:
			return smtptest.Action{Reply: "421 4.3.2 too busy, try again later"}
		}
		return smtptest.Action{}
	}
}

// envelope is that of message number n, the 50th of which is to somebody unknown.
func (d *demo) envelope(n int) smtpclient.Envelope {
	box := fmt.Sprintf("box%d", n)
	if n%50 == 0 {
		box = fmt.Sprintf("nobody%d", n)
	}
	return smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{
		{Address: fmt.Sprintf("%s@d%d.example", box, n%demoDomains)},
		{Address: fmt.Sprintf("box%d@d%d.example", n, (n*7+3)%demoDomains)},
	}}
}

// runDemo takes messages by SMTP and delivers them, until there is nothing left.
func runDemo(ctx context.Context, messages int, stdout, stderr io.Writer) error {
	d, err := openDemo()
	defer d.close()
	if err != nil {
		return err
	}
	s := &settings{listen: "127.0.0.1:0", name: "demo", grace: 5 * time.Second, log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	s.backoff = policy.Backoff{First: time.Second, Max: 4 * time.Second}
	s.limits = policy.Limits{Sessions: 8}
	s.queue.AckWait = 5 * time.Second
	d.world.lead(&s.client)
	n, err := open(ctx, s)
	defer n.close()
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.run(work) }()

	start := time.Now()
	submitted := make(chan error, 1)
	go func() { submitted <- d.submit(work, n.addr.String(), messages) }()
	failed := d.follow(work, n, 2*messages, submitted, stderr)
	took := time.Since(start)
	stop()
	if err := <-ended; failed == nil {
		failed = err
	}
	fmt.Fprintf(stdout, "%d messages in %.1f s, %.0f/s; %s\n", messages, took.Seconds(), float64(messages)/took.Seconds(), n.summary())
	return failed
}

// submit sends the load to our own port by SMTP.
func (d *demo) submit(ctx context.Context, addr string, messages int) error {
	pool := &smtpclient.Pool{PerDestination: 16}
	defer pool.Close(ctx)
	host, port, _ := strings.Cut(addr, ":")
	client := &smtpclient.Client{LocalName: "app.example.org", Pool: pool, TLS: tlspolicy.None,
		NextHops: []string{fmt.Sprintf("[%s]:%s", host, port)}}
	numbers := make(chan int)
	failed := make(chan error, messages)
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for n := range numbers {
				content := fmt.Sprintf("From: Ann <ann@example.org>\r\nSubject: Number %d\r\n\r\nHello.\r\n", n)
				if _, err := client.Deliver(ctx, d.envelope(n), smtpclient.Bytes([]byte(content))); err != nil {
					failed <- err
				}
			}
		})
	}
	for n := range messages {
		if ctx.Err() != nil {
			break
		}
		numbers <- n
	}
	close(numbers)
	group.Wait()
	close(failed)
	return <-failed
}

// follow shows how it goes until all is submitted and the queue is empty.
func (d *demo) follow(ctx context.Context, n *node, recipients int, submitted <-chan error, stderr io.Writer) error {
	bar := progressbar.NewOptions(recipients, progressbar.OptionSetWriter(stderr), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetVisibility(isTerminal(stderr)))
	defer bar.Finish()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case err := <-submitted:
			if err != nil {
				return err
			}
			submitted = nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		waiting, err := n.queue.Len(ctx)
		if err != nil || waiting == 0 && submitted == nil {
			return err
		}
		c := &n.worker.Stats
		bar.ChangeMax(recipients + int(c.Notices.Load()))
		_ = bar.Set(int(c.Delivered.Load() + c.Failed.Load() + c.Expired.Load()))
		bar.Describe(fmt.Sprintf("queue %d, sessions %d", waiting, n.pool.Stats().InUse))
		if !isTerminal(stderr) && round%20 == 0 {
			fmt.Fprintf(stderr, "queue: %d; %s\n", waiting, n.summary())
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
