package redislimit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/limitertest"
	"github.com/redis/go-redis/v9"
)

// socket is where the real redis-server of these tests listens.
var socket string

// TestMain runs a real redis-server for all tests. It is also the other processes
// of TestThreeProcesses.
func TestMain(m *testing.M) {
	if os.Getenv("REDISLIMIT_SOCKET") != "" {
		if err := compete(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	socket = filepath.Join(dir, "redis.sock")
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		fmt.Println("redis-server is needed (Debian: apt-get install redis-server):", err)
		return 1
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	client := dial(socket)
	defer client.Close()
	if err := until(func() error { return client.Ping(context.Background()).Err() }); err != nil {
		fmt.Println("redis-server does not answer:", err)
		return 1
	}
	return m.Run()
}

func dial(at string) *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: at})
}

// until tries as long as there is an error, for a minute.
func until(try func() error) error {
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-end.C:
			return err
		}
	}
}

func open(t *testing.T, rules func(smtpclient.Use) []smtpclient.Limit) *Limiter {
	t.Helper()
	client := dial(socket)
	t.Cleanup(func() { client.Close() })
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	l := &Limiter{Redis: client, Prefix: t.Name() + ":", Rules: rules, Timeout: time.Minute}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// ten is the cap of these tests.
func ten(smtpclient.Use) []smtpclient.Limit { return []smtpclient.Limit{{Key: "cap", Max: 10}} }

func TestRules(t *testing.T) {
	limitertest.Test(t, func(t *testing.T, rules func(smtpclient.Use) []smtpclient.Limit) smtpclient.Limiter {
		return open(t, rules)
	})
}

// gate is what all processes go through: it counts who is within.
type gate struct {
	net.Listener
	mu        sync.Mutex
	now, most int
	seen      map[string]int // by the name of the process
}

// count serves one visitor, who names itself, is within until it says something
// more or dies, and then waits until it is counted out.
func (g *gate) count(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	name, err := r.ReadString('\n')
	if err != nil {
		return
	}
	g.add(strings.TrimSpace(name), 1)
	fmt.Fprintln(conn, "in")
	_, _ = r.ReadString('\n')
	g.add("", -1)
	fmt.Fprintln(conn, "out")
}

func (g *gate) add(name string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
	if n > 0 {
		g.seen[name]++
	}
}

func (g *gate) visits(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[name]
}

func openGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "gate"))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, seen: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { g.count(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return g
}

// visit goes through the gate; ask says when to go out again.
func visit(gate, name string, stay func()) error {
	conn, err := net.Dial("unix", gate)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i, say := range []string{name, "bye"} {
		fmt.Fprintln(conn, say)
		if _, err := r.ReadString('\n'); err != nil {
			return err
		}
		if i == 0 {
			stay()
		}
	}
	return nil
}

// compete is what each of the other processes does: eight at the same time go
// through the gate, each with a lease. One that hangs stays within.
func compete() error {
	name := os.Getenv("REDISLIMIT_NAME")
	client := dial(os.Getenv("REDISLIMIT_SOCKET"))
	defer client.Close()
	l := &Limiter{Redis: client, Prefix: os.Getenv("REDISLIMIT_PREFIX"), Rules: ten, Lease: shortLease, Timeout: time.Minute}
	skew, err := time.ParseDuration(os.Getenv("REDISLIMIT_SKEW"))
	if err != nil {
		return err
	}
	l.now = func() time.Time { return time.Now().Add(skew) }
	visits, stay := 150, func() {}
	if name == "hanging" {
		visits, stay = 1, func() { select {} }
	}
	var wg sync.WaitGroup
	failed := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			for range visits {
				if err := l.visit(name, stay); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return errors.Join(<-failed, l.Close())
}

// visit goes through the gate once it has a lease.
func (l *Limiter) visit(name string, stay func()) error {
	var lease smtpclient.Lease
	err := until(func() (err error) {
		lease, err = l.Acquire(context.Background(), smtpclient.Use{})
		var refused *smtpclient.RefusedError
		if errors.As(err, &refused) {
			if wait := refused.NotBefore.Sub(l.clock()); wait <= 0 || wait > 10*time.Second {
				return fmt.Errorf("%s is to come back in %v by its own clock", name, wait)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	defer lease.Release()
	lease.Report(smtpclient.Used)
	return visit(os.Getenv("REDISLIMIT_GATE"), name, stay)
}

// shortLease can be waited for. A process that stands still for two thirds of it, as on
// a machine that is busy, loses what it holds, and these tests fail.
const shortLease = 5 * time.Second

// process starts another process that competes.
func process(t *testing.T, g *gate, prefix, name string, skew time.Duration) *exec.Cmd {
	t.Helper()
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), "REDISLIMIT_SOCKET="+socket, "REDISLIMIT_PREFIX="+prefix, "REDISLIMIT_NAME="+name,
		"REDISLIMIT_GATE="+g.Addr().String(), "REDISLIMIT_SKEW="+skew.String())
	p.Stdout, p.Stderr = os.Stderr, os.Stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	return p
}

// Three processes under a cap of ten never exceed it, whatever their clocks say,
// while another one that holds eight of them is killed: its leases come back.
func TestThreeProcesses(t *testing.T) {
	l, g := open(t, ten), openGate(t)
	// It has all that it can hold, and lives on for longer than a lease.
	hanging := process(t, g, l.Prefix, "hanging", 0)
	if err := until(func() error {
		if n := g.visits("hanging"); n < 8 {
			return fmt.Errorf("%d of 8 are within", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	names := map[string]time.Duration{"right": 0, "fast": 3 * time.Hour, "slow": -400 * 24 * time.Hour}
	var others []*exec.Cmd
	for name, skew := range names {
		others = append(others, process(t, g, l.Prefix, name, skew))
	}
	pass(t, l, shortLease*3/2)
	if err := hanging.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, p := range others {
		if err := p.Wait(); err != nil {
			t.Errorf("a process failed: %v", err)
		}
	}
	// Without those of the one that is dead there would be two.
	var leases []smtpclient.Lease
	if err := until(func() error {
		lease, err := l.Acquire(t.Context(), smtpclient.Use{})
		if err != nil {
			return err
		}
		if leases = append(leases, lease); len(leases) < 10 {
			return fmt.Errorf("%d leases", len(leases))
		}
		return nil
	}); err != nil {
		t.Errorf("the leases of the process that was killed did not come back: %v", err)
	}
	for _, lease := range leases {
		lease.Release()
	}
	if g.most > 10 || g.most < 9 {
		t.Errorf("%d were within at the same time, want 10", g.most)
	}
	for name := range names {
		if n := g.visits(name); n != 8*150 {
			t.Errorf("%s went through %d times, want %d", name, n, 8*150)
		}
	}
}

// pass waits until the server's clock has moved on.
func pass(t *testing.T, l *Limiter, d time.Duration) {
	t.Helper()
	start, err := l.Redis.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	err = until(func() error {
		now, err := l.Redis.Time(t.Context()).Result()
		if err == nil && now.Sub(start) < d {
			err = fmt.Errorf("%v have passed", now.Sub(start))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A lease that is held is renewed, also where Redis has lost it.
func TestRenewed(t *testing.T) {
	l := open(t, func(smtpclient.Use) []smtpclient.Limit { return []smtpclient.Limit{{Key: "one", Max: 1}} })
	l.Lease = shortLease
	lease, err := l.Acquire(t.Context(), smtpclient.Use{})
	if err != nil {
		t.Fatal(err)
	}
	pass(t, l, shortLease*3/2)
	if _, err := l.Acquire(t.Context(), smtpclient.Use{}); err == nil {
		t.Error("a lease that is held has run out")
	}
	if err := l.Redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := until(func() error {
		n, err := l.Redis.ZCard(t.Context(), l.key(smtpclient.Limit{Key: "one"})).Result()
		if err == nil && n != 1 {
			err = fmt.Errorf("%d leases", n)
		}
		return err
	}); err != nil {
		t.Errorf("what Redis has lost was not put back: %v", err)
	}
	lease.Release()
	there := func() error {
		n, err := l.Redis.Exists(t.Context(), l.key(smtpclient.Limit{Key: "one"})).Result()
		if err == nil && n != 0 {
			err = errors.New("it is there")
		}
		return err
	}
	if err := until(there); err != nil {
		t.Errorf("a lease that was given back: %v", err)
	}
	pass(t, l, shortLease/2)
	if err := there(); err != nil {
		t.Errorf("a lease that was given back, after the time to renew it: %v", err)
	}
}

// A lease that is held is renewed also by a process that gives others back without end.
func TestRenewedWhileBusy(t *testing.T) {
	l := open(t, func(u smtpclient.Use) []smtpclient.Limit { return []smtpclient.Limit{{Key: u.Site, Max: 1000}} })
	l.Lease = shortLease
	if _, err := l.Acquire(t.Context(), smtpclient.Use{Site: "held"}); err != nil {
		t.Fatal(err)
	}
	// Whenever one is given back there is another one by the time that is done.
	next := func() {
		lease, err := l.Acquire(t.Context(), smtpclient.Use{Site: "short"})
		if err == nil {
			lease.Report(smtpclient.Used)
			lease.(interface{ giveBack() }).giveBack()
		}
	}
	l.Redis.AddHook(releasing{next})
	next()
	pass(t, l, shortLease*3/2)
	n, err := l.Redis.ZCard(t.Context(), l.key(smtpclient.Limit{Key: "held"})).Result()
	if err != nil || n != 1 {
		t.Errorf("the lease that is held is there %d times; %v", n, err)
	}
}

// releasing calls a function whenever something is given back.
type releasing struct{ call func() }

func (r releasing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r releasing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); len(args) > 1 && args[1] == releaseScript.Hash() {
			r.call()
		}
		return next(ctx, cmd)
	}
}

func (r releasing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Nothing stays in Redis for longer than it counts, and no goroutine runs where
// nothing is held.
func TestNothingIsLeft(t *testing.T) {
	l := open(t, func(smtpclient.Use) []smtpclient.Limit {
		return []smtpclient.Limit{{Key: "together", Max: 3}, {Key: "rate", Max: 1000, Per: time.Second}}
	})
	before := runtime.NumGoroutine()
	lease, err := l.Acquire(t.Context(), smtpclient.Use{})
	if err != nil {
		t.Fatal(err)
	}
	lease.Report(smtpclient.Worked)
	lease.Release()
	if err := until(func() error {
		if n := l.Redis.DBSize(t.Context()).Val(); n != 0 {
			return fmt.Errorf("%d keys", n)
		}
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d goroutines, %d before", n, before)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// Close gives back what is held, and nothing is granted after it.
func TestClose(t *testing.T) {
	l := open(t, ten)
	for range 10 {
		if _, err := l.Acquire(t.Context(), smtpclient.Use{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := l.Redis.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys after Close", n)
	}
	if _, err := l.Acquire(t.Context(), smtpclient.Use{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Where Redis is away or silent nobody waits longer than Timeout or his ctx, and
// Down decides if it is there.
func TestServerAway(t *testing.T) {
	silent := &Limiter{Rules: ten, Timeout: time.Hour, Redis: redis.NewClient(&redis.Options{Dialer: silentServer(t), ReadTimeout: time.Minute, MaxRetries: -1})}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() {
		_, err := silent.Acquire(ctx, smtpclient.Use{})
		asked <- err
	}()
	cancel()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("a silent server: %v", err)
	}
	silent.Timeout = time.Millisecond
	var refused *smtpclient.RefusedError
	if _, err := silent.Acquire(t.Context(), smtpclient.Use{}); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &refused) {
		t.Errorf("a silent server: %v", err)
	}

	nobody := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(t.TempDir(), "nobody.sock"), MaxRetries: -1})
	defer nobody.Close()
	away := &Limiter{Redis: nobody, Rules: ten, Down: &smtpclient.LocalLimiter{Rules: func(smtpclient.Use) []smtpclient.Limit {
		return []smtpclient.Limit{{Key: "share", Max: 2}}
	}}}
	for i := range 3 {
		lease, err := away.Acquire(t.Context(), smtpclient.Use{})
		if granted := err == nil; granted != (i < 2) {
			t.Errorf("use %d: %v", i, err)
		}
		if err == nil {
			defer lease.Release()
		} else if !errors.As(err, &refused) || refused.Key != "share" {
			t.Errorf("use %d: %v", i, err)
		}
	}
}

// What was granted to somebody who had gone meanwhile is given back.
func TestGrantedTooLate(t *testing.T) {
	l := open(t, ten)
	hold := make(chan struct{})
	l.Redis.AddHook(holding{hold})
	l.Timeout = 10 * time.Millisecond
	for range 12 {
		if _, err := l.Acquire(t.Context(), smtpclient.Use{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("while Redis is held up: %v", err)
		}
	}
	close(hold)
	l.Timeout = time.Minute
	var leases []smtpclient.Lease
	if err := until(func() error {
		lease, err := l.Acquire(t.Context(), smtpclient.Use{})
		if err != nil {
			return err
		}
		if leases = append(leases, lease); len(leases) < 10 {
			return fmt.Errorf("%d leases", len(leases))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// holding answers nobody until it is let go. What was asked is done before.
type holding struct{ until chan struct{} }

func (h holding) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h holding) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		<-h.until
		return err
	}
}

func (h holding) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// silentServer gives connections on which nothing ever comes back.
func silentServer(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		go func() {
			b := make([]byte, 1024)
			for {
				if _, err := theirs.Read(b); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}
}

// Rates far above one in a second are kept to, in microseconds.
func TestFineRates(t *testing.T) {
	l := open(t, func(smtpclient.Use) []smtpclient.Limit {
		return []smtpclient.Limit{{Key: "fine", Max: 400, Per: time.Second}}
	})
	start, err := l.Redis.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	const uses = 200
	var waits time.Duration
	for range uses {
		if err := until(func() error {
			lease, err := l.Acquire(t.Context(), smtpclient.Use{})
			if err == nil {
				lease.Report(smtpclient.Used)
				lease.Release()
				return nil
			}
			var refused *smtpclient.RefusedError
			if errors.As(err, &refused) {
				waits = max(waits, time.Until(refused.NotBefore))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	end, err := l.Redis.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if took, least := end.Sub(start), (uses-1)*2500*time.Microsecond; took < least {
		t.Errorf("%d uses at 400 a second took %v of the server's clock, want %v at least", uses, took, least)
	}
	if waits > 2500*time.Microsecond {
		t.Errorf("told to wait for %v, which is longer than from one to the next", waits)
	}
}
