package oteltrace

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider/internal/enum"
	"github.com/postrider/postrider/smtpclient"
)

const scope = "github.com/postrider/postrider/smtpclient/oteltrace"

// Options say where it is told. The zero value uses the providers of the program.
type Options struct {
	TracerProvider trace.TracerProvider // nil: otel.GetTracerProvider()
	MeterProvider  metric.MeterProvider // nil: otel.GetMeterProvider()
	// Groups names destinations in metrics. nil: a zero smtpclient.Groups, which is
	// the server's domain, for 100 of them.
	Groups *smtpclient.Groups
	Pool   *smtpclient.Pool // to be measured; nil: none
	// Spans chooses the deliveries that have spans, before a sampler is asked: that
	// costs a delivery which is not sampled most of what it costs here. Several
	// goroutines call it at the same time. nil: all, as the sampler says.
	Spans  func(ctx context.Context, env *smtpclient.Envelope) bool
	Stages StageMetrics
	Errors ErrorTexts
}

// StageMetrics says whether the stages of deliveries are measured. Those that are
// sampled have spans of them in any case.
type StageMetrics uint8

// The values of Options.Stages.
const (
	StagesNotMeasured StageMetrics = iota
	StagesMeasured
)

// String gives "not measured" or "measured".
func (s StageMetrics) String() string {
	return enum.Name("StageMetrics", int(s), "not measured", "measured")
}

// ErrorTexts says what the status of a span holds.
type ErrorTexts uint8

// The values of Options.Errors.
const (
	ErrorsTold   ErrorTexts = iota // the error, with the server's reply
	ErrorsHidden                   // nothing: replies may name recipients
)

// String gives "told" or "hidden".
func (e ErrorTexts) String() string { return enum.Name("ErrorTexts", int(e), "told", "hidden") }

// Tracer tells OpenTelemetry of the calls whose ctx carries its Trace.
type Tracer struct {
	options Options
	tracer  trace.Tracer
	// children is the Trace of deliveries whose span is recorded: only those look at
	// their stages.
	children *smtpclient.Trace

	start     []trace.SpanStartOption
	durations metric.Float64Histogram
	untold    untold
	active    atomic.Int64
	stages    [smtpclient.StageQuit + 1]stageCount
	verdicts  verdicts
}

// New gives a Tracer. The error is that of the MeterProvider.
func New(o Options) (*Tracer, error) {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	if o.Groups == nil {
		o.Groups = &smtpclient.Groups{}
	}
	t := &Tracer{options: o, tracer: o.TracerProvider.Tracer(scope)}
	t.start = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	t.children = &smtpclient.Trace{Done: t.child}
	t.untold.with = []metric.RecordOption{attributes(outcomeKey.String(smtpclient.Delivered.String()))}
	return t, t.instruments(o.MeterProvider.Meter(scope))
}

// Trace gives the Trace to be carried by a ctx; see smtpclient.WithTrace.
func (t *Tracer) Trace() *smtpclient.Trace {
	trace := &smtpclient.Trace{Begin: t.begin, End: t.end}
	if t.options.Stages == StagesMeasured {
		trace.Took = t.measure
	}
	return trace
}

// begun is the key of the mark of a ctx that has our span. One that is not recorded
// needs no end.
type begun struct{}

// mark says whose the span is: a hook may deliver something else with the same ctx.
type mark struct {
	tracer *Tracer
	env    *smtpclient.Envelope
}

func (t *Tracer) begin(ctx context.Context, env *smtpclient.Envelope, _ smtpclient.Content) context.Context {
	t.active.Add(1)
	if t.options.Spans != nil && !t.options.Spans(ctx, env) {
		return ctx
	}
	ctx, span := t.tracer.Start(ctx, "deliver", t.start...)
	if !span.IsRecording() {
		return ctx
	}
	span.SetAttributes(recipientCountKey.Int(len(env.To)))
	if id := smtpclient.QueueID(ctx); id != "" {
		span.SetAttributes(queueIDKey.String(id))
	}
	return smtpclient.WithTrace(context.WithValue(ctx, begun{}, mark{t, env}), t.children)
}

func (t *Tracer) end(ctx context.Context, env *smtpclient.Envelope, r *smtpclient.Report) {
	t.active.Add(-1)
	t.verdicts.count(t.options.Groups, r)
	outcome, err := worst(r)
	// Without our span in ctx it was not recorded, or a Trace before this one has lost it.
	recorded := ctx.Value(begun{}) == mark{t, env}
	switch {
	case err != nil:
		t.durations.Record(ctx, r.Duration.Seconds(), attributes(appendResult(nil, outcome)...))
	case recorded:
		t.durations.Record(ctx, r.Duration.Seconds(), t.untold.with...)
	default:
		t.untold.add(t.durations, r.Duration)
	}
	if recorded {
		t.endSpan(trace.SpanFromContext(ctx), r, outcome, err)
	}
}

func (t *Tracer) endSpan(span trace.Span, r *smtpclient.Report, outcome *smtpclient.Outcome, err error) {
	defer span.End()
	attrs := append(make([]attribute.KeyValue, 0, 16), sizeKey.Int64(r.Size))
	attrs = appendResult(attrs, outcome)
	if outcome == nil {
		span.SetAttributes(attrs...)
		return
	}
	attrs = appendPeer(append(attrs, stageKey.String(outcome.Stage.String())), outcome.Attempt)
	span.SetAttributes(appendReplied(appendTLS(attrs, outcome.TLS), outcome.Attempt)...)
	if err != nil {
		span.SetStatus(codes.Error, t.describe(err))
	}
}

// describe is the description of an error in the status of a span.
func (t *Tracer) describe(err error) string {
	if t.options.Errors == ErrorsHidden {
		return ""
	}
	return err.Error()
}

// worst is the outcome that the error of a report is made of, or the first one
// where all is well; nil where there is none.
func worst(r *smtpclient.Report) (*smtpclient.Outcome, error) {
	err := r.Err()
	rank := func(s smtpclient.Status) int {
		return [...]int{smtpclient.Delivered: 0, smtpclient.Failed: 1, smtpclient.Deferred: 2, smtpclient.Unknown: 3}[s]
	}
	var found *smtpclient.Outcome
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; found == nil || rank(o.Status) > rank(found.Status) {
			found = o
		}
	}
	return found, err
}

// measure counts a stage.
func (t *Tracer) measure(_ context.Context, took smtpclient.Took) {
	t.stages[took.Stage].add(took.Duration, took.Failed)
}

func hasFailed(e *smtpclient.Event) bool { return e.Cause != nil || e.Reply.Code >= 400 }

// child makes a child of the span that ctx has, with the times of the stage.
func (t *Tracer) child(ctx context.Context, e smtpclient.Event) {
	attrs := appendPeer(make([]attribute.KeyValue, 0, 8), &e.Attempt) // of most stages, with the reply
	if e.Stage == smtpclient.StageStartTLS {
		attrs = appendTLS(attrs, e.TLS)
	}
	attrs = appendReplied(attrs, &e.Attempt)
	if hasFailed(&e) {
		attrs = append(attrs, errorKey.String(errorType(&e.Attempt)))
	}
	_, span := t.tracer.Start(ctx, e.Stage.String(), trace.WithTimestamp(e.Start), trace.WithAttributes(attrs...))
	if hasFailed(&e) {
		span.SetStatus(codes.Error, t.saying(&e.Attempt))
	}
	span.End(trace.WithTimestamp(e.Start.Add(max(e.Duration, 0))))
}

// saying is what decided, for the status of a span.
func (t *Tracer) saying(a *smtpclient.Attempt) string {
	switch {
	case t.options.Errors == ErrorsHidden:
		return ""
	case a.Cause != nil:
		return a.Cause.Error()
	}
	return a.Reply.String()
}
