// Package promstats measures postrider's smtpclient for Prometheus. Beside it are
// dashboard.json for Grafana and alerts.yml.
//
//	stats := promstats.New(promstats.Options{Pool: client.Pool})
//	prometheus.MustRegister(stats)
//	ctx = smtpclient.WithTrace(ctx, stats.Trace())
//
// The metrics, in seconds and bytes:
//
//	postrider_recipients_total{outcome, stage, group}    counter    verdicts
//	postrider_recipients_tls_total{wanted, reached}      counter    delivered recipients, by tlspolicy.State
//	postrider_delivered_bytes_total                      counter    sizes of messages, for each recipient that is delivered
//	postrider_delivery_duration_seconds{outcome}         histogram  of calls of Deliver, by their worst outcome
//	postrider_deliveries_active                          gauge      calls that have not ended
//	postrider_stage_duration_seconds{stage, result}      histogram  result: ok, failed
//	postrider_pool_sessions{state}                       gauge      state: idle, in_use
//	postrider_pool_waiting_deliveries                    gauge
//	postrider_pool_dialed_total, _reused_total, _dropped_total    counters; see smtpclient.PoolStats
//	postrider_limiter_uses, _waiting_uses, _resting_destinations, _limits    gauges; see smtpclient.LimiterStats
//	postrider_limiter_granted_total, _refused_total      counters
//
// outcome, stage, wanted and reached have few values. group names destinations, and
// has as many as Options.Groups allows, "other" and "none". Two Stats in one registry
// need labels that tell them apart: prometheus.WrapRegistererWith.
package promstats

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/smtpclient"
)

// Options say what is measured. The zero value is ready.
type Options struct {
	Pool    *smtpclient.Pool         // nil: none
	Limiter *smtpclient.LocalLimiter // nil: none
	// Groups names destinations. nil: a zero smtpclient.Groups, which is the server's
	// domain, for 100 of them.
	Groups *smtpclient.Groups
}

// Stats measures the calls whose ctx carries its Trace. It is a
// prometheus.Collector.
type Stats struct {
	options Options
	list    []prometheus.Collector

	recipients *prometheus.CounterVec
	tls        *prometheus.CounterVec
	bytes      prometheus.Counter
	active     prometheus.Gauge
	since      time.Time
	stages     [smtpclient.StageQuit + 1][len(results)]timing
	durations  [smtpclient.Failed + 1]timing

	verdicts verdicts
}

// results are those of a stage.
var results = [...]string{"ok", "failed"}

var (
	durationDesc = prometheus.NewDesc("postrider_delivery_duration_seconds", "Duration of deliveries, by their worst outcome.", []string{"outcome"}, nil)
	stageDesc    = prometheus.NewDesc("postrider_stage_duration_seconds", "Duration of the stages of deliveries.", []string{"stage", "result"}, nil)
)

// New gives a Stats, which is to be registered.
func New(o Options) *Stats {
	if o.Groups == nil {
		o.Groups = &smtpclient.Groups{}
	}
	s := &Stats{options: o, since: time.Now()}
	s.recipients = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postrider_recipients_total", Help: "Recipients with a verdict, by the stage where it fell and the destination."},
		[]string{"outcome", "stage", "group"})
	s.tls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postrider_recipients_tls_total", Help: "Delivered recipients, by the level of TLS that was wanted and reached."},
		[]string{"wanted", "reached"})
	s.bytes = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "postrider_delivered_bytes_total", Help: "Sizes of messages, for each recipient that was delivered."})
	s.active = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "postrider_deliveries_active", Help: "Deliveries that have not ended."})
	s.list = []prometheus.Collector{s.recipients, s.tls, s.bytes, s.active}
	if o.Pool != nil {
		s.list = append(s.list, poolCollector{o.Pool})
	}
	if o.Limiter != nil {
		s.list = append(s.list, limiterCollector{o.Limiter})
	}
	return s
}

// Describe implements prometheus.Collector.
func (s *Stats) Describe(ch chan<- *prometheus.Desc) {
	ch <- durationDesc
	ch <- stageDesc
	for _, c := range s.list {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *Stats) Collect(ch chan<- prometheus.Metric) {
	for status := range s.durations {
		ch <- s.durations[status].metric(durationDesc, s.since, smtpclient.Status(status).String())
	}
	for stage := range s.stages {
		for i, result := range results {
			ch <- s.stages[stage][i].metric(stageDesc, s.since, smtpclient.Stage(stage).String(), result)
		}
	}
	for _, c := range s.list {
		c.Collect(ch)
	}
}

// Trace gives the Trace to be carried by a ctx; see smtpclient.WithTrace.
func (s *Stats) Trace() *smtpclient.Trace {
	return &smtpclient.Trace{
		Begin: func(ctx context.Context, _ *smtpclient.Envelope, _ smtpclient.Content) context.Context {
			s.active.Inc()
			return ctx
		},
		End: func(_ context.Context, _ *smtpclient.Envelope, r *smtpclient.Report) { s.end(r) },
		Took: func(_ context.Context, t smtpclient.Took) {
			result := 0
			if t.Failed {
				result = 1
			}
			s.stages[t.Stage][result].add(t.Duration)
		},
	}
}

func (s *Stats) end(r *smtpclient.Report) {
	s.active.Dec()
	worst := smtpclient.Delivered
	if err := r.Err(); err != nil {
		worst = smtpclient.Failed
		if e, ok := err.(*smtpclient.Error); ok {
			worst = e.Status
		}
	}
	s.durations[worst].add(r.Duration)
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		c := s.counters(o)
		c.recipients.Inc()
		if o.Status == smtpclient.Delivered {
			s.bytes.Add(float64(r.Size))
			c.tls.Inc()
		}
	}
}
