package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// atMost takes n recipients in a transaction, and answers the others with reply.
func atMost(n int, reply string) func(smtptest.Command) action {
	count := 0
	return func(c smtptest.Command) action {
		switch c.Verb {
		case "MAIL":
			count = 0
		case "RCPT":
			if count++; count > n {
				return action{Reply: reply}
			}
		}
		return action{}
	}
}

func sevenUsers() (to []string) {
	for i := range 7 {
		to = append(to, "user"+itoa(i)+"@example.net")
	}
	return to
}

// received is how many recipients each message of a server has.
func received(s *smtptest.Server) (list []int) {
	for _, m := range s.Messages() {
		list = append(list, len(m.To))
	}
	return list
}

func sameInts(a []int, b ...int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// E25, E26: who is too many for a transaction gets another one on the same
// session, at once; the codes tell that from a mailbox without room.
func TestTooManyRecipients(t *testing.T) {
	for _, tt := range []struct {
		reply string
		again bool   // in another transaction
		want  string // of the excess otherwise
	}{
		{"452 too many recipients", true, ""},
		{"452 4.5.3 too many recipients", true, ""},
		{"452 4.3.0 too many recipients", true, ""},
		{"552 too many recipients", true, ""},
		{"552 5.5.3 too many recipients", true, ""},
		{"452 4.2.2 mailbox full", false, "deferred rcpt 4.2.2"},
		{"552 5.2.2 mailbox full", false, "failed rcpt 5.2.2"},
		{"452 4.3.1 disk full", false, "deferred rcpt 4.3.1"},
		{"450 4.5.3 other code", false, "deferred rcpt 4.5.3"},
		{"550 5.5.3 other code", false, "failed rcpt 5.5.3"},
	} {
		for mode, extensions := range map[string][]string{"pipelined": pipelined, "lockstep": lockstep} {
			t.Run(tt.reply+"/"+mode, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					mx := w.mx(10, &smtptest.Server{Extensions: extensions, Script: atMost(3, tt.reply)})
					report := w.deliver(t.Context(), fromAnn(sevenUsers()...), hello)
					w.settle()
					if lines := clientLines(mx, 0); lines[len(lines)-1] != "QUIT" {
						t.Errorf("the client ended with %q", lines[len(lines)-1])
					}
					for i, o := range report.Outcomes {
						want := "delivered data-done 2.0.0"
						if i >= 3 && !tt.again {
							want = tt.want
						}
						if got := o.Status.String() + " " + o.Stage.String() + " " + o.Enhanced; got != want {
							t.Errorf("%s: %s, want %s", o.Address, got, want)
						}
						if len(o.Earlier) != 0 {
							t.Errorf("%s: too many is an attempt: %+v", o.Address, o.Earlier)
						}
					}
					if got := received(mx); tt.again && (!sameInts(got, 3, 3, 1) || mx.Sessions() != 1) {
						t.Errorf("messages to %v recipients in %d sessions, want 3, 3, 1 in one", got, mx.Sessions())
					}
				})
			})
		}
	}
}

// The first recipient is never too many: such a server makes no progress.
func TestTooManyFromTheStart(t *testing.T) {
	for reply, want := range map[string]string{"452 4.5.3 too many": "deferred rcpt 4.5.3", "552 5.5.3 too many": "failed rcpt 5.5.3"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{Script: on("RCPT", action{Reply: reply})})
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello), "bob@example.net "+want, "carol@example.net "+want)
		})
	}
}

// Where the session breaks before their turn, those who were too many are
// deferred by what the server said to them, and go on to the next host.
func TestTooManyAndLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		limit := atMost(1, "552 5.5.3 too many recipients")
		w.mx(10, &smtptest.Server{Script: func(c smtptest.Command) action {
			if c.Verb == smtptest.EndOfData {
				return action{Fault: smtptest.Drop}
			}
			return limit(c)
		}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		expect(t, report, "bob@example.net unknown data-done 4.4.2", "carol@example.net deferred rcpt 4.5.3")
		if got := report.Outcomes[1].Reply.Code; got != 552 {
			t.Errorf("carol's reply is %d", got)
		}
		w.mx(20, &smtptest.Server{})
		w.client.Cache = cache.None
		report = w.deliver(t.Context(), fromAnn("dave@example.net", "erin@example.net"), hello)
		expect(t, report, "dave@example.net unknown data-done 4.4.2", "erin@example.net delivered data-done 2.0.0")
	})
}

// C24: what a server says of its limits beforehand is obeyed; what is no limit
// tells nothing.
func TestLIMITS(t *testing.T) {
	for _, tt := range []struct {
		limits   []string
		received []int
		sessions int
	}{
		{[]string{"LIMITS RCPTMAX=3"}, []int{3, 3, 1}, 1},
		{[]string{"limits rcptmax=3 MAILMAX=2"}, []int{3, 3, 1}, 2},
		{[]string{"LIMITS RCPTMAX=3 RCPTDOMAINMAX=1"}, []int{3, 3, 1}, 1},
		{[]string{"LIMITS MAILMAX=1 RCPTMAX=4"}, []int{4, 3}, 2},
		{[]string{"X-RCPTLIMIT 5"}, []int{5, 2}, 1},
		{[]string{"LIMITS RCPTMAX=4", "X-RCPTLIMIT 5"}, []int{4, 3}, 1},
		{[]string{"LIMITS RCPTMAX=0 MAILMAX=abc RCPTDOMAINMAX=-1 XYZZY=1 RCPTMAX="}, []int{7}, 1},
		{[]string{"LIMITS"}, []int{7}, 1},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: append(tt.limits, "PIPELINING")})
			report := w.deliver(t.Context(), fromAnn(sevenUsers()...), hello)
			if report.Err() != nil {
				t.Errorf("%v: %v", tt.limits, report.Err())
			}
			if got := received(mx); !sameInts(got, tt.received...) || mx.Sessions() != tt.sessions {
				t.Errorf("%v: messages to %v recipients in %d sessions, want %v in %d", tt.limits, got, mx.Sessions(), tt.received, tt.sessions)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // E36
		mx := w.mx(10, &smtptest.Server{Extensions: []string{"LIMITS RCPTDOMAINMAX=1"}})
		w.client.NextHops = []string{"[192.0.2.10]"}
		report := w.deliver(t.Context(), fromAnn("a@example.net", "b@example.com", "c@example.net", "d@example.com"), hello)
		if report.Err() != nil {
			t.Error(report.Err())
		}
		var got []string
		for _, m := range mx.Messages() {
			got = append(got, strings.Join(m.To, " "))
		}
		if want := "a@example.net c@example.net, b@example.com d@example.com"; strings.Join(got, ", ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// On a session by hand the transactions that its server allows are all there are.
func TestSessionMAILMAX(t *testing.T) {
	server := &smtptest.Server{Extensions: []string{"LIMITS MAILMAX=2 RCPTMAX=1"}}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		report := send(t, s, "bob@example.net", "carol@example.net", "dave@example.net")
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0", "dave@example.net deferred mail 4.5.3")
		expect(t, send(t, s, "erin@example.net"), "erin@example.net deferred mail 4.5.3")
	})
}

// Verify asks for each recipient in a transaction of its own and sends no content.
func TestVerify(t *testing.T) {
	script := func(c smtptest.Command) action {
		switch {
		case strings.Contains(c.Args, "<bob@"):
			return action{Reply: "250 2.1.5 welcome"}
		case strings.Contains(c.Args, "<carol@"):
			return action{Reply: "550 5.1.1 nobody"}
		case strings.Contains(c.Args, "<dave@"):
			return action{Reply: "450 4.2.1 wait"}
		}
		return action{}
	}
	for _, extensions := range [][]string{pipelined, lockstep} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: extensions, Script: script})
			env := fromAnn("bob@example.net", "carol@example.net", "dave@example.net")
			env.Verify = smtpclient.VerifyRcpt
			report, err := w.client.Deliver(t.Context(), env, nil)
			checkError(t, report, err)
			expect(t, report, "bob@example.net delivered rcpt 2.1.5", "carol@example.net failed rcpt 5.1.1", "dave@example.net deferred rcpt 4.2.1")
			w.settle()
			lines := strings.Join(clientLines(mx, 0), "|")
			want := "EHLO client.example.org|MAIL FROM:<ann@example.org>|RCPT TO:<bob@example.net>|RSET|MAIL FROM:<ann@example.org>|RCPT TO:<carol@example.net>|RSET|MAIL FROM:<ann@example.org>|RCPT TO:<dave@example.net>|QUIT"
			if lines != want || len(mx.Messages()) != 0 {
				t.Errorf("the client said %s, want %s", lines, want)
			}
		})
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true // the connection is closed in the place of content
			mx := w.mx(10, &smtptest.Server{Extensions: extensions, Script: script})
			env := fromAnn("bob@example.net", "carol@example.net", "erin@example.net")
			env.Verify = smtpclient.VerifyData
			report, err := w.client.Deliver(t.Context(), env, nil)
			checkError(t, report, err)
			expect(t, report, "bob@example.net delivered data-init 2.0.0", "carol@example.net failed rcpt 5.1.1", "erin@example.net delivered data-init 2.0.0")
			if len(mx.Messages()) != 0 || mx.Sessions() != 2 {
				t.Errorf("%d messages, %d sessions", len(mx.Messages()), mx.Sessions())
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Script: on("DATA", action{Reply: "554 5.7.1 no"})})
		env := fromAnn("bob@example.net")
		env.Verify = smtpclient.VerifyData
		report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		expect(t, report, "bob@example.net failed data-init 5.7.1")
	})
}

// A server with our own name is ourselves: the best exchanger bounces, another
// defers and the next host is tried (N16). A configured next hop may be a server
// on this machine.
func TestOwnName(t *testing.T) {
	own := on("EHLO", action{Reply: "250-Client.Example.ORG hello\n250 PIPELINING"})
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Script: own})
		mx20 := w.mx(20, &smtptest.Server{})
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net failed hello 5.4.6")
		if mx20.Sessions() != 0 {
			t.Error("the next host was tried")
		}
		w.client.NextHops = []string{"[192.0.2.10]"}
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.absentMX(10)
		w.mx(20, &smtptest.Server{Script: own})
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net deferred hello 4.4.6")
		w.mx(30, &smtptest.Server{})
		w.client.Cache = cache.None
		expect(t, w.deliver(t.Context(), fromAnn("carol@example.net"), hello), "carol@example.net delivered data-done 2.0.0")
	})
	inWorld(t, func(t *testing.T, w *world) { // only on port 25
		w.mx(10, nil)
		w.net["192.0.2.10:2525"] = &smtptest.Server{Script: own}
		w.client.Routing = resolve.Routing{Port: 2525}
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
	})
}
