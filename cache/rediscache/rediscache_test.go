package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/cache/cachetest"
	"github.com/postrider/postrider/cache/rediscache"
	"github.com/redis/go-redis/v9"
)

// socket is where the real redis-server of these tests listens.
var socket string

// TestMain runs a real redis-server for all tests. It is also the second process
// of TestTwoProcesses.
func TestMain(m *testing.M) {
	if at := os.Getenv("REDISCACHE_SOCKET"); at != "" {
		share(at)
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
	if err := ready(client); err != nil {
		fmt.Println("redis-server does not answer:", err)
		return 1
	}
	return m.Run()
}

func dial(at string) *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: at})
}

// ready waits until the server answers.
func ready(client *redis.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := client.Ping(ctx).Err()
		if err == nil || ctx.Err() != nil {
			return err
		}
		<-tick.C
	}
}

func open(t *testing.T) *rediscache.Cache {
	t.Helper()
	client := dial(socket)
	t.Cleanup(func() { client.Close() })
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return &rediscache.Cache{Redis: client, Prefix: t.Name() + ":"}
}

func TestRules(t *testing.T) {
	cachetest.Test(t, func(t *testing.T) cache.Cache { return open(t) })
}

// share is what each process of TestTwoProcesses does: it takes turns with the
// other one, each reading what the other wrote.
func share(at string) {
	client := dial(at)
	defer client.Close()
	if err := takeTurns(&rediscache.Cache{Redis: client, Prefix: os.Getenv("REDISCACHE_PREFIX")}, "pong", "ping"); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func takeTurns(c *rediscache.Cache, mine, theirs string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for i := range 100 {
		if err := c.Set(ctx, mine, fmt.Appendf(nil, "%s %d", mine, i), time.Minute); err != nil {
			return err
		}
		want := fmt.Sprintf("%s %d", theirs, i)
		for {
			v, _, err := c.Get(ctx, theirs)
			if err != nil {
				return err
			}
			var n int
			fmt.Sscanf(string(v), theirs+" %d", &n)
			if string(v) == want || n > i {
				break
			}
		}
	}
	return nil
}

// Two processes see what the other one writes.
func TestTwoProcesses(t *testing.T) {
	c := open(t)
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), "REDISCACHE_SOCKET="+socket, "REDISCACHE_PREFIX="+c.Prefix)
	var out strings.Builder
	other.Stdout, other.Stderr = &out, &out
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if err := takeTurns(c, "ping", "pong"); err != nil {
		t.Error(err)
	}
	if err := other.Wait(); err != nil {
		t.Errorf("the other process: %v: %s", err, out.String())
	}
}

// One Loader in each of two programs loads once for both.
func TestSharedByLoaders(t *testing.T) {
	c, loads := open(t), 0
	for range 2 {
		l := cache.Loader[string]{Cache: c, Prefix: "l1:", Load: func(context.Context, string) (string, cache.Life, error) {
			loads++
			return "value", cache.Life{Fresh: time.Minute}, nil
		}}
		if v, err := l.Get(t.Context(), "key"); v != "value" || err != nil {
			t.Fatalf("%q, %v", v, err)
		}
	}
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
}

// A server that is away or silent is an error, and never holds a caller longer
// than his ctx.
func TestServerAway(t *testing.T) {
	nobody := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(t.TempDir(), "nobody.sock"), MaxRetries: -1})
	defer nobody.Close()
	c := &rediscache.Cache{Redis: nobody}
	if _, ok, err := c.Get(t.Context(), "k"); ok || err == nil {
		t.Errorf("Get: %v, %v", ok, err)
	}
	if err := c.Set(t.Context(), "k", nil, time.Minute); err == nil {
		t.Error("Set: no error")
	}

	silent := &rediscache.Cache{Redis: redis.NewClient(&redis.Options{Dialer: silentServer(t), ReadTimeout: time.Hour, DialTimeout: time.Hour})}
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := make(chan error)
	go func() {
		_, _, err := silent.Get(ctx, "k")
		asked <- err
	}()
	cancel(errors.New("enough"))
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("a silent server: %v", err)
	}
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
