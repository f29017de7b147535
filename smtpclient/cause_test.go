package smtpclient_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A ctx that ends for a reason of its own still says how it ended: by a cancel,
// or by its deadline, which is a timeout.
func TestCauseOfCancel(t *testing.T) {
	mine := errors.New("the operator has had enough")
	for _, verb := range []string{"EHLO", smtptest.EndOfData} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{Script: silentAt(verb)})
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, mine)
			defer cancel()
			err := w.deliver(ctx, fromAnn("bob@example.net"), hello).Err()
			var e *smtpclient.Error
			if !errors.As(err, &e) || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, mine) {
				t.Errorf("deadline at %s: %v", verb, err)
			}
		})
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{Script: silentAt(verb)})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(mine) })
			err := w.deliver(ctx, fromAnn("bob@example.net"), hello).Err()
			var e *smtpclient.Error
			if !errors.As(err, &e) || e.Timeout() || !errors.Is(err, context.Canceled) || !errors.Is(err, mine) {
				t.Errorf("cancel at %s: %v", verb, err)
			}
		})
	}
}
