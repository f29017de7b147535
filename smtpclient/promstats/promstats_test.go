package promstats_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/promstats"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// world is a client whose mail for example.net goes to a server that refuses
// carol, has dave come again, and loses its connection behind what eve gets.
type world struct {
	client  *smtpclient.Client
	pool    *smtpclient.Pool
	limiter *smtpclient.LocalLimiter
	net     smtptest.Network
}

func newWorld() *world {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && bytes.Contains([]byte(c.Args), []byte("carol")):
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		case c.Verb == "RCPT" && bytes.Contains([]byte(c.Args), []byte("dave")):
			return smtptest.Action{Reply: "450 4.2.1 come again"}
		case c.Verb == smtptest.EndOfData && bytes.Contains(c.Message.Data, []byte("eve")):
			return smtptest.Action{Fault: smtptest.Drop}
		}
		return smtptest.Action{}
	}}
	w := &world{pool: &smtpclient.Pool{KeepAll: true, IdleTime: time.Minute}, limiter: &smtpclient.LocalLimiter{}, net: smtptest.Network{"192.0.2.10:25": server}}
	w.client = &smtpclient.Client{
		LocalName: "client.example.org",
		Resolver: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:       {MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}:     {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}},
			{Name: "nowhere.example", Type: resolve.TypeMX}:   {NoName: true},
			{Name: "nowhere.example", Type: resolve.TypeA}:    {NoName: true},
			{Name: "nowhere.example", Type: resolve.TypeAAAA}: {NoName: true},
		},
		Dialer: &smtpclient.Dialer{DialContext: w.net.DialContext}, Cache: &cache.Memory{}, Pool: w.pool, Limiter: w.limiter,
	}
	return w
}

func (w *world) close(ctx context.Context) {
	w.pool.Close(ctx)
	w.net.Close()
}

// send gives everybody a message of his own.
func (w *world) send(ctx context.Context, to ...string) {
	for _, address := range to {
		content := smtpclient.Bytes(fmt.Appendf(nil, "Subject: for %s\r\n\r\nHello.\r\n", address))
		w.client.Deliver(ctx, smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: address}}}, content)
	}
}

// everybody has one of each outcome, and two that are delivered.
var everybody = []string{"bob@example.net", "carol@example.net", "dave@example.net", "bob@nowhere.example", "frank@example.net", "eve@example.net"}

// samples are metrics by the text that the exposition has for it.
func samples(t *testing.T, g prometheus.Gatherer) (map[string]float64, []*dto.MetricFamily) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for i, l := range m.Label {
				sep := ","
				if i == 0 {
					sep = "{"
				}
				name += fmt.Sprintf("%s%s=%q", sep, l.GetName(), l.GetValue())
			}
			if len(m.Label) > 0 {
				name += "}"
			}
			switch {
			case m.Counter != nil:
				found[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				found[name] = m.Gauge.GetValue()
			case m.Histogram != nil:
				found[name] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return found, families
}

// What is measured is what happened.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.close(t.Context())
		s := promstats.New(promstats.Options{Pool: w.pool, Limiter: w.limiter})
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(s)
		ctx := smtpclient.WithTrace(t.Context(), s.Trace())
		w.send(ctx, everybody...)
		got, _ := samples(t, registry)
		for name, want := range map[string]float64{
			`postrider_recipients_total{group="example.net",outcome="delivered",stage="data-done"}`: 2,
			`postrider_recipients_total{group="example.net",outcome="failed",stage="rcpt"}`:         1,
			`postrider_recipients_total{group="example.net",outcome="deferred",stage="rcpt"}`:       1,
			`postrider_recipients_total{group="example.net",outcome="unknown",stage="data-done"}`:   1,
			`postrider_recipients_total{group="none",outcome="failed",stage="resolve"}`:             1,
			`postrider_recipients_tls_total{reached="encrypt",wanted="may"}`:                        2,
			`postrider_delivered_bytes_total`:                                                       float64(len("Subject: for bob@example.net\r\n\r\nHello.\r\n") + len("Subject: for frank@example.net\r\n\r\nHello.\r\n")),
			`postrider_delivery_duration_seconds{outcome="delivered"}`:                              2,
			`postrider_delivery_duration_seconds{outcome="failed"}`:                                 2,
			`postrider_delivery_duration_seconds{outcome="unknown"}`:                                1,
			`postrider_deliveries_active`:                                                           0,
			`postrider_stage_duration_seconds{result="failed",stage="resolve"}`:                     1,
			`postrider_stage_duration_seconds{result="ok",stage="connect"}`:                         1,
			`postrider_stage_duration_seconds{result="failed",stage="rcpt"}`:                        2,
			`postrider_pool_sessions{state="idle"}`:                                                 0,
			`postrider_pool_sessions{state="in_use"}`:                                               0,
			`postrider_pool_dialed_total`:                                                           1,
			`postrider_pool_reused_total`:                                                           4,
			`postrider_limiter_uses`:                                                                0,
			`postrider_limiter_granted_total`:                                                       6, // a connection, and five transactions without a limit
		} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s is %v (%v), want %v", name, value, ok, want)
			}
		}
	})
}

// A delivery that has not ended shows.
func TestActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.close(t.Context())
		s := promstats.New(promstats.Options{Pool: w.pool, Limiter: w.limiter})
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(s)
		w.net["192.0.2.10:25"] = nil // never answers
		ctx, cancel := context.WithTimeout(smtpclient.WithTrace(t.Context(), s.Trace()), time.Second)
		defer cancel()
		go w.send(ctx, "bob@example.net")
		synctest.Wait()
		for name, want := range map[string]float64{`postrider_deliveries_active`: 1, `postrider_pool_sessions{state="in_use"}`: 1, `postrider_limiter_uses`: 1} {
			if got, _ := samples(t, registry); got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		<-ctx.Done()
		synctest.Wait()
		if got, _ := samples(t, registry); got[`postrider_deliveries_active`] != 0 || got[`postrider_recipients_total{group="example.net",outcome="deferred",stage="connect"}`] != 1 {
			t.Errorf("after the end: %v", got)
		}
	})
}

// However many destinations there are, the series are bounded: each group has at
// most one for each status and stage.
func TestCardinality(t *testing.T) {
	const destinations, groups = 100_000, 20
	s := promstats.New(promstats.Options{Groups: &smtpclient.Groups{Most: groups}, Pool: &smtpclient.Pool{}, Limiter: &smtpclient.LocalLimiter{}})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s)
	before := 0
	trace := s.Trace()
	for i := range destinations {
		if i == 1000 {
			before = series(t, registry)
		}
		a := smtpclient.Attempt{Stage: smtpclient.StageDataDone, Host: fmt.Sprintf("mx.domain%d.example", i), Addr: "192.0.2.1:25", Reply: smtpclient.Reply{Code: 250}}
		r := &smtpclient.Report{Outcomes: []smtpclient.Outcome{{Status: smtpclient.Status(i % 4), Attempt: &a}}}
		trace.Begin(t.Context(), nil, nil)
		trace.Took(t.Context(), smtpclient.Took{Stage: a.Stage})
		trace.End(t.Context(), nil, r)
	}
	got, _ := samples(t, registry)
	sum, other := 0.0, 0.0
	for status := range smtpclient.Failed + 1 {
		name := fmt.Sprintf(`{group="other",outcome=%q,stage="data-done"}`, status)
		other += got["postrider_recipients_total"+name]
	}
	counted := 0
	for name, value := range got {
		if bytes.HasPrefix([]byte(name), []byte("postrider_recipients_total{")) {
			sum += value
			counted++
		}
	}
	if sum != destinations || other != destinations-groups {
		t.Errorf("%v recipients were counted, %v of them as other; want %d and %d", sum, other, destinations, destinations-groups)
	}
	if counted > groups+4 {
		t.Errorf("%d series of recipients; want %d at most", counted, groups+4)
	}
	if after := series(t, registry); after != before {
		t.Errorf("%d series behind 1,000 destinations, and %d behind %d", before, after, destinations)
	}
}

func series(t *testing.T, g prometheus.Gatherer) int {
	t.Helper()
	found, _ := samples(t, g)
	return len(found)
}

// exposition is the text of a registry with everything in it.
func exposition(t *testing.T) []byte {
	t.Helper()
	var text bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.close(t.Context())
		s := promstats.New(promstats.Options{Pool: w.pool, Limiter: w.limiter})
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(s)
		w.send(smtpclient.WithTrace(t.Context(), s.Trace()), everybody...)
		_, families := samples(t, registry)
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
				t.Fatal(err)
			}
		}
	})
	return text.Bytes()
}
