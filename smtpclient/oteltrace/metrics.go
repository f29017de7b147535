package oteltrace

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/postrider/postrider/smtpclient"
)

// seconds are the bounds of the histogram: a reply takes milliseconds, a greylisting
// server or one that is gone minutes.
func seconds() metric.HistogramOption {
	return metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
}

// instruments makes what is measured with. What can be counted here is only told
// when metrics are read: to tell an SDK of each stage costs more than the stage.
func (t *Tracer) instruments(m metric.Meter) error {
	var errs [6]error
	t.durations, errs[0] = m.Float64Histogram("postrider.client.delivery.duration", metric.WithUnit("s"), seconds(),
		metric.WithDescription("Duration of deliveries."))
	_, errs[1] = m.Int64ObservableUpDownCounter("postrider.client.delivery.active", metric.WithUnit("{delivery}"),
		metric.WithDescription("Number of deliveries that have not ended."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(t.active.Load())
			t.untold.tell(t.durations)
			return nil
		}))
	_, errs[2] = m.Float64ObservableCounter("postrider.client.stage.time", metric.WithUnit("s"),
		metric.WithDescription("Time that deliveries were at a stage."), metric.WithFloat64Callback(t.stageTimes))
	_, errs[3] = m.Int64ObservableCounter("postrider.client.stages", metric.WithUnit("{stage}"),
		metric.WithDescription("Number of stages that have ended."), metric.WithInt64Callback(t.stageCounts))
	_, errs[4] = m.Int64ObservableCounter("postrider.client.recipients", metric.WithUnit("{recipient}"),
		metric.WithDescription("Number of recipients with a verdict."), metric.WithInt64Callback(t.verdicts.observe))
	errs[5] = t.observePool(m)
	return errors.Join(errs[:]...)
}

// observePool measures the pool.
func (t *Tracer) observePool(m metric.Meter) error {
	pool := t.options.Pool
	if pool == nil {
		return nil
	}
	open, err1 := m.Int64ObservableUpDownCounter("postrider.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Number of sessions of the pool, by state."))
	waiting, err2 := m.Int64ObservableUpDownCounter("postrider.client.connection.pending_requests", metric.WithUnit("{request}"),
		metric.WithDescription("Number of deliveries that wait for a session of the pool."))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := pool.Stats()
		o.ObserveInt64(open, int64(s.Idle), metric.WithAttributes(stateKey.String("idle")))
		o.ObserveInt64(open, int64(s.InUse), metric.WithAttributes(stateKey.String("used")))
		o.ObserveInt64(waiting, int64(s.Waiting))
		return nil
	}, open, waiting)
	return err
}

// untold are durations of deliveries that went well and are in no trace. They are
// told in a row, and at the latest when metrics are read: in the midst of other work
// the SDK takes several times as long for one, since nothing of it is in the caches
// of the processor.
type untold struct {
	with []metric.RecordOption // their attributes

	mu   sync.Mutex
	list [64]float64 // guarded by mu
	n    int         // how many of list; guarded by mu
}

func (u *untold) add(to metric.Float64Histogram, d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list[u.n] = d.Seconds()
	if u.n++; u.n == len(u.list) {
		u.tellLocked(to)
	}
}

func (u *untold) tell(to metric.Float64Histogram) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tellLocked(to)
}

func (u *untold) tellLocked(to metric.Float64Histogram) {
	for _, seconds := range u.list[:u.n] {
		to.Record(context.Background(), seconds, u.with...)
	}
	u.n = 0
}

// stageCount is how often a stage has ended, and how long that took, by whether all
// was well.
type stageCount struct{ ok, failed stageSum }

type stageSum struct{ n, nanoseconds atomic.Int64 }

func (c *stageCount) add(d time.Duration, failed bool) {
	sum := &c.ok
	if failed {
		sum = &c.failed
	}
	sum.n.Add(1)
	sum.nanoseconds.Add(int64(d))
}

func (t *Tracer) stageTimes(_ context.Context, o metric.Float64Observer) error {
	t.eachStage(func(s *stageSum, with metric.MeasurementOption) {
		o.Observe(time.Duration(s.nanoseconds.Load()).Seconds(), with)
	})
	return nil
}

func (t *Tracer) stageCounts(_ context.Context, o metric.Int64Observer) error {
	t.eachStage(func(s *stageSum, with metric.MeasurementOption) { o.Observe(s.n.Load(), with) })
	return nil
}

// eachStage does something with all stages that have come about.
func (t *Tracer) eachStage(do func(s *stageSum, with metric.MeasurementOption)) {
	for stage := range t.stages {
		for result, s := range map[string]*stageSum{"ok": &t.stages[stage].ok, "failed": &t.stages[stage].failed} {
			if s.n.Load() > 0 {
				do(s, attributes(stageKey.String(smtpclient.Stage(stage).String()), resultKey.String(result)))
			}
		}
	}
}

// verdicts counts recipients.
type verdicts struct {
	mu    sync.RWMutex
	known map[verdict]*atomic.Int64
}

// verdict is what recipients are counted by. There are as many as groups and reply
// codes allow.
type verdict struct {
	status smtpclient.Status
	stage  smtpclient.Stage
	group  string
	reason string // error.type; "" if all was well
}

// count counts the recipients of a report.
func (v *verdicts) count(groups *smtpclient.Groups, r *smtpclient.Report) {
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		key := verdict{status: o.Status, stage: o.Stage, group: groups.Name(o.Attempt)}
		if o.Status != smtpclient.Delivered {
			key.reason = errorType(o.Attempt)
		}
		v.counter(key).Add(1)
	}
}

func (v *verdicts) counter(key verdict) *atomic.Int64 {
	v.mu.RLock()
	n := v.known[key]
	v.mu.RUnlock()
	if n != nil {
		return n
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = make(map[verdict]*atomic.Int64)
	}
	if n = v.known[key]; n == nil {
		n = new(atomic.Int64)
		v.known[key] = n
	}
	return n
}

func (v *verdicts) observe(_ context.Context, o metric.Int64Observer) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for key, n := range v.known {
		list := []attribute.KeyValue{outcomeKey.String(key.status.String()), stageKey.String(key.stage.String()), groupKey.String(key.group)}
		if key.reason != "" {
			list = append(list, errorKey.String(key.reason))
		}
		o.Observe(n.Load(), attributes(list...))
	}
	return nil
}

func attributes(list ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(list...))
}
