package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func TestDeliver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		expect(t, report,
			"bob@example.net delivered data-done 2.0.0",
			"carol@example.net delivered data-done 2.0.0")
		if n := mx.Sessions(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
		o := report.Outcomes[0]
		if o.Host != "mx10.example.net" || o.Addr != "192.0.2.10:25" || o.Reply.Code != 250 || o.Action != "relayed" {
			t.Errorf("outcome does not say where: %+v", o)
		}
		if o.TLS.Wanted != tlspolicy.May || o.TLS.Reached != tlspolicy.Encrypt || o.TLS.Version == 0 {
			t.Errorf("TLS was offered, but the state is %+v", o.TLS)
		}
	})
}

// The story of DESIGN.md: the first refuses the connection, the second takes two
// of three, the third takes the one that is left.
func TestNextHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.absentMX(10)
		mx20 := w.mx(20, &smtptest.Server{Script: onRcpt("carol@", "451 4.7.1 come back later")})
		mx30 := w.mx(30, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net", "dave@example.net"), hello)
		expect(t, report,
			"bob@example.net delivered data-done 2.0.0",
			"carol@example.net delivered data-done 2.0.0",
			"dave@example.net delivered data-done 2.0.0")
		if got := mx20.Messages()[0].To; strings.Join(got, " ") != "bob@example.net dave@example.net" {
			t.Errorf("mx20 has %v", got)
		}
		if got := mx30.Messages()[0].To; strings.Join(got, " ") != "carol@example.net" {
			t.Errorf("mx30 has %v", got)
		}
		var tried []string
		for _, a := range report.Outcomes[1].Earlier {
			tried = append(tried, a.Host+" "+a.Stage.String()+" "+a.Enhanced)
		}
		if got, want := strings.Join(tried, ", "), "mx10.example.net connect 4.4.1, mx20.example.net rcpt 4.7.1"; got != want {
			t.Errorf("carol's earlier attempts are %q, want %q", got, want)
		}
		if n := len(report.Outcomes[0].Earlier); n != 1 {
			t.Errorf("bob has %d earlier attempts, want 1", n)
		}
	})
}

// onRcpt answers RCPT for paths that begin with prefix.
func onRcpt(prefix, reply string) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<"+prefix) {
			return smtptest.Action{Reply: reply}
		}
		return smtptest.Action{}
	}
}

// on does a at one verb.
func on(verb string, a smtptest.Action) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb == verb {
			return a
		}
		return smtptest.Action{}
	}
}
