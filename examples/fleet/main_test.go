package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/postrider/postrider/examples/fleet/policy"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// The test binary is also the processes of the cluster test.
const (
	asNATS   = "FLEET_AS_NATS"   // a NATS server: its natsConfig
	asWorker = "FLEET_AS_WORKER" // a worker: its workerConfig
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asNATS) != "":
		exit(beNATS(os.Getenv(asNATS)))
	case os.Getenv(asWorker) != "":
		exit(beWorker(os.Getenv(asWorker)))
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// natsConfig is that of one of the servers of a cluster.
type natsConfig struct {
	Name, Dir     string
	Port, Cluster int
	Routes        string
}

func beNATS(config string) error {
	var c natsConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	options := &server.Options{ServerName: c.Name, Host: "127.0.0.1", Port: c.Port, JetStream: true, StoreDir: c.Dir}
	if c.Cluster != 0 {
		options.Cluster = server.ClusterOpts{Name: "fleet", Host: "127.0.0.1", Port: c.Cluster}
		options.Routes = server.RoutesFromStr(c.Routes)
	}
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.Start()
	s.WaitForShutdown()
	return nil
}

// workerConfig is that of one worker.
type workerConfig struct {
	Name, NATS, Redis string
	Queue             queue.Settings
	Sessions          int
	Alive             time.Duration // zero: 500 ms
	World             *world
}

func (c *workerConfig) settings() *settings {
	s := &settings{nats: c.NATS, redis: c.Redis, name: c.Name, queue: c.Queue, alive: cmp.Or(c.Alive, 500*time.Millisecond),
		lease: 20 * time.Second, log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
	s.backoff = policy.Backoff{First: 2 * time.Second, Max: 4 * time.Second}
	s.limits = policy.Limits{Sessions: c.Sessions}
	c.World.lead(&s.client)
	s.client.LocalName = c.Name + ".example.org" // by which sites tell workers from each other
	return s
}

func beWorker(config string) error {
	var c workerConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := open(ctx, c.settings())
	defer n.close()
	if err != nil {
		return err
	}
	return n.run(ctx)
}

// start runs the test binary as something else, until the end of the test at most.
func start(t *testing.T, as string, config any) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), as+"="+string(text))
	return spawn(t, p)
}

// spawn starts a process that ends with the test.
func spawn(t *testing.T, p *exec.Cmd) *exec.Cmd {
	t.Helper()
	p.Stderr = os.Stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	return p
}

// freePorts are n ports below those that the system gives to clients.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range 1000 {
		port := 20000 + rand.IntN(10000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("no free ports")
	return nil
}

// startNATS runs a real server or a cluster of them, and gives the URLs of all.
func startNATS(t *testing.T, servers int) (urls string, processes []*exec.Cmd) {
	t.Helper()
	ports := freePorts(t, 2*servers)
	var clients, routes []string
	for i := range servers {
		clients = append(clients, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[servers+i]))
	}
	dir := t.TempDir()
	for i := range servers {
		c := natsConfig{Name: fmt.Sprint("n", i), Dir: filepath.Join(dir, fmt.Sprint(i)), Port: ports[i]}
		if servers > 1 {
			c.Cluster, c.Routes = ports[servers+i], strings.Join(routes, ",")
		}
		processes = append(processes, start(t, asNATS, c))
	}
	return strings.Join(clients, ","), processes
}

// startRedis runs Debian's redis-server, and gives its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is needed (Debian: apt-get install redis-server): ", err)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	spawn(t, exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir, "--loglevel", "warning"))
	until(t, "redis-server answers", func() bool {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return "unix://" + socket
}

// until waits for something, for a few minutes at most.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	end := time.NewTimer(10 * time.Minute)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatal("it did not come to pass: ", what)
		}
	}
}

// Without arguments it shows what it does. Where standard error is no terminal there
// is no bar.
func TestWithoutArguments(t *testing.T) {
	var out, errs bytes.Buffer
	if err := runDemo(t.Context(), 300, &out, &errs); err != nil {
		t.Fatal(err)
	}
	// Of 600 recipients 6 are unknown, and as many notices come back.
	for _, want := range []string{"300 messages in ", "recipients: 600 delivered, ", " 6 failed, 0 expired, 0 unknown; ", "; notices: 6; dead letters: 0; "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s%s", want, out.String(), errs.String())
		}
	}
}

func TestUsage(t *testing.T) {
	for arg, want := range map[string]string{
		"-no-such-flag": "flag provided but not defined",
		"argument":      `"argument" is no flag`,
		"-clients=here": "invalid value",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{arg}, &out, &errs); code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit %d, %s", arg, code, errs.String())
		}
	}
}

// With flags it is a relay, which takes mail and ends well.
func TestRelay(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	errs := &notes{}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-listen", "127.0.0.1:0", "-helo", "relay.example.org", "-no-work"}, errs, errs)
	}()
	var addr string
	until(t, "it says where it takes mail", func() bool {
		_, rest, ok := strings.Cut(errs.String(), "taking mail at ")
		addr = strings.TrimSpace(rest)
		return ok && strings.HasSuffix(rest, "\n")
	})
	host, port, _ := strings.Cut(addr, ":")
	client := &smtpclient.Client{LocalName: "app.example.org", TLS: tlspolicy.None, NextHops: []string{"[" + host + "]:" + port}}
	env := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@[192.0.2.1]"}}} // which needs no DNS
	if _, err := client.Deliver(ctx, env, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n"))); err != nil {
		t.Error(err)
	}
	stop()
	if c := <-code; c != 0 {
		t.Errorf("exit %d: %s", c, errs)
	}
}

// notes is what somebody writes while another reads.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}
