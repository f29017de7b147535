package smtpclient_test

import (
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A 2yz that belongs to another command is no yes, wherever it comes (R13).
func TestCodesOfOtherCommands(t *testing.T) {
	for _, code := range []string{"211", "214", "220", "221", "235"} {
		for verb, want := range map[string]string{"MAIL": "deferred mail 4.5.0", "RCPT": "deferred rcpt 4.5.0", smtptest.EndOfData: "unknown data-done 4.5.0"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{Script: on(verb, action{Reply: code + " so what"})})
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+want)
			})
		}
	}
}
