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
// each adapter and all together add in percent.
func BenchmarkOverhead(b *testing.B) {
	for _, tt := range []struct {
		name   string
		pooled bool
		level  tlspolicy.Level
		n      int
	}{{"connection-and-TLS", false, tlspolicy.Encrypt, 30}, {"connection", false, tlspolicy.None, 100}, {"pool-TLS", true, tlspolicy.Encrypt, 300}, {"pool", true, tlspolicy.None, 300}} {
		b.Run(tt.name, func(b *testing.B) {
			s := newSender(b, tt.pooled, tt.level)
			ways := waysOf(smtpclient.WithQueueID(b.Context(), "3F9A2"), adapters(b, s.pool, 0.01))
			for b.Loop() {
				report(b, s, ways, tt.n)
			}
		})
	}
}

// way is one set of adapters.
type way struct {
	name string
	ctx  context.Context
}

// waysOf are none, each one, the modules without a log, and all with one log.
func waysOf(ctx context.Context, list []adapter) []way {
	ways := []way{{"off", ctx}}
	all := ctx
	for _, a := range list {
		ways = append(ways, way{a.name, smtpclient.WithTrace(ctx, a.trace)})
		switch a.name {
		case "slog": // the core's own, above the modules
			ways = append(ways, way{"modules", all})
		case "postfix-log": // a program has one log
			ways = append(ways, way{"all", all})
		}
		all = smtpclient.WithTrace(all, a.trace)
	}
	return ways
}

// report lets the ways take turns, in another order each time, and compares each with
// the one without adapters of the same turn. The median is told: what else the machine
// does hits some turns, and a mean of them.
func report(b *testing.B, s *sender, ways []way, n int) {
	const rounds = 60
	took := make([][]float64, len(ways)) // for one delivery, in µs
	for range rounds {
		for _, i := range rand.Perm(len(ways)) {
			took[i] = append(took[i], float64(s.busy(ways[i].ctx, n).Nanoseconds())/float64(n)/1000)
		}
	}
	b.ReportMetric(median(took[0]), "off-µs")
	for i, w := range ways[1:] {
		more := make([]float64, rounds)
		for round, off := range took[0] {
			more[round] = 100 * (took[i+1][round]/off - 1)
		}
		b.ReportMetric(median(more), w.name+"-%")
	}
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
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
