package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/cache/rediscache"
	"github.com/postrider/postrider/examples/fleet/policy"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/examples/fleet/submission"
	"github.com/postrider/postrider/examples/fleet/worker"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/redislimit"
	"github.com/redis/go-redis/v9"
)

// settings say what one process is.
type settings struct {
	nats, dir, redis, listen, name string
	clients                        networks
	idle                           bool
	queue                          queue.Settings
	backoff                        policy.Backoff
	limits                         policy.Limits
	unknown                        worker.OnUnknown
	client                         smtpclient.Client
	lease                          time.Duration // of what is held in Redis; zero: 1 min
	alive                          time.Duration
	grace                          time.Duration
	log                            *slog.Logger
}

// networks is a flag.
type networks []netip.Prefix

func (n *networks) String() string { return "" }

// Set implements flag.Value.
func (n *networks) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return err
		}
		*n = append(*n, p)
	}
	return nil
}

// node is one process of the fleet, ready to work.
type node struct {
	queue  *queue.Queue
	worker *worker.Worker
	pool   *smtpclient.Pool
	addr   net.Addr // where mail is taken; nil: nowhere

	closers []func()
	listen  net.Listener
	backend *submission.Backend
	grace   time.Duration
	idle    bool
}

// open connects a process with all that the fleet shares. close belongs to it also
// after an error.
func open(ctx context.Context, s *settings) (*node, error) {
	n := &node{idle: s.idle, grace: s.grace}
	if n.grace <= 0 {
		n.grace = time.Minute
	}
	if s.name == "" {
		host, _ := os.Hostname()
		s.name = host + "-" + strings.ToLower(rand.Text()[:8])
	}
	if s.client.LocalName == "" {
		s.client.LocalName, _ = os.Hostname()
	}
	nc, err := n.connect(s)
	if err != nil {
		return n, err
	}
	if n.queue, err = queue.Open(ctx, nc, s.queue); err != nil {
		return n, err
	}
	client := s.client
	n.pool = &smtpclient.Pool{PerDestination: max(s.limits.Sessions, 0)}
	client.Pool = n.pool
	if err := n.share(s, &client); err != nil {
		return n, err
	}
	n.queue.Site = sites(&client)
	n.worker = &worker.Worker{
		Queue: n.queue, Conn: nc, Client: client, Name: s.name, ReportingMTA: client.LocalName,
		Backoff: s.backoff, Unknown: s.unknown, Alive: s.alive, Grace: n.grace, Log: s.log,
	}
	if s.listen != "" {
		n.backend = &submission.Backend{Queue: n.queue, Name: client.LocalName, Clients: s.clients}
		if n.listen, err = net.Listen("tcp", s.listen); err != nil {
			return n, err
		}
		n.addr = n.listen.Addr()
	}
	return n, nil
}

// connect reaches NATS, or runs a server here.
func (n *node) connect(s *settings) (nc *nats.Conn, err error) {
	if s.nats != "" {
		nc, err = queue.Connect(s.nats, s.name)
	} else {
		var srv *server.Server
		dir := s.dir
		if dir == "" {
			if dir, err = os.MkdirTemp("", "fleet"); err != nil {
				return nil, err
			}
			n.closers = append(n.closers, func() { os.RemoveAll(dir) })
		}
		if srv, nc, err = queue.Embed(dir); err == nil {
			n.closers = append(n.closers, func() {
				srv.Shutdown()
				srv.WaitForShutdown()
			})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	n.closers = append(n.closers, nc.Close)
	return nc, nil
}

// share gives a client what all processes have in common.
func (n *node) share(s *settings, c *smtpclient.Client) error {
	if s.redis == "" {
		c.Cache, c.Limiter = &cache.Memory{}, &smtpclient.LocalLimiter{Rules: s.limits.Rules}
		return nil
	}
	options, err := redis.ParseURL(s.redis)
	if err != nil {
		return fmt.Errorf("-redis: %w", err)
	}
	store := redis.NewClient(options)
	limiter := &redislimit.Limiter{Redis: store, Rules: s.limits.Rules, Lease: s.lease, Retry: time.Second}
	c.Cache, c.Limiter = &rediscache.Cache{Redis: store}, limiter
	n.closers = append(n.closers, func() {
		limiter.Close()
		store.Close()
	})
	return nil
}

// sites finds sites as the client does when it delivers. Where the DNS does not
// answer it is the domain: what is wrong then costs a session, and no mail.
func sites(c *smtpclient.Client) func(ctx context.Context, address string) string {
	routes := &resolve.Routes{Routing: c.Routing, Resolver: c.Resolver, Cache: c.Cache}
	return func(ctx context.Context, address string) string {
		domain := strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
		hop, err := resolve.ParseNextHop(domain)
		if err != nil {
			return domain
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		route, err := routes.Begin(ctx, hop)
		if err != nil {
			return domain
		}
		return route.Site()
	}
}

// run takes and delivers mail until ctx ends, and then what has begun to its end.
func (n *node) run(ctx context.Context) error {
	taken := make(chan error, 1)
	go func() {
		if n.listen == nil {
			taken <- nil
			return
		}
		taken <- submission.Serve(ctx, submission.Server(n.backend), n.listen, n.grace)
	}()
	var err error
	if n.idle {
		<-ctx.Done()
	} else {
		err = n.worker.Run(ctx)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = n.pool.Close(end)
	if failed := <-taken; err == nil {
		err = failed
	}
	return err
}

// close lets go of what open has taken, the last one first.
func (n *node) close() {
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
}

// serve is the program in earnest.
func serve(ctx context.Context, s *settings, stderr io.Writer) error {
	n, err := open(ctx, s)
	defer n.close()
	if err != nil {
		return err
	}
	if n.addr != nil {
		fmt.Fprintln(stderr, "taking mail at", n.addr)
	}
	end, stop := context.WithCancel(ctx)
	defer stop()
	go n.watch(end, stderr)
	return n.run(ctx)
}

// watch prints how it goes every ten seconds in which something has changed.
func (n *node) watch(ctx context.Context, out io.Writer) {
	last := ""
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if now := n.summary(); now != last {
			fmt.Fprintln(out, now)
			last = now
		}
	}
}

// summary says what this process has done.
func (n *node) summary() string {
	c, p := &n.worker.Stats, n.pool.Stats()
	return fmt.Sprintf("recipients: %d delivered, %d deferred, %d failed, %d expired, %d unknown; put off by limits: %d; notices: %d; dead letters: %d; connections: %d, reused %d times",
		c.Delivered.Load(), c.Deferred.Load(), c.Failed.Load(), c.Expired.Load(), c.Unknown.Load(), c.Refused.Load(), c.Notices.Load(), c.Buried.Load(), p.Dialed, p.Reused)
}
