package smtpclient_test

import (
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A reply that came with the 354 is read before the end of the data goes out: a
// refusal decides, and nothing else can be trusted (R16, B15, B17). The message
// is never complete then.
func TestReplyBeforeTheEndOfTheData(t *testing.T) {
	for reply, want := range map[string]string{
		"250 2.0.0 ok\r\n":                   "deferred data-block 4.5.0",
		"354 once more\r\n":                  "deferred data-block 4.5.0",
		"what?\r\n":                          "deferred data-block 4.5.0",
		"552 5.3.4 too big\r\n":              "failed data-block 5.3.4",
		"451 4.3.0 disk full\r\n":            "deferred data-block 4.3.0",
		"421 4.3.2 bye\r\n":                  "deferred data-block 4.3.2",
		"554-5.7.1 spam\r\n554 5.7.1 no\r\n": "failed data-block 5.7.1",
	} {
		for mode, extensions := range map[string][]string{"pipelined": pipelined, "lockstep": lockstep} {
			for size, message := range map[string]string{"short": hello, "long": longMessage(200_000)} {
				t.Run(reply[:3]+"/"+mode+"/"+size, func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true // a client that closes within the content
						mx := w.mx(10, &smtptest.Server{Extensions: extensions, Script: on("DATA", action{Raw: []byte("354 go\r\n" + reply)})})
						report := w.deliver(t.Context(), fromAnn("bob@example.net"), message)
						expect(t, report, "bob@example.net "+want)
						if n := len(mx.Messages()); n != 0 {
							t.Errorf("%d messages arrived", n)
						}
					})
				})
			}
		}
	}
}
