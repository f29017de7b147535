package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

func softBounce(a smtpclient.Attempt, s smtpclient.Status) smtpclient.Status {
	if s == smtpclient.Failed {
		return smtpclient.Deferred
	}
	return s
}

// With soft_bounce nothing fails: what was refused goes to the next host, and at
// the end waits.
func TestSoftBounce(t *testing.T) {
	refuse := func(verb, reply string) *smtptest.Server {
		return &smtptest.Server{Script: on(verb, action{Reply: reply})}
	}
	for verb, want := range map[string]string{"MAIL": "mail", "RCPT": "rcpt", "DATA": "data-init", smtptest.EndOfData: "data-done"} {
		t.Run(verb, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.client.Classify = softBounce
				w.mx(10, refuse(verb, "550 5.7.1 no"))
				w.mx(20, refuse(verb, "550 5.7.9 no, either"))
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net deferred "+want+" 4.7.9")
				o := report.Outcomes[0]
				if o.Reply.Code != 550 || o.Reply.Enhanced != "5.7.9" || o.Action != "delayed" {
					t.Errorf("reply %v, action %s; want what the server said, and delayed", o.Reply, o.Action)
				}
				if len(o.Earlier) != 1 || o.Earlier[0].Enhanced != "4.7.1" {
					t.Errorf("earlier attempts %+v", o.Earlier)
				}
			})
			inWorld(t, func(t *testing.T, w *world) {
				w.client.Classify = softBounce
				w.mx(10, refuse(verb, "550 5.7.1 no"))
				w.mx(20, &smtptest.Server{})
				expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
			})
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Classify = softBounce
		w.dns[mxOfNet] = resolve.Answer{MX: []resolve.MX{{}}}
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net", "no-address@"), hello),
			"bob@example.net deferred resolve 4.1.10", "no-address@ deferred input 4.1.3")
	})
}

// A Deferred is shown when no host is left, and may then fail. Delivered and
// Unknown are never shown, and nothing else can be made of a verdict.
func TestClassify(t *testing.T) {
	busy := func(reply string) *smtptest.Server { return &smtptest.Server{Script: on("RCPT", action{Reply: reply})} }
	inWorld(t, func(t *testing.T, w *world) {
		var asked []string
		w.client.Classify = func(a smtpclient.Attempt, s smtpclient.Status) smtpclient.Status {
			asked = append(asked, s.String()+" "+a.Host+" "+a.Enhanced)
			return smtpclient.Failed
		}
		w.mx(10, busy("450 4.2.1 wait"))
		w.mx(20, busy("450 4.2.2 wait"))
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net failed rcpt 5.2.2")
		if got := strings.Join(asked, ", "); got != "deferred mx20.example.net 4.2.2" {
			t.Errorf("Classify was asked about %q", got)
		}
		if o := report.Outcomes[0]; o.Action != "failed" || o.Earlier[0].Enhanced != "4.2.1" {
			t.Errorf("action %s, the earlier attempt has %s", o.Action, o.Earlier[0].Enhanced)
		}
	})
	for _, wish := range []smtpclient.Status{smtpclient.Delivered, smtpclient.Unknown, 17} {
		inWorld(t, func(t *testing.T, w *world) {
			w.client.Classify = func(smtpclient.Attempt, smtpclient.Status) smtpclient.Status { return wish }
			w.mx(10, &smtptest.Server{Script: onRcpt("bob@", "450 4.2.1 wait")})
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net deferred rcpt 4.2.1")
			expect(t, w.deliver(t.Context(), fromAnn("carol@example.net"), hello), "carol@example.net delivered data-done 2.0.0")
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Classify = func(_ smtpclient.Attempt, s smtpclient.Status) smtpclient.Status {
			t.Errorf("Classify was asked about %v", s)
			return s
		}
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == smtptest.EndOfData && c.Session == 1 {
				return action{Fault: smtptest.Drop}
			}
			return action{}
		}})
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
		expect(t, w.deliver(t.Context(), fromAnn("carol@example.net"), hello), "carol@example.net unknown data-done 4.4.2")
	})
}

// A panic in Classify leaves the verdict, and says so.
func TestClassifyPanics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.client.Classify = func(smtpclient.Attempt, smtpclient.Status) smtpclient.Status { panic("classify gone mad") }
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			switch {
			case c.Verb != "RCPT":
				return action{}
			case strings.Contains(c.Args, "bob"):
				return action{Reply: "550 5.1.1 nobody"}
			}
			return action{Reply: "450 4.2.1 wait"}
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		expect(t, report, "bob@example.net failed rcpt 5.1.1", "carol@example.net deferred rcpt 4.2.1")
		for _, o := range report.Outcomes {
			if notes := strings.Join(o.Notes, " "); !strings.Contains(notes, "classify gone mad") || !strings.Contains(notes, "classify_test.go") {
				t.Errorf("%s: notes %q do not say what panicked and where", o.Address, notes)
			}
		}
	})
}

// Twins share what Classify made of one RCPT.
func TestClassifyTwins(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		asked := 0
		w.client.Classify = func(a smtpclient.Attempt, s smtpclient.Status) smtpclient.Status {
			asked++
			return smtpclient.Failed
		}
		w.mx(10, &smtptest.Server{Script: on("RCPT", action{Reply: "450 4.2.1 wait"})})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "bob@example.net"), hello)
		expect(t, report, "bob@example.net failed rcpt 5.2.1", "bob@example.net failed rcpt 5.2.1")
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}
