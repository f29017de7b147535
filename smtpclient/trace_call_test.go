package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// scribe notes what a Trace is told of calls.
type scribe struct {
	name  string
	notes *[]string
}

func (s scribe) trace() *smtpclient.Trace {
	return &smtpclient.Trace{
		Begin: func(ctx context.Context, env *smtpclient.Envelope, content smtpclient.Content) context.Context {
			*s.notes = append(*s.notes, fmt.Sprintf("%s: %s begins below %v", s.name, env.From, ctx.Value(scribe{})))
			return context.WithValue(ctx, scribe{}, s.name)
		},
		Done: func(ctx context.Context, e smtpclient.Event) {
			if e.Stage == smtpclient.StageMail {
				*s.notes = append(*s.notes, fmt.Sprintf("%s: mail below %v", s.name, ctx.Value(scribe{})))
			}
		},
		End: func(ctx context.Context, env *smtpclient.Envelope, r *smtpclient.Report) {
			*s.notes = append(*s.notes, fmt.Sprintf("%s: %d ended below %v", s.name, len(r.Outcomes), ctx.Value(scribe{})))
		},
	}
}

// Begin and End are told once of each call, whatever it comes to; stages come below
// the ctx that Begin has given; what began last ends first.
func TestTraceOfCalls(t *testing.T) {
	for _, tt := range []struct {
		what  string
		env   smtpclient.Envelope
		mails int
	}{
		{"delivered", fromAnn("bob@example.net"), 1},
		{"a recipient at fault", fromAnn("bob"), 0},
		{"nobody", fromAnn(), 0},
		{"no sender", smtpclient.Envelope{To: fromAnn("bob@example.net").To}, 0},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			var notes []string
			ctx := smtpclient.WithTrace(t.Context(), scribe{"outer", &notes}.trace())
			ctx = smtpclient.WithTrace(ctx, scribe{"inner", &notes}.trace())
			w.client.Deliver(ctx, tt.env, smtpclient.Bytes([]byte(hello)))
			want := []string{"outer: " + tt.env.From + " begins below <nil>", "inner: " + tt.env.From + " begins below outer"}
			for range tt.mails {
				want = append(want, "outer: mail below inner", "inner: mail below inner")
			}
			n := len(tt.env.To)
			want = append(want, fmt.Sprintf("inner: %d ended below inner", n), fmt.Sprintf("outer: %d ended below inner", n))
			if !slices.Equal(notes, want) {
				t.Errorf("%s:\n%s\nwant\n%s", tt.what, strings.Join(notes, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// A Session tells of what it sends.
func TestTraceOfSend(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		var notes []string
		ctx := smtpclient.WithTrace(t.Context(), scribe{"one", &notes}.trace())
		s, err := w.client.Dialer.Dial(ctx, smtpclient.Target{Addr: "192.0.2.10:25"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := w.send(ctx, s, fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello))); err != nil {
			t.Fatal(err)
		}
		want := []string{"one: ann@example.org begins below <nil>", "one: mail below one", "one: 1 ended below one"}
		if !slices.Equal(notes, want) {
			t.Errorf("%q\nwant %q", notes, want)
		}
	})
}

// Begin may add a Trace for this delivery alone; nil is the ctx that there was.
func TestTraceFromBegin(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		lines := 0
		ctx := smtpclient.WithTrace(t.Context(), &smtpclient.Trace{
			Begin: func(ctx context.Context, env *smtpclient.Envelope, _ smtpclient.Content) context.Context {
				if env.To[0].Address != "bob@example.net" {
					return nil
				}
				return smtpclient.WithTrace(ctx, &smtpclient.Trace{Line: func(context.Context, string) { lines++ }})
			},
		})
		w.deliver(ctx, fromAnn("carol@example.net"), hello)
		if lines != 0 {
			t.Errorf("%d lines of the wrong delivery", lines)
		}
		w.deliver(ctx, fromAnn("bob@example.net"), hello)
		if lines == 0 {
			t.Error("no line of the right one")
		}
	})
}

// After a panic in Begin nothing is sent and everybody is Deferred; after one in End
// the verdicts stand, and a note says so. The other Trace is told all the same.
func TestPanicInTraceOfCalls(t *testing.T) {
	for _, when := range []string{"begin", "end"} {
		inWorld(t, func(t *testing.T, w *world) {
			server := w.mx(10, &smtptest.Server{})
			var notes []string
			trace := &smtpclient.Trace{Begin: func(context.Context, *smtpclient.Envelope, smtpclient.Content) context.Context {
				panic("begin gone mad")
			}}
			if when == "end" {
				trace = &smtpclient.Trace{End: func(context.Context, *smtpclient.Envelope, *smtpclient.Report) { panic("end gone mad") }}
			}
			ctx := smtpclient.WithTrace(smtpclient.WithTrace(t.Context(), scribe{"outer", &notes}.trace()), trace)
			report := w.deliver(ctx, fromAnn("bob@example.net", "carol@example.net"), hello)
			for _, o := range report.Outcomes {
				said := fmt.Sprint(o.Cause, o.Notes)
				if want := map[string]smtpclient.Status{"begin": smtpclient.Deferred, "end": smtpclient.Delivered}[when]; o.Status != want || !strings.Contains(said, when+" gone mad") {
					t.Errorf("%s: %v, %s", when, o.Status, said)
				}
			}
			if got := len(server.Messages()); (got > 0) != (when == "end") {
				t.Errorf("%s: %d messages were sent", when, got)
			}
			if len(notes) < 2 || !strings.HasPrefix(notes[0], "outer: ann@example.org begins") || !strings.HasPrefix(notes[len(notes)-1], "outer: 2 ended") {
				t.Errorf("%s: the outer Trace was told %q", when, notes)
			}
			if when == "begin" { // nothing is looked at any more, not even what is at fault
				if o := w.deliver(ctx, fromAnn("no address"), hello).Outcomes[0]; o.Status != smtpclient.Deferred || len(o.Earlier) > 0 {
					t.Errorf("a recipient at fault is %v, with %d attempts before", o.Status, len(o.Earlier))
				}
			}
		})
	}
}

// A Trace that panics takes nothing from the others, whether they are told before it
// or after: each that began ends, under the ctx that it was given or a later one.
func TestPanicAmongTraces(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		type mark struct{ name string }
		var told []string
		marking := func(name string) *smtpclient.Trace {
			return &smtpclient.Trace{
				Begin: func(ctx context.Context, _ *smtpclient.Envelope, _ smtpclient.Content) context.Context {
					told = append(told, name+" begins")
					return context.WithValue(ctx, mark{name}, true)
				},
				End: func(ctx context.Context, _ *smtpclient.Envelope, _ *smtpclient.Report) {
					told = append(told, fmt.Sprint(name, " ends ", ctx.Value(mark{name})))
				},
			}
		}
		mad := &smtpclient.Trace{
			Begin: func(context.Context, *smtpclient.Envelope, smtpclient.Content) context.Context {
				panic("begin gone mad")
			},
			End: func(context.Context, *smtpclient.Envelope, *smtpclient.Report) { panic("end gone mad") },
		}
		forgetful := &smtpclient.Trace{Begin: func(context.Context, *smtpclient.Envelope, smtpclient.Content) context.Context { return nil }}
		stats := &smtpclient.Stats{}
		ctx := t.Context()
		for _, trace := range []*smtpclient.Trace{marking("first"), mad, marking("second"), forgetful, stats.Trace()} {
			ctx = smtpclient.WithTrace(ctx, trace)
		}
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		if o := report.Outcomes[0]; o.Status != smtpclient.Deferred || !strings.Contains(fmt.Sprint(o.Cause, o.Notes), "end gone mad") {
			t.Errorf("%v, %v, %q", o.Status, o.Cause, o.Notes)
		}
		if got, want := strings.Join(told, ", "), "first begins, second begins, second ends true, first ends true"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if c := stats.Counts(); c.Active != 0 || c.Deliveries != 1 {
			t.Errorf("%d deliveries, %d of them active", c.Deliveries, c.Active)
		}
	})
}

// Counters are those of the reports.
func TestStats(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			switch {
			case c.Verb == "RCPT" && strings.Contains(c.Args, "carol"):
				return smtptest.Action{Reply: "550 5.1.1 no such user"}
			case c.Verb == "RCPT" && strings.Contains(c.Args, "dave"):
				return smtptest.Action{Reply: "450 4.2.1 come again"}
			case c.Verb == smtptest.EndOfData && c.Message.To[0] == "eve@example.net":
				return smtptest.Action{Fault: smtptest.Drop}
			}
			return smtptest.Action{}
		}})
		var stats smtpclient.Stats
		var want smtpclient.Counts
		ctx := smtpclient.WithTrace(t.Context(), stats.Trace())
		ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Begin: func(ctx context.Context, _ *smtpclient.Envelope, _ smtpclient.Content) context.Context {
			if c := stats.Counts(); c.Active != 1 {
				t.Errorf("%d are active", c.Active)
			}
			return ctx
		}})
		for _, to := range [][]string{{"bob@example.net", "carol@example.net", "dave@example.net"}, {"eve@example.net"}, {"frank@example.net", "bad address"}, {"x@nowhere.example"}} {
			report := w.deliver(ctx, fromAnn(to...), hello)
			want.Deliveries++
			for _, o := range report.Outcomes {
				want.Outcomes[o.Status][o.Stage]++
				if o.Status == smtpclient.Delivered {
					want.Bytes += int64(len(hello))
				}
			}
		}
		got := stats.Counts()
		if got != want {
			t.Errorf("%+v\nwant %+v", got, want)
		}
		if got.Of(smtpclient.Delivered) != 2 || got.Of(smtpclient.Unknown) != 1 || got.Of(smtpclient.Failed) != 3 {
			t.Errorf("delivered %d, unknown %d, failed %d", got.Of(smtpclient.Delivered), got.Of(smtpclient.Unknown), got.Of(smtpclient.Failed))
		}
	})
}

// A report says when it began, when each verdict fell, and how large the message
// was.
func TestReportTimes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16, Delay: 1e9}, Script: onRcpt("carol", "550 no")})
		env := fromAnn("bob@example.net", "carol@example.net", "bob@example.net")
		env.Header = "X-Test: 1\r\n"
		report, _ := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(strings.ReplaceAll(hello, "\r\n", "\n"))))
		end := report.Start.Add(report.Duration)
		bob, carol, twin := report.Outcomes[0], report.Outcomes[1], report.Outcomes[2]
		if report.Start.IsZero() || !carol.At.After(report.Start) || !bob.At.After(carol.At) || bob.At.After(end) || !twin.At.Equal(bob.At) {
			t.Errorf("from %v to %v: bob %v, carol %v, bob again %v", report.Start, end, bob.At, carol.At, twin.At)
		}
		if want := int64(len(hello) + len(env.Header)); report.Size != want {
			t.Errorf("size %d, want %d", report.Size, want)
		}
		if report, _ := w.client.Deliver(t.Context(), smtpclient.Envelope{}, nil); report.Size != 0 || report.Start.IsZero() {
			t.Errorf("a faulty one has size %d from %v", report.Size, report.Start)
		}
	})
}

var errTold = errors.New("told")

// What a Trace costs that only counts, and what none costs: nothing is allocated.
func TestStatsAllocateNothing(t *testing.T) {
	var stats smtpclient.Stats
	trace := stats.Trace()
	report := &smtpclient.Report{Outcomes: []smtpclient.Outcome{{Status: smtpclient.Deferred, Attempt: &smtpclient.Attempt{Cause: errTold}}}}
	if n := allocations(100, func() {
		ctx := trace.Begin(t.Context(), nil, nil)
		trace.End(ctx, nil, report)
	}); n != 0 {
		t.Errorf("%v allocations for each delivery", n)
	}
}
