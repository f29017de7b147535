package smtpclient_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A cancel behind the verdict ends the call at once, also where the server reads
// nothing any more: neither QUIT nor the farewell of TLS is waited for.
func TestCancelWhileLeaving(t *testing.T) {
	for mode, extensions := range map[string][]string{"TLS": nil, "TLS, lockstep": {"STARTTLS"}, "plaintext": pipelined, "plaintext, lockstep": lockstep} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{Extensions: extensions, Script: silentAt("QUIT")})
			ctx, cancel := context.WithCancel(t.Context())
			ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
				if e.Stage == smtpclient.StageDataDone {
					cancel()
					synctest.Wait()
				}
			}})
			start := time.Now()
			report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if took := time.Since(start); took != 0 {
				t.Errorf("%s: returned %v after the cancel", mode, took)
			}
		})
	}
}
