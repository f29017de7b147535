package smtpclient_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// The report holds the dialogue up to the verdict, for whom it is asked for.
func TestTranscript(t *testing.T) {
	for mode, want := range map[smtpclient.Transcript][2]bool{
		smtpclient.TranscriptOff: {}, smtpclient.TranscriptUndelivered: {false, true}, smtpclient.TranscriptAll: {true, true},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{Extensions: lockstep, Script: onRcpt("carol", "550 5.1.1 no such user")})
			w.client.Dialer.Transcript = mode
			report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
			for i, o := range report.Outcomes {
				if got := len(o.Transcript) > 0; got != want[i] {
					t.Errorf("mode %d: %s has a transcript: %v", mode, o.Address, got)
				}
			}
			if mode == smtpclient.TranscriptOff {
				return
			}
			got := strings.Join(report.Outcomes[1].Transcript, "\n")
			for _, line := range []string{"S: 220 ", "C: EHLO client.example.org\n", "C: MAIL FROM:<ann@example.org> SIZE=", "C: RCPT TO:<carol@example.net>\nS: 550 5.1.1 no such user"} {
				if !strings.Contains(got, line) {
					t.Errorf("no %q in\n%s", line, got)
				}
			}
			if strings.Contains(got, "DATA") || strings.Contains(got, "Hello.") {
				t.Errorf("more than was said by then, or content, in\n%s", got)
			}
			if all := strings.Join(report.Outcomes[0].Transcript, "\n"); mode == smtpclient.TranscriptAll &&
				!strings.Contains(all, "C: DATA\nS: 354 ") || mode == smtpclient.TranscriptAll && !strings.Contains(all, fmt.Sprintf("C: <%d bytes>\nC: .\n", len(hello))) {
				t.Errorf("the content is not told in\n%s", all)
			}
		})
	}
}

// A session that cannot be opened has its dialogue, too.
func TestTranscriptOfHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Script: on(smtptest.Connect, action{Reply: "554 5.7.1 not you"})})
		w.client.Dialer.Transcript = smtpclient.TranscriptUndelivered
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		if got := report.Outcomes[0].Transcript; len(got) != 1 || got[0] != "S: 554 5.7.1 not you" {
			t.Errorf("transcript %q", got)
		}
	})
}

// A transaction has its own transcript, and a long one keeps both ends.
func TestTranscriptIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: pipelined})
		w.client.Dialer.Transcript = smtpclient.TranscriptAll
		s, err := w.client.Dialer.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Quit(t.Context())
		var to []string
		for i := range 400 {
			to = append(to, fmt.Sprintf("user%03d@example.net", i))
		}
		report, err := w.send(t.Context(), s, fromAnn(to...), smtpclient.Bytes([]byte(hello)))
		if err != nil {
			t.Fatal(err)
		}
		got := report.Outcomes[0].Transcript
		all := strings.Join(got, "\n")
		if len(got) > 150 || !strings.HasPrefix(got[0], "S: 220") || !strings.HasPrefix(got[len(got)-1], "S: 250") {
			t.Errorf("%d lines from %q to %q", len(got), got[0], got[len(got)-1])
		}
		if !strings.Contains(all, "lines are left out)") || strings.Count(all, "left out") != 1 || !strings.Contains(all, "<user000@") || !strings.Contains(all, "C: .\n") {
			t.Errorf("a piece is missing in\n%s", all)
		}
		again, err := w.send(t.Context(), s, fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello)))
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Outcomes[0].Transcript; !strings.HasPrefix(got[0], "C: MAIL") {
			t.Errorf("the second transaction begins with %q", got[0])
		}
		if strings.Join(report.Outcomes[0].Transcript, "\n") != all {
			t.Error("the first transcript has changed")
		}
	})
}

// What AUTH shows to a server is in no transcript, also where the server repeats
// it.
func TestTranscriptHoldsNoSecret(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		for name, replies := range map[string][]string{
			"taken": nil, "repeated": {"535 5.7.8 no " + thePassword + " here", "535 5.7.8 no " + thePassword + " here"},
		} {
			inWorld(t, func(t *testing.T, w *world) {
				server := submission(allMechanisms)
				if replies != nil {
					server.Script = script(replies...)
				}
				w.smarthost(server)
				w.client.Dialer.Transcript = smtpclient.TranscriptAll
				report := w.deliverAs(ann(mechanism))
				all := strings.Join(report.Outcomes[0].Transcript, "\n")
				if !strings.Contains(all, "\nC: AUTH "+mechanism) || !strings.Contains(all, "***") || overheard.Check(all) {
					t.Errorf("%s, %s: the transcript is\n%s", mechanism, name, all)
				}
			})
		}
	}
}
