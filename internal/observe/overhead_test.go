//go:build unix

package observe

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// sender is a Client that delivers to a sink by a domain's MX.
type sender struct {
	t      testing.TB
	client *smtpclient.Client
	pool   *smtpclient.Pool
}

// newSender gives one with or without a pool. The sink's host stands for that of a
// domain.
func newSender(t testing.TB, pooled bool, level tlspolicy.Level) *sender {
	t.Helper()
	sink := startSink(t)
	var dialer net.Dialer
	s := &sender{t: t, pool: &smtpclient.Pool{KeepAll: true, IdleTime: time.Minute, MaxUses: -1}}
	s.client = &smtpclient.Client{
		LocalName: "client.example.org",
		Resolver: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:   {MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}},
		},
		TLS: level, Cache: &cache.Memory{},
		Dialer: &smtpclient.Dialer{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, sink)
		}},
	}
	if pooled {
		s.client.Pool = s.pool
	}
	t.Cleanup(func() { s.pool.Close(context.Background()) })
	return s
}

var body = smtpclient.Bytes([]byte("From: ann@example.org\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\n" + string(make4k()) + "\r\n"))

func make4k() []byte {
	text := make([]byte, 4000)
	for i := range text {
		if text[i] = 'a' + byte(i%26); i%72 == 71 {
			text[i] = '\n'
		}
	}
	return text
}

func (s *sender) send(ctx context.Context) {
	if _, err := s.client.Deliver(ctx, smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@example.net"}}}, body); err != nil {
		s.t.Error(err)
	}
}

// cpu is what this process has used, in user and system mode.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOverhead gives the CPU of a delivery without adapters in µs, and what
// each set of adapters adds in percent and in µs.
func BenchmarkOverhead(b *testing.B) {
	for _, tt := range []struct {
		name   string
		pooled bool
		level  tlspolicy.Level
		n      int
	}{{"connection-TLS", false, tlspolicy.Encrypt, 50}, {"connection", false, tlspolicy.None, 300}, {"pool-TLS", true, tlspolicy.Encrypt, 1200}, {"pool", true, tlspolicy.None, 1200}} {
		b.Run(tt.name, func(b *testing.B) {
			s := newSender(b, tt.pooled, tt.level)
			off := smtpclient.WithQueueID(b.Context(), "3F9A2")
			s.busy(off, tt.n)
			for _, w := range waysOf(b, off, s.pool) {
				b.Run(w.name, func(b *testing.B) {
					for b.Loop() {
						report(b, s, [2]context.Context{off, w.ctx}, tt.n)
					}
				})
			}
		})
	}
}

// way is one set of adapters.
type way struct {
	name string
	ctx  context.Context
}

// waysOf are the sets: none, and a Trace that nobody listens to; all with one log, the modules without a log, both with every
// delivery sampled and with spans that the program chooses, and each adapter alone.
func waysOf(b *testing.B, ctx context.Context, pool *smtpclient.Pool) []way {
	list := append(adapters(b, pool, 0.01), sampledAll(b, pool))
	together := func(names ...string) context.Context {
		all := ctx
		for _, a := range list {
			if slices.Contains(names, a.name) {
				all = smtpclient.WithTrace(all, a.trace)
			}
		}
		return all
	}
	ways := []way{
		{"off", ctx}, // against itself: what the others cannot be told from
		{"nobody", smtpclient.WithTrace(ctx, &smtpclient.Trace{})},
		{"all", together("counters", "prometheus", "opentelemetry", "debug-page", "slog")},
		{"modules", together("counters", "prometheus", "opentelemetry", "debug-page")},
		{"all-postfix-log", together("counters", "prometheus", "opentelemetry", "debug-page", "postfix-log")},
		{"all-postfix-log-chosen", together("counters", "prometheus", "opentelemetry-chosen", "debug-page", "postfix-log")},
		{"all-chosen", together("counters", "prometheus", "opentelemetry-chosen", "debug-page", "slog")},
		{"all-sampled", together("counters", "prometheus", "opentelemetry-sampled", "debug-page", "slog")},
	}
	for _, a := range list {
		ways = append(ways, way{a.name, together(a.name)})
	}
	return ways
}

// report lets the two take turns, in an order by chance, and compares each pair. The
// median is told, since what else the machine does hits some pairs, and a mean of them;
// and the quartiles, which say how far to trust it.
func report(b *testing.B, s *sender, ctx [2]context.Context, n int) {
	const pairs = 100
	var off, more, percent []float64 // of a delivery
	for range pairs {
		var took [2]float64 // in µs
		for _, i := range rand.Perm(2) {
			took[i] = float64(s.busy(ctx[i], n).Nanoseconds()) / float64(n) / 1000
		}
		off = append(off, took[0])
		more = append(more, took[1]-took[0])
		percent = append(percent, 100*(took[1]/took[0]-1))
	}
	b.ReportMetric(0, "ns/op") // says nothing
	b.ReportMetric(quantile(off, 2), "off-µs")
	b.ReportMetric(quantile(more, 2), "more-µs")
	b.ReportMetric(quantile(percent, 2), "more-%")
	b.ReportMetric(quantile(percent, 1), "quarter-below-%")
	b.ReportMetric(quantile(percent, 3), "quarter-above-%")
}

// quantile is what quarter/4 of the list are below.
func quantile(list []float64, quarter int) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)*quarter/4]
}

// busy is the CPU that n deliveries take, of a program that has several under way.
func (s *sender) busy(ctx context.Context, n int) time.Duration {
	const workers = 10
	var sending sync.WaitGroup
	start := cpu()
	for range workers {
		sending.Go(func() {
			for range n / workers {
				s.send(ctx)
			}
		})
	}
	sending.Wait()
	return cpu() - start
}
