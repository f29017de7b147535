package smtpclient_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

const idleServerEnv = "POSTRIDER_IDLE_SERVER"

// TestIdleServer is the server of BenchmarkIdleSessions, in a process of its own: it
// ends with its standard input.
func TestIdleServer(t *testing.T) {
	if os.Getenv(idleServerEnv) == "" {
		return
	}
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening", addr)
	io.Copy(io.Discard, os.Stdin)
}

// idleServer starts it and gives its address.
func idleServer(b *testing.B) string {
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleServer$")
	cmd.Env = append(os.Environ(), idleServerEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !ok {
		b.Fatalf("the server said %q: %v", line, err)
	}
	return addr
}

// What ten thousand idle sessions cost, with the server in another process:
//
//	go test ./smtpclient -run '^$' -bench IdleSessions -benchtime 1x
func BenchmarkIdleSessions(b *testing.B) {
	for name, level := range map[string]tlspolicy.Level{"plain": tlspolicy.None, "TLS": tlspolicy.Encrypt} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				benchmarkIdle(b, level)
			}
		})
	}
}

func benchmarkIdle(b *testing.B, level tlspolicy.Level) {
	const n, workers = 10_000, 50
	addr := idleServer(b)
	pool := &smtpclient.Pool{KeepAll: true, IdleTime: time.Hour, MaxAge: time.Hour}
	client := smtpclient.Client{
		LocalName: "client.example.org", Pool: pool, Cache: cache.None, TLS: level,
		Dialer: &smtpclient.Dialer{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}},
	}
	goroutines, before := runtime.NumGoroutine(), heap()
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				c := client
				c.NextHops = []string{fmt.Sprintf("[192.0.2.%d]:%d", i%250, 1000+i)}
				if _, err := c.Deliver(b.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if s := pool.Stats(); s.Idle != n {
		b.Fatalf("%+v, want %d idle", s, n)
	}
	b.ReportMetric(float64(heap()-before)/n, "heap-B/session")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
	start := time.Now()
	if err := pool.Close(b.Context()); err != nil {
		b.Error(err)
	}
	b.ReportMetric(time.Since(start).Seconds(), "close-s")
	runtime.KeepAlive(client)
}
