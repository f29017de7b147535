package oteltrace

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/postrider/postrider/smtpclient"
)

// seconds are the bounds of histograms: a reply takes milliseconds, a greylisting
// server or one that is gone minutes.
func seconds() metric.HistogramOption {
	return metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
}

// instruments makes what is measured with.
func (t *Tracer) instruments(m metric.Meter) error {
	var errs [5]error
	t.deliveries, errs[0] = m.Float64Histogram("postrider.client.delivery.duration", metric.WithUnit("s"), seconds(),
		metric.WithDescription("Duration of deliveries."))
	t.active, errs[1] = m.Int64UpDownCounter("postrider.client.delivery.active", metric.WithUnit("{delivery}"),
		metric.WithDescription("Number of deliveries that have not ended."))
	t.stages, errs[2] = m.Float64Histogram("postrider.client.stage.duration", metric.WithUnit("s"), seconds(),
		metric.WithDescription("Duration of the stages of deliveries."))
	t.recipients, errs[3] = m.Int64Counter("postrider.client.recipients", metric.WithUnit("{recipient}"),
		metric.WithDescription("Number of recipients with a verdict."))
	errs[4] = t.observe(m)
	return errors.Join(errs[:]...)
}

// observe measures the pool when metrics are read.
func (t *Tracer) observe(m metric.Meter) error {
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

// verdict is one that all was well with; there are as many as groups allow.
type verdict struct {
	stage smtpclient.Stage
	group string
}

// count counts the recipients of a report.
func (t *Tracer) count(ctx context.Context, r *smtpclient.Report) {
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		v := verdict{o.Stage, t.options.Groups.Name(&o.Attempt)}
		if o.Status != smtpclient.Delivered {
			t.recipients.Add(ctx, 1, attributes(v.with(o)...))
			continue
		}
		options, ok := t.known.Load(v)
		if !ok {
			options, _ = t.known.LoadOrStore(v, []metric.AddOption{attributes(v.with(o)...)})
		}
		t.recipients.Add(ctx, 1, options.([]metric.AddOption)...)
	}
}

func (v verdict) with(o *smtpclient.Outcome) []attribute.KeyValue {
	return append(resultOf(o), stageKey.String(v.stage.String()), groupKey.String(v.group))
}

func attributes(list ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(list...))
}
