package smtpclient_test

import (
	"context"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Each stage that a Trace saw start, it sees done, whatever goes wrong.
func TestTraceOfFaults(t *testing.T) {
	for _, verb := range []string{smtptest.Connect, "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", smtptest.EndOfData, "content"} {
		for _, act := range []action{{Fault: smtptest.Drop}, {Reply: "450 wait"}, {Reply: "421 bye"}, {Fault: smtptest.Garbage}, {Fault: smtptest.Stall}, {Reply: "250 ok", Fault: smtptest.Twice}} {
			if verb == "content" && (act.Fault == smtptest.Twice || act.Fault == smtptest.Garbage) {
				continue // what comes before the end of the data is not looked for yet
			}
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				server := &smtptest.Server{Script: on(verb, act)}
				if verb == "content" {
					if act.Reply != "" {
						act.Fault = smtptest.DropAfter // one that means it
					}
					server = &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 12}, Cuts: []smtptest.Cut{{Verb: "DATA", FromClient: true, After: 90_000, Action: act}}}
				}
				w.mx(10, server)
				var open []string
				failed := make(map[smtpclient.Stage]bool)
				trace := &smtpclient.Trace{
					Start: func(_ context.Context, e smtpclient.Event) { open = append(open, e.Stage.String()) },
					Done: func(_ context.Context, e smtpclient.Event) {
						if n := len(open); n == 0 || open[n-1] != e.Stage.String() {
							t.Errorf("%v is done, but %v were started", e.Stage, open)
							return
						}
						open = open[:len(open)-1]
						if e.Cause != nil || e.Reply.Code != 0 {
							failed[e.Stage] = true
						}
					},
				}
				report := w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net"), longMessage(300_000))
				if len(open) != 0 {
					t.Errorf("%s %+v: never done: %v", verb, act, open)
				}
				if o := report.Outcomes[0]; o.Status != smtpclient.Delivered && !failed[o.Stage] {
					t.Errorf("%s %+v: the trace did not see what decided: %v", verb, act, o.Err())
				}
			})
		}
	}
}
