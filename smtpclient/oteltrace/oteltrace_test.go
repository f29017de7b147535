package oteltrace_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/oteltrace"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// world is a client whose mail for example.net goes to a server that takes its
// time, and refuses carol. What it tells is recorded.
type world struct {
	client *smtpclient.Client
	pool   *smtpclient.Pool
	net    smtptest.Network
	spans  *tracetest.SpanRecorder
	reader *metric.ManualReader
	tracer *sdk.TracerProvider
}

func newWorld(t *testing.T, sampler sdk.Sampler) *world {
	server := &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16, Delay: 100 * time.Millisecond}, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.Contains(c.Args, "carol") {
			return smtptest.Action{Reply: "550 5.1.1 carol is not here"}
		}
		return smtptest.Action{}
	}}
	w := &world{net: smtptest.Network{"192.0.2.10:25": server}, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader(), pool: &smtpclient.Pool{KeepAll: true}}
	w.tracer = sdk.NewTracerProvider(sdk.WithSpanProcessor(w.spans), sdk.WithSampler(sampler))
	w.client = &smtpclient.Client{
		LocalName: "client.example.org",
		Resolver: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:   {MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}},
		},
		Dialer: &smtpclient.Dialer{DialContext: w.net.DialContext}, Cache: &cache.Memory{}, Pool: w.pool,
	}
	return w
}

func (w *world) close(ctx context.Context) {
	w.pool.Close(ctx)
	w.net.Close()
}

// ctx carries a Tracer.
func (w *world) ctx(t *testing.T, o oteltrace.Options) context.Context {
	t.Helper()
	o.TracerProvider, o.MeterProvider, o.Pool = w.tracer, metric.NewMeterProvider(metric.WithReader(w.reader)), w.pool
	tracer, err := oteltrace.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return smtpclient.WithTrace(t.Context(), tracer.Trace())
}

func (w *world) send(ctx context.Context, to ...string) smtpclient.Report {
	env := smtpclient.Envelope{From: "ann@example.org"}
	for _, address := range to {
		env.To = append(env.To, smtpclient.Recipient{Address: address})
	}
	report, _ := w.client.Deliver(ctx, env, smtpclient.Bytes([]byte("Subject: hello\r\n\r\nHello.\r\n")))
	return report
}

// attrs are those of a span, as text.
func attrs(list []attribute.KeyValue) map[string]string {
	found := make(map[string]string)
	for _, a := range list {
		found[string(a.Key)] = a.Value.String()
	}
	return found
}

// A delivery is a span, and each of its stages a child with its own times.
func TestSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sdk.AlwaysSample())
		defer w.close(t.Context())
		start := time.Now()
		var events []smtpclient.Event
		ctx := smtpclient.WithTrace(w.ctx(t, oteltrace.Options{}), &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) { events = append(events, e) }})
		ctx, outer := w.tracer.Tracer("program").Start(ctx, "job")
		report := w.send(smtpclient.WithQueueID(ctx, "3F9A2"), "bob@example.net")
		outer.End()
		ended := w.spans.Ended()
		delivery := ended[len(ended)-2]
		if delivery.Name() != "deliver" || delivery.SpanKind() != trace.SpanKindClient || delivery.Parent().SpanID() != outer.SpanContext().SpanID() {
			t.Fatalf("the delivery is %s, %v, below %v", delivery.Name(), delivery.SpanKind(), delivery.Parent())
		}
		if !delivery.StartTime().Equal(start) || delivery.EndTime().Sub(start) != report.Duration || report.Duration == 0 {
			t.Errorf("from %v to %v, want %v for %v", delivery.StartTime(), delivery.EndTime(), start, report.Duration)
		}
		want := map[string]string{"postrider.outcome": "delivered", "postrider.stage": "data-done", "postrider.recipient.count": "1",
			"postrider.message.size": "26", "postrider.queue.id": "3F9A2", "postrider.reply.code": "250", "postrider.reply.enhanced": "2.0.0", "server.address": "mx.example.net",
			"server.port": "25", "network.peer.address": "192.0.2.10", "network.peer.port": "25", "network.transport": "tcp",
			"tls.established": "true", "tls.protocol.name": "tls", "tls.protocol.version": "1.3", "tls.resumed": "false"}
		got := attrs(delivery.Attributes())
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s is %q, want %q", key, got[key], value)
			}
		}
		if got["error.type"] != "" || delivery.Status().Code != codes.Unset {
			t.Errorf("all was well, but %v, %v", got["error.type"], delivery.Status())
		}
		var names []string
		for i, s := range ended[:len(ended)-2] {
			names = append(names, s.Name())
			if s.Parent().SpanID() != delivery.SpanContext().SpanID() || i >= len(events) || !s.StartTime().Equal(events[i].Start) || s.EndTime().Sub(s.StartTime()) != events[i].Duration {
				t.Errorf("%s is below %v, from %v to %v", s.Name(), s.Parent().SpanID(), s.StartTime(), s.EndTime())
			}
		}
		if got, want := strings.Join(names, " "), "resolve policy connect greeting hello starttls starttls hello mail rcpt data-init data-block data-done"; got != want {
			t.Errorf("children %q\nwant %q", got, want)
		}
	})
}

// What failed says why, by the reply's code or what happened; texts only if they
// may be told.
func TestErrorsOfSpans(t *testing.T) {
	for _, texts := range []oteltrace.ErrorTexts{oteltrace.ErrorsTold, oteltrace.ErrorsHidden} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, sdk.AlwaysSample())
			defer w.close(t.Context())
			ctx := w.ctx(t, oteltrace.Options{Errors: texts})
			w.send(ctx, "bob@example.net", "carol@example.net")
			w.net["192.0.2.10:25"].Close()
			delete(w.net, "192.0.2.10:25")
			w.client.Pool = nil
			w.send(ctx, "bob@example.net")
			late, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			w.net["192.0.2.10:25"] = nil // never answers
			w.client.Cache = &cache.Memory{}
			w.send(late, "bob@example.net")
			var got []string
			for _, s := range w.spans.Ended() {
				if s.Status().Code == codes.Error {
					got = append(got, s.Name()+" "+attrs(s.Attributes())["error.type"])
					if (s.Status().Description != "") != (texts == oteltrace.ErrorsTold) {
						t.Errorf("%s: description %q", s.Name(), s.Status().Description)
					}
				}
			}
			if got, want := strings.Join(got, ", "), "rcpt 550, deliver 550, connect connect, deliver connect, connect timeout, deliver timeout"; got != want {
				t.Errorf("errors %q\nwant %q", got, want)
			}
		})
	}
}

// No text of the server and no address is in any attribute.
func TestNoAddressesInAttributes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sdk.AlwaysSample())
		defer w.close(t.Context())
		w.send(w.ctx(t, oteltrace.Options{Errors: oteltrace.ErrorsHidden}), "bob@example.net", "carol@example.net")
		for _, s := range w.spans.Ended() {
			for _, a := range s.Attributes() {
				if v := a.Value.String(); strings.ContainsAny(v, "@ ") {
					t.Errorf("%s: %s is %q", s.Name(), a.Key, v)
				}
			}
			if s.Status().Description != "" {
				t.Errorf("%s: %q", s.Name(), s.Status().Description)
			}
		}
	})
}

// What is not sampled has no children, and is measured all the same.
func TestUnsampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sdk.NeverSample())
		defer w.close(t.Context())
		w.send(w.ctx(t, oteltrace.Options{}), "bob@example.net")
		if n := len(w.spans.Ended()); n != 0 {
			t.Errorf("%d spans", n)
		}
		if got := w.measured(t)["postrider.client.recipients"]; len(got) != 1 {
			t.Errorf("measured %v", got)
		}
	})
}

// The program may choose, and the sampler is asked only of those that were chosen.
func TestChosenSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sdk.AlwaysSample())
		defer w.close(t.Context())
		ctx := w.ctx(t, oteltrace.Options{Spans: func(_ context.Context, env *smtpclient.Envelope) bool { return len(env.To) > 1 }})
		w.send(ctx, "bob@example.net")
		if n := len(w.spans.Started()); n != 0 {
			t.Errorf("%d spans of what was not chosen", n)
		}
		w.send(ctx, "bob@example.net", "dave@example.net")
		if n := len(w.spans.Ended()); n < 5 {
			t.Errorf("%d spans of what was chosen", n)
		}
		if got := w.measured(t)["postrider.client.delivery.duration"]; len(got) != 1 || !strings.HasSuffix(got[0], " 2") {
			t.Errorf("measured %v", got)
		}
	})
}

// A delivery that a hook makes with the ctx of another one does not end that one's
// span.
func TestDeliveryWithin(t *testing.T) {
	w := newWorld(t, sdk.AlwaysSample())
	tracer, err := oteltrace.New(oteltrace.Options{TracerProvider: w.tracer, MeterProvider: metric.NewMeterProvider(metric.WithReader(w.reader)),
		Spans: func(_ context.Context, env *smtpclient.Envelope) bool { return env.From != "<>" }})
	if err != nil {
		t.Fatal(err)
	}
	told, outer, inner := tracer.Trace(), &smtpclient.Envelope{From: "ann@example.org"}, &smtpclient.Envelope{From: "<>"}
	ctx := told.Begin(t.Context(), outer, nil)
	told.End(told.Begin(ctx, inner, nil), inner, &smtpclient.Report{Size: 1})
	if n := len(w.spans.Ended()); n != 0 {
		t.Fatalf("%d spans have ended with the inner delivery", n)
	}
	told.End(ctx, outer, &smtpclient.Report{Size: 2})
	if ended := w.spans.Ended(); len(ended) != 1 || attrs(ended[0].Attributes())["postrider.message.size"] != "2" {
		t.Errorf("ended: %v", ended)
	}
}

// measured are the points of each metric: its attributes and its value or count.
func (w *world) measured(t *testing.T) map[string][]string {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := w.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					found[m.Name] = append(found[m.Name], fmt.Sprintf("%s %d", p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
				}
			case metricdata.Sum[float64]:
				for _, p := range d.DataPoints {
					found[m.Name] = append(found[m.Name], fmt.Sprintf("%s %v", p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					found[m.Name] = append(found[m.Name], fmt.Sprintf("%s %d", p.Attributes.Encoded(attribute.DefaultEncoder()), p.Count))
				}
			default:
				t.Errorf("%s has points of %T", m.Name, d)
			}
			slices.Sort(found[m.Name])
		}
	}
	return found
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sdk.NeverSample())
		defer w.close(t.Context())
		ctx := w.ctx(t, oteltrace.Options{Stages: oteltrace.StagesMeasured})
		w.send(ctx, "bob@example.net", "carol@example.net")
		w.send(ctx, "bob@example.net")
		got := w.measured(t)
		for name, want := range map[string][]string{
			"postrider.client.delivery.duration": {"error.type=550,postrider.outcome=failed 1", "postrider.outcome=delivered 1"},
			"postrider.client.delivery.active":   {" 0"},
			"postrider.client.recipients": {"error.type=550,postrider.destination.group=example.net,postrider.outcome=failed,postrider.stage=rcpt 1",
				"postrider.destination.group=example.net,postrider.outcome=delivered,postrider.stage=data-done 2"},
			"postrider.client.connection.count":            {"postrider.client.connection.state=idle 1", "postrider.client.connection.state=used 0"},
			"postrider.client.connection.pending_requests": {" 0"},
		} {
			if !slices.Equal(got[name], want) {
				t.Errorf("%s: %q\nwant %q", name, got[name], want)
			}
		}
		for _, want := range []string{"postrider.stage=connect,postrider.stage.result=ok 1", "postrider.stage=mail,postrider.stage.result=ok 2", "postrider.stage=rcpt,postrider.stage.result=failed 1"} {
			if !slices.Contains(got["postrider.client.stages"], want) {
				t.Errorf("stages %q; want %q", got["postrider.client.stages"], want)
			}
		}
		if want := "postrider.stage=connect,postrider.stage.result=ok 0.2"; !slices.Contains(got["postrider.client.stage.time"], want) {
			t.Errorf("times %q; want %q", got["postrider.client.stage.time"], want)
		}
	})
}

// However many destinations there are, the points are bounded.
func TestCardinality(t *testing.T) {
	const destinations, groups = 100_000, 20
	w := newWorld(t, sdk.NeverSample())
	o := oteltrace.Options{Stages: oteltrace.StagesMeasured, Groups: &smtpclient.Groups{Most: groups}, TracerProvider: w.tracer,
		MeterProvider: metric.NewMeterProvider(metric.WithReader(w.reader), metric.WithCardinalityLimit(0))}
	tracer, err := oteltrace.New(o)
	if err != nil {
		t.Fatal(err)
	}
	told := tracer.Trace()
	for i := range destinations {
		a := smtpclient.Attempt{Stage: smtpclient.StageDataDone, Host: fmt.Sprintf("mx.domain%d.example", i), Addr: fmt.Sprintf("192.0.2.1:%d", i%60000), Reply: smtpclient.Reply{Code: 250}, Enhanced: fmt.Sprintf("2.0.%d", i)}
		ctx := told.Begin(t.Context(), &smtpclient.Envelope{}, nil)
		told.Took(ctx, smtpclient.Took{Stage: a.Stage})
		told.End(ctx, nil, &smtpclient.Report{Outcomes: []smtpclient.Outcome{{Status: smtpclient.Delivered, Attempt: &a}}})
	}
	for name, points := range w.measured(t) {
		if len(points) > groups+1 {
			t.Errorf("%s has %d points", name, len(points))
		}
	}
	if got, want := w.measured(t)["postrider.client.recipients"], fmt.Sprint("postrider.destination.group=other,postrider.outcome=delivered,postrider.stage=data-done ", destinations-groups); !slices.Contains(got, want) {
		t.Errorf("%q is not in %q", want, got)
	}
}

// A server that makes up codes makes no series of each, nor do many at once lose a
// recipient.
func TestCodesOfHostileServers(t *testing.T) {
	w := newWorld(t, sdk.NeverSample())
	tracer, err := oteltrace.New(oteltrace.Options{TracerProvider: w.tracer, MeterProvider: metric.NewMeterProvider(metric.WithReader(w.reader), metric.WithCardinalityLimit(0))})
	if err != nil {
		t.Fatal(err)
	}
	told := tracer.Trace()
	var telling sync.WaitGroup
	for range 4 {
		telling.Go(func() {
			for code := 400; code < 600; code++ {
				a := smtpclient.Attempt{Stage: smtpclient.StageRcpt, Host: "mx.example.net", Reply: smtpclient.Reply{Code: code}}
				ctx := told.Begin(t.Context(), &smtpclient.Envelope{}, nil)
				told.End(ctx, nil, &smtpclient.Report{Outcomes: []smtpclient.Outcome{{Status: smtpclient.Failed, Attempt: &a}}})
			}
		})
	}
	telling.Wait()
	points := w.measured(t)["postrider.client.recipients"]
	sum := 0
	for _, point := range points {
		n, _ := strconv.Atoi(point[strings.LastIndexByte(point, ' ')+1:])
		sum += n
	}
	if len(points) > 30 || sum != 800 {
		t.Errorf("%d recipients in %d points: %q", sum, len(points), points)
	}
	for _, reason := range []string{"550", "4xx", "5xx"} {
		if !slices.ContainsFunc(points, func(p string) bool { return strings.HasPrefix(p, "error.type="+reason+",") }) {
			t.Errorf("no %s in %q", reason, points)
		}
	}
}

// The durations of what was not sampled are all told, also those that had to wait.
func TestDurationsAreTold(t *testing.T) {
	w := newWorld(t, sdk.NeverSample())
	tracer, err := oteltrace.New(oteltrace.Options{TracerProvider: w.tracer, MeterProvider: metric.NewMeterProvider(metric.WithReader(w.reader))})
	if err != nil {
		t.Fatal(err)
	}
	told := tracer.Trace()
	for _, n := range []int{1, 63, 64, 65, 200} {
		for range n {
			ctx := told.Begin(t.Context(), &smtpclient.Envelope{}, nil)
			told.End(ctx, nil, &smtpclient.Report{Duration: time.Second, Outcomes: []smtpclient.Outcome{{Status: smtpclient.Delivered, Attempt: &smtpclient.Attempt{}}}})
		}
		w.measured(t) // what waits is told by then, and once
	}
	if got, want := w.measured(t)["postrider.client.delivery.duration"], []string{"postrider.outcome=delivered 393"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The rules of the semantic conventions for names, units and namespaces: lower case
// with dots, no plural of an up-down counter, no unit and no "total" in a name, and
// nothing of our own in a namespace of theirs.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sdk.AlwaysSample())
		defer w.close(t.Context())
		w.send(w.ctx(t, oteltrace.Options{Stages: oteltrace.StagesMeasured}), "bob@example.net", "carol@example.net")
		form := regexp.MustCompile(`^[a-z][a-z0-9]*([._][a-z0-9]+)*$`)
		theirs := []string{"server.address", "server.port", "network.peer.address", "network.peer.port", "network.transport", "error.type",
			"tls.established", "tls.protocol.name", "tls.protocol.version", "tls.cipher", "tls.resumed"}
		doc, err := os.ReadFile("doc.go")
		if err != nil {
			t.Fatal(err)
		}
		check := func(name string) {
			if !form.MatchString(name) || strings.HasSuffix(name, "_total") || strings.HasSuffix(name, ".seconds") {
				t.Errorf("%q breaks the rules for names", name)
			}
			if !strings.HasPrefix(name, "postrider.") && !slices.Contains(theirs, name) {
				t.Errorf("%q is in a namespace of others", name)
			}
			if !strings.Contains(string(doc), name) {
				t.Errorf("%q is not documented", name)
			}
		}
		for _, s := range w.spans.Ended() {
			for _, a := range s.Attributes() {
				check(string(a.Key))
			}
		}
		var data metricdata.ResourceMetrics
		if err := w.reader.Collect(t.Context(), &data); err != nil {
			t.Fatal(err)
		}
		units := map[string]bool{"s": true, "{stage}": true, "{delivery}": true, "{recipient}": true, "{connection}": true, "{request}": true}
		for _, m := range data.ScopeMetrics[0].Metrics {
			check(m.Name)
			if !units[m.Unit] || m.Description == "" || (strings.HasSuffix(m.Name, ".duration") || strings.HasSuffix(m.Name, ".time")) != (m.Unit == "s") {
				t.Errorf("%s has unit %q and description %q", m.Name, m.Unit, m.Description)
			}
		}
	})
}

func TestNamesOfOptions(t *testing.T) {
	got := fmt.Sprint(oteltrace.StagesNotMeasured, ", ", oteltrace.StagesMeasured, ", ", oteltrace.StageMetrics(2), ", ", oteltrace.ErrorsTold, ", ", oteltrace.ErrorsHidden, ", ", oteltrace.ErrorTexts(2))
	if want := "not measured, measured, StageMetrics(2), told, hidden, ErrorTexts(2)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
