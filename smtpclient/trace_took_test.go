package smtpclient_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Who only measures is told of the same stages as who is told all, for the same times
// and with the same success, whatever goes wrong.
func TestTook(t *testing.T) {
	for _, script := range []func(smtptest.Command) smtptest.Action{
		nil,
		onRcpt("carol", "550 5.1.1 no such user"),
		on("MAIL", action{Reply: "450 4.2.1 wait"}),
		on(smtptest.EndOfData, action{Fault: smtptest.Drop}),
		on("EHLO", action{Fault: smtptest.Stall}),
	} {
		for _, wire := range []smtptest.Wire{{}, {Window: 1 << 16, Delay: time.Second}} {
			stages := func(trace *smtpclient.Trace) {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = true
					w.mx(10, &smtptest.Server{Extensions: pipelined, Wire: wire, Script: script})
					w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net", "carol@example.net"), hello)
				})
			}
			var all, measured []string
			stages(&smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
				all = append(all, fmt.Sprint(e.Stage, e.Duration, e.Cause != nil || e.Reply.Code >= 400))
			}})
			stages(&smtpclient.Trace{Took: func(_ context.Context, took smtpclient.Took) {
				measured = append(measured, fmt.Sprint(took.Stage, took.Duration, took.Failed))
			}})
			if !slices.Equal(all, measured) || len(all) < 4 {
				t.Errorf("all: %v\nmeasured: %v", all, measured)
			}
		}
	}
}
