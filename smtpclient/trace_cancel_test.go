package smtpclient_test

import (
	"context"
	"errors"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A queue writes down that a message is about to be sent when the content begins. Where
// it cannot, and cancels, not a byte of the content goes out, by DATA or by BDAT: the
// recipient is certainly Deferred, for the cause that was given.
func TestTraceKeepsContentBack(t *testing.T) {
	for _, chunking := range []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingAfter} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			s := w.mx(10, &smtptest.Server{})
			dialer := *w.client.Dialer
			dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return smtpclient.Quirks{Chunking: chunking} }
			w.client.Dialer = &dialer
			ctx, cancel := context.WithCancelCause(t.Context())
			full := errors.New("the disk is full")
			trace := &smtpclient.Trace{Start: func(_ context.Context, e smtpclient.Event) {
				if e.Stage == smtpclient.StageDataBlock {
					cancel(full)
				}
			}}
			report := w.deliver(smtpclient.WithTrace(ctx, trace), fromAnn("bob@example.net"), hello)
			o := report.Outcomes[0]
			if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageDataBlock || !errors.Is(o.Cause, full) || len(s.Messages()) != 0 {
				t.Errorf("%v at %v: %v; %d messages", o.Status, o.Stage, o.Cause, len(s.Messages()))
			}
			if s.Sessions() != 1 {
				t.Errorf("%d sessions", s.Sessions())
			}
		})
	}
}
