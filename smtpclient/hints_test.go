package smtpclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// next delivers to somebody who got nothing before, and gives what became of it.
func (w *world) next() smtpclient.Outcome {
	w.sent++
	return w.deliver(w.t.Context(), fromAnn("bob"+itoa(w.sent)+"@example.net"), hello).Outcomes[0]
}

// expectNext is for an outcome of next, as "delivered data-done 2.0.0".
func expectNext(t *testing.T, o smtpclient.Outcome, want string) {
	t.Helper()
	if got := o.Status.String() + " " + o.Stage.String() + " " + o.Enhanced; got != want {
		t.Errorf("%s, want %s: %v", got, want, o.Err())
	}
}

const nextDelivered = "delivered data-done 2.0.0"

// refusesChunks answers BDAT in the first session, or in all.
func refusesChunks(reply string, all bool) *smtptest.Server {
	return &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if (all || c.Session == 0) && (c.Verb == "BDAT" || c.Verb == smtptest.EndOfData && c.Message.BDAT) {
			return smtptest.Action{Reply: reply}
		}
		return smtptest.Action{}
	}}
}

// chunked has content go by BDAT where that is offered.
func (w *world) chunked() {
	w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks {
		return smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}
	}
}

// A server that offers CHUNKING and does not know BDAT gets the message by DATA the
// next time, for a day, from all who share the cache.
func TestHintNoBDAT(t *testing.T) {
	for _, refusal := range []string{"500 5.5.1 unknown command", "502 5.5.1 not implemented"} {
		inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
			w.client.Cache = &cache.Memory{}
			w.chunked()
			mx := w.mx(10, refusesChunks(refusal, true))
			o := w.next()
			expectNext(t, o, "deferred data-done 4.5.1")
			if notes := strings.Join(o.Notes, " "); !strings.Contains(notes, "does not know BDAT") {
				t.Errorf("notes %q", notes)
			}
			w.settle()
			if said := transcriptOf(mx, 0); mx.Sessions() != 1 || strings.Contains(said, "RSET") || strings.Contains(said, "QUIT") {
				t.Errorf("to a server that may take the content for commands: %q", said)
			}
			if s := w.client.Pool.Stats(); s.Idle != 0 {
				t.Errorf("%d sessions that are out of step are kept", s.Idle)
			}
			dialer := *w.client.Dialer
			w.client.Dialer = &dialer // it is another client now, with the same cache
			o = w.next()
			if expectNext(t, o, nextDelivered); o.Reused != 0 {
				t.Errorf("on the connection that is out of step: %d", o.Reused)
			}
			if m := mx.Messages(); len(m) != 2 || !m[0].BDAT || m[1].BDAT {
				t.Errorf("%d messages: %+v", len(m), m)
			}
			time.Sleep(24 * time.Hour)
			expectNext(t, w.next(), "deferred data-done 4.5.1")
		})
	}
}

// What is no refusal of the command teaches nothing; and where nothing is kept, the
// reply is the verdict.
func TestHintNoBDATOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		reply, want string
		cache       cache.Cache
	}{
		"too big":         {"552 5.3.4 too big", "failed data-done 5.3.4", &cache.Memory{}},
		"not now":         {"451 4.3.0 wait", "deferred data-done 4.3.0", &cache.Memory{}},
		"nothing is kept": {"500 5.5.1 unknown command", "failed data-done 5.5.1", cache.None},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.client.Cache = tt.cache
			w.chunked()
			mx := w.mx(10, refusesChunks(tt.reply, false))
			expectNext(t, w.next(), tt.want)
			expectNext(t, w.next(), nextDelivered)
			if m := mx.Messages(); !m[len(m)-1].BDAT {
				t.Errorf("%s: the next message came by DATA", name)
			}
		})
	}
}

// inOneGo tells that MAIL and RCPT came together in a session.
func inOneGo(s *smtptest.Server, session int) bool {
	for _, c := range s.Transcript(session) {
		if c.FromClient && strings.HasPrefix(string(c.Data), "MAIL ") {
			return strings.Contains(string(c.Data), "RCPT ")
		}
	}
	return false
}

// hangsUp is a server that hangs up at RCPT in the sessions that are named.
func hangsUp(sessions string) *smtptest.Server {
	return &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.Contains(sessions, itoa(c.Session)) {
			return smtptest.Action{Fault: smtptest.Reset}
		}
		return smtptest.Action{}
	}}
}

// Two groups of commands in a row that a server did not survive are enough: for a
// day each command waits for the reply to the one before.
func TestHintNoPipelining(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.client.Cache = &cache.Memory{}
		mx := w.mx(10, hangsUp("01"))
		for range 2 {
			expectNext(t, w.next(), "deferred rcpt 4.4.2")
		}
		for range 2 {
			expectNext(t, w.next(), nextDelivered)
		}
		time.Sleep(24 * time.Hour)
		expectNext(t, w.next(), nextDelivered)
		for session, want := range []bool{true, true, false, false, true} {
			if got := inOneGo(mx, session); got != want {
				t.Errorf("session %d: in one go: %v", session, got)
			}
		}
	})
}

// One such failure may be the network's, and a group that goes well clears it.
func TestHintPipeliningIsCleared(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.client.Cache = &cache.Memory{}
		mx := w.mx(10, hangsUp("02"))
		for range 4 {
			w.next()
		}
		for session := range 4 {
			if !inOneGo(mx, session) {
				t.Errorf("session %d: one by one", session)
			}
		}
		if n := len(mx.Messages()); n != 2 {
			t.Errorf("%d messages", n)
		}
	})
}

// A server that takes two messages on a connection and says so is asked for a third
// once: from then on a new connection comes in time.
func TestHintMessagesPerConnection(t *testing.T) {
	for reply, first := range map[string]string{
		"421 4.7.0 too many messages in this connection":         "0 1 0 1 0 1 0",
		"452 4.5.3 Maximum message count per session reached":    "0 1 0 1 0 1",
		"451 4.7.1 You have sent too many mails. Reconnect, do.": "0 1 0 1 0 1",
	} {
		inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
			w.client.Cache = &cache.Memory{}
			refusals, mails := 0, map[int]int{}
			w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
				if c.Verb != "MAIL" {
					return smtptest.Action{}
				}
				if mails[c.Session]++; mails[c.Session] > 2 {
					refusals++
					return smtptest.Action{Reply: reply}
				}
				return smtptest.Action{}
			}})
			var reused []string
			for range 7 {
				if o := w.next(); o.Status == smtpclient.Delivered {
					reused = append(reused, itoa(o.Reused))
				}
			}
			if got := strings.Join(reused, " "); got != first || refusals != 1 {
				t.Errorf("%s: reused %s, %d refusals", reply, got, refusals)
			}
		})
	}
}

// A refusal of MAIL about anything else is not taken for a bound.
func TestHintOtherRefusals(t *testing.T) {
	inPool(t, &smtpclient.Pool{KeepAll: true}, func(t *testing.T, w *world) {
		w.client.Cache = &cache.Memory{}
		mails := 0
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "MAIL" {
				if mails++; mails == 2 {
					return smtptest.Action{Reply: "451 4.3.0 not now"}
				}
			}
			return smtptest.Action{}
		}})
		expectNext(t, w.next(), nextDelivered)
		expectNext(t, w.next(), "deferred mail 4.3.0")
		if got := w.reuse(3); got != "1 2 3" && got != "2 3 4" {
			t.Errorf("reused %s", got)
		}
	})
}
