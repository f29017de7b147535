package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// deliverAll delivers the message as often as was asked and prints each report
// as soon as it is there. After a cancel every delivery that is still to come
// reports so at once, so that there is always one report for each.
func deliverAll(ctx context.Context, cfg *config, content smtpclient.Content, out *printer) {
	out.start = time.Now()
	total := int64(max(cfg.repeat, 1))
	var last atomic.Int64
	var workers sync.WaitGroup
	for range cfg.workers() {
		workers.Go(func() {
			for n := last.Add(1); n <= total; n = last.Add(1) {
				out.report(deliver(out.withTrace(ctx, cfg, n), cfg, content))
			}
		})
	}
	workers.Wait()
}

// deliver is one call of the library.
func deliver(ctx context.Context, cfg *config, content smtpclient.Content) (smtpclient.Report, error) {
	if cfg.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.deadline)
		defer cancel()
	}
	return cfg.deliverTo(ctx, content)
}

// withTrace has the dialogue and the duration of every stage printed, with the
// number of the delivery before each line where there are several.
func (p *printer) withTrace(ctx context.Context, cfg *config, n int64) context.Context {
	if !cfg.trace {
		return ctx
	}
	prefix := ""
	if cfg.repeat > 1 {
		prefix = fmt.Sprintf("%d ", n)
	}
	return smtpclient.WithTrace(ctx, &smtpclient.Trace{
		Line: func(_ context.Context, line string) { p.note(prefix + line) },
		Done: func(_ context.Context, e smtpclient.Event) { p.note(prefix + stageLine(e)) },
	})
}

// stageLine says how long a stage took, as "-- connect mx.example.net
// (192.0.2.25:25) 12ms: connection refused".
func stageLine(e smtpclient.Event) string {
	line := "-- " + e.Stage.String()
	if server := serverName(e.Attempt); server != "" {
		line += " " + server
	}
	line += " " + e.Duration.Round(time.Microsecond).String()
	if e.Cause != nil {
		line += ": " + e.Cause.Error()
	}
	return line
}
