package smtpclient_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A Trace is told every stage and every line, in order.
func TestTrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.absentMX(10)
		w.mx(20, &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16, Delay: time.Second}, Script: onRcpt("carol", "550-5.1.1 no\n550 5.1.1 such user")})
		var stages, lines []string
		open := 0
		trace := &smtpclient.Trace{
			Start: func(ctx context.Context, e smtpclient.Event) {
				open++
				if e.Duration != 0 || !e.Start.Equal(time.Now()) && e.Stage < smtpclient.StageGreeting {
					t.Errorf("start of %v: %+v", e.Stage, e)
				}
			},
			Done: func(ctx context.Context, e smtpclient.Event) {
				open--
				text := fmt.Sprintf("%v %s %v", e.Stage, e.Host, e.Duration)
				if e.Reply.Code != 0 {
					text += fmt.Sprint(" ", e.Reply.Code)
				}
				if e.Cause != nil {
					text += " failed"
				}
				stages = append(stages, text)
			},
			Line: func(ctx context.Context, line string) { lines = append(lines, line) },
		}
		w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net", "carol@example.net"), hello)
		if got, want := strings.Join(stages, "\n"), strings.Join([]string{
			"resolve example.net 0s",
			"policy mx10.example.net 0s",
			"connect mx10.example.net 0s failed",
			"policy mx20.example.net 0s",
			"connect mx20.example.net 2s",
			"greeting mx20.example.net 1s 220",
			"hello mx20.example.net 2s 250",
			"starttls mx20.example.net 2s 220",
			"starttls mx20.example.net 2s",
			"hello mx20.example.net 2s 250",
			"mail mx20.example.net 2s 250",
			"rcpt mx20.example.net 0s 250",
			"rcpt mx20.example.net 0s 550",
			"data-init mx20.example.net 0s 354",
			"data-block mx20.example.net 0s",
			"data-done mx20.example.net 2s 250",
		}, "\n"); got != want {
			t.Errorf("stages\n%s\nwant\n%s", got, want)
		}
		if open != 0 {
			t.Errorf("%d stages were started and not done", open)
		}
		want := []string{"C: MAIL FROM:<ann@example.org> SIZE=49", "C: RCPT TO:<bob@example.net>", "C: RCPT TO:<carol@example.net>", "C: DATA",
			"S: 250 2.1.0 ok", "S: 250 2.1.5 ok", "S: 550-5.1.1 no", "S: 550 5.1.1 such user", "S: 354 go ahead", "C: <49 bytes>", "C: .", "C: QUIT", "S: 250 2.0.0 ok"}
		if got := strings.Join(lines, "\n"); !strings.HasSuffix(got, strings.Join(want, "\n")) {
			t.Errorf("lines\n%s\nwant at the end\n%s", got, strings.Join(want, "\n"))
		}
		if strings.Contains(strings.Join(lines, "\n"), "Hello.") {
			t.Error("content is in the trace")
		}
	})
}

// Traces add up, the outer one first; nil is none.
func TestWithTrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		var told []string
		ctx := t.Context()
		for _, name := range []string{"outer", "inner"} {
			ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Line: func(_ context.Context, line string) {
				if line == "C: DATA" {
					told = append(told, name)
				}
			}})
		}
		ctx = smtpclient.WithTrace(smtpclient.WithTrace(ctx, nil), &smtpclient.Trace{})
		w.deliver(ctx, fromAnn("bob@example.net"), hello)
		if got := strings.Join(told, " "); got != "outer inner" {
			t.Errorf("told %q", got)
		}
	})
}

// A panic in a Trace is contained wherever it happens; after the end of the data
// the outcome is Unknown or better.
func TestPanicInTrace(t *testing.T) {
	for stage := smtpclient.StageResolve; stage <= smtpclient.StageQuit; stage++ {
		for _, when := range []string{"start", "done"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{})
				boom := func(_ context.Context, e smtpclient.Event) {
					if e.Stage == stage {
						panic("trace gone mad")
					}
				}
				trace := &smtpclient.Trace{Start: boom}
				if when == "done" {
					trace = &smtpclient.Trace{Done: boom}
				}
				report := w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net"), hello)
				if o := report.Outcomes[0]; o.Status != smtpclient.Delivered && (o.Cause == nil || !strings.Contains(o.Cause.Error(), "gone mad")) {
					t.Errorf("%v %s: %v", stage, when, o.Err())
				}
			})
		}
	}
}

func TestLogTrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: pipelined, Script: on("MAIL", action{Reply: "451 4.7.1 wait"})})
		var text bytes.Buffer
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
			text.Reset()
			log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level}))
			w.deliver(smtpclient.WithTrace(t.Context(), smtpclient.LogTrace(log)), fromAnn("bob@example.net"), hello)
			if !strings.Contains(text.String(), `level=INFO msg="smtp stage" stage=mail duration=0s host=mx10.example.net addr=192.0.2.10:25 reply="451 4.7.1 wait"`) {
				t.Errorf("%v: the refusal is missing:\n%s", level, text.String())
			}
			if got, want := strings.Contains(text.String(), `msg="smtp dialogue" line="C: MAIL FROM`), level == slog.LevelDebug; got != want {
				t.Errorf("%v: dialogue is there: %v, want %v", level, got, want)
			}
		}
	})
}
