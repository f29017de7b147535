//go:build unix

package observe

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
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
// last two stand for others: the log as Postfix has it, and spans that the program
// chooses.
func adapters(t testing.TB, pool *smtpclient.Pool, sampled float64) []adapter {
	t.Helper()
	stats := promstats.New(promstats.Options{Pool: pool})
	prometheus.NewRegistry().MustRegister(stats)
	options := oteltrace.Options{
		TracerProvider: sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter()), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(sampled)))),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
		Pool:           pool,
	}
	chosen := options
	chosen.TracerProvider = sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter()))
	chosen.Spans = func(context.Context, *smtpclient.Envelope) bool { return rand.Float64() < sampled }
	return []adapter{
		{"counters", new(smtpclient.Stats).Trace()},
		{"prometheus", stats.Trace()},
		{"opentelemetry", traced(t, options)},
		{"debug-page", (&debugpage.Page{Pool: pool}).Trace()},
		{"slog", smtpclient.LogReports(slog.New(slog.NewJSONHandler(io.Discard, nil)))},
		{"postfix-log", (&smtpclient.PostfixLog{Writer: io.Discard}).Trace()},
		{"opentelemetry-chosen", traced(t, chosen)},
	}
}

// sampledAll is OpenTelemetry where each delivery is sampled.
func sampledAll(t testing.TB, pool *smtpclient.Pool) adapter {
	t.Helper()
	return adapter{"opentelemetry-sampled", traced(t, oteltrace.Options{
		TracerProvider: sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter())), // ParentBased(AlwaysSample), the SDK's own
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
		Pool:           pool,
	})}
}

func traced(t testing.TB, o oteltrace.Options) *smtpclient.Trace {
	t.Helper()
	tracer, err := oteltrace.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tracer.Trace()
}
