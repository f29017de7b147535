//go:build unix

package observe

import (
	"context"
	"net"
	"net/netip"
	"slices"
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
	_, err := s.client.Deliver(ctx, smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@example.net"}}}, body)
	if err != nil {
		s.t.Fatal(err)
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
// each adapter and all together add in percent: the median of rounds in which each
// has its turn.
func BenchmarkOverhead(b *testing.B) {
	for _, tt := range []struct {
		name   string
		pooled bool
		level  tlspolicy.Level
		n      int
	}{{"connection-and-TLS", false, tlspolicy.Encrypt, 10}, {"connection", false, tlspolicy.None, 50}, {"pool-TLS", true, tlspolicy.Encrypt, 100}, {"pool", true, tlspolicy.None, 100}} {
		b.Run(tt.name, func(b *testing.B) {
			s := newSender(b, tt.pooled, tt.level)
			list := adapters(b, s.pool, 0.01)
			all := b.Context()
			ways := []way{{"off", b.Context()}}
			for _, a := range list {
				ways = append(ways, way{a.name, smtpclient.WithTrace(b.Context(), a.trace)})
				all = smtpclient.WithTrace(all, a.trace)
			}
			ways = append(ways, way{"all", all})
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

func report(b *testing.B, s *sender, ways []way, n int) {
	const rounds = 101
	took := make([][]float64, len(ways))
	for range rounds {
		for i, w := range ways {
			start := cpu()
			for range n {
				s.send(w.ctx)
			}
			took[i] = append(took[i], float64(cpu()-start)/float64(n)/1000)
		}
	}
	for i, w := range ways {
		if i == 0 {
			b.ReportMetric(median(took[0]), "off-µs")
			continue
		}
		ratios := make([]float64, rounds)
		for round := range rounds {
			ratios[round] = 100 * (took[i][round]/took[0][round] - 1)
		}
		b.ReportMetric(median(ratios), w.name+"-%")
	}
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
