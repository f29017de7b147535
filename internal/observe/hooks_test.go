//go:build unix

package observe

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// told is all that a Trace is told of one delivery.
type told struct {
	env    *smtpclient.Envelope
	tooks  []smtpclient.Took
	report smtpclient.Report
}

// listen records one delivery over a session that was used before.
func listen(t testing.TB) *told {
	t.Helper()
	s := newSender(t, true, tlspolicy.None)
	s.send(context.Background())
	var all told
	s.send(smtpclient.WithTrace(context.Background(), &smtpclient.Trace{
		Took: func(_ context.Context, t smtpclient.Took) { all.tooks = append(all.tooks, t) },
		End:  func(_ context.Context, env *smtpclient.Envelope, r *smtpclient.Report) { all.env, all.report = env, *r },
	}))
	return &all
}

// tell tells a Trace of it.
func (a *told) tell(t *smtpclient.Trace) {
	ctx := context.Background()
	if t.Begin != nil {
		ctx = t.Begin(ctx, a.env, body)
	}
	if t.Took != nil {
		for _, took := range a.tooks {
			t.Took(ctx, took)
		}
	}
	if t.End != nil {
		t.End(ctx, a.env, &a.report)
	}
}

// BenchmarkHooks gives the time and the memory of each adapter by itself.
func BenchmarkHooks(b *testing.B) {
	all := listen(b)
	for _, a := range adapters(b, &smtpclient.Pool{}, 0.01) {
		b.Run(a.name, func(b *testing.B) {
			b.ReportAllocs()
			start, n := cpu(), 0
			for b.Loop() {
				all.tell(a.trace)
				n++
			}
			b.ReportMetric(float64(cpu()-start)/float64(n), "cpu-ns/op")
		})
	}
}

// BenchmarkLogHandler gives what of LogReports is the handler's: the record of a
// delivery, given to log/slog's own again and again.
func BenchmarkLogHandler(b *testing.B) {
	var record slog.Record
	listen(b).tell(smtpclient.LogReports(slog.New(keeper{&record})))
	handler := slog.NewJSONHandler(io.Discard, nil)
	b.ReportAllocs()
	start, n := cpu(), 0
	for b.Loop() {
		handler.Handle(b.Context(), record)
		n++
	}
	b.ReportMetric(float64(cpu()-start)/float64(n), "cpu-ns/op")
	b.ReportMetric(float64(record.NumAttrs()), "attributes")
}

// keeper is a handler that keeps the last record.
type keeper struct{ last *slog.Record }

func (k keeper) Enabled(context.Context, slog.Level) bool { return true }
func (k keeper) WithAttrs([]slog.Attr) slog.Handler       { return k }
func (k keeper) WithGroup(string) slog.Handler            { return k }

func (k keeper) Handle(_ context.Context, r slog.Record) error {
	*k.last = r.Clone()
	return nil
}
