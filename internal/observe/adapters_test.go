//go:build unix

package observe

import (
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/debugpage"
	"github.com/postrider/postrider/smtpclient/oteltrace"
	"github.com/postrider/postrider/smtpclient/promstats"
)

// adapter is one that can be switched on.
type adapter struct {
	name  string
	trace *smtpclient.Trace
}

// adapters are those that there are, as a program has them: with an SDK behind
// OpenTelemetry that samples some of the deliveries, and a log that is written. The
// last one writes the log again, as Postfix does.
func adapters(t testing.TB, pool *smtpclient.Pool, sampled float64) []adapter {
	t.Helper()
	stats := promstats.New(promstats.Options{Pool: pool})
	prometheus.NewRegistry().MustRegister(stats)
	tracer, err := oteltrace.New(oteltrace.Options{
		TracerProvider: sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter()), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(sampled)))),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
		Pool:           pool,
	})
	if err != nil {
		t.Fatal(err)
	}
	return []adapter{
		{"counters", new(smtpclient.Stats).Trace()},
		{"prometheus", stats.Trace()},
		{"opentelemetry", tracer.Trace()},
		{"debug-page", (&debugpage.Page{Pool: pool}).Trace()},
		{"slog", smtpclient.LogReports(slog.New(slog.NewJSONHandler(io.Discard, nil)))},
		{"postfix-log", (&smtpclient.PostfixLog{Writer: io.Discard}).Trace()},
	}
}
