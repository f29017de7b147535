package smtpclient_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// storeSaying is an LMTP server that says verdicts as they are, for bob, carol and dave.
func storeSaying(verdicts ...string) *smtptest.Server {
	return &smtptest.Server{Mode: smtptest.LMTP, Script: func(c smtptest.Command) action {
		for i, name := range []string{"bob", "carol", "dave"} {
			if c.Verb == smtptest.EndOfData && strings.Contains(c.Args, name) {
				return action{Raw: []byte(verdicts[i])}
			}
		}
		return action{}
	}}
}

// A verdict that a store does not end runs together with the next one of the same code.
// The client waits for one more than there are: those behind it are Unknown, since each
// could be another's. Where all come, each is believed, however many lines it has.
func TestVerdictsThatRunTogether(t *testing.T) {
	const yes, no, end = "250 2.0.0 ok\r\n", "550 5.7.1 spam\r\n", "421 4.3.2 bye\r\n"
	const open, openNo = "250-2.0.0 ok\r\n", "550-5.7.1 spam\r\n"
	for name, tt := range map[string]struct {
		verdicts [3]string
		want     [3]string
	}{
		"bob's, and dave is refused":          {[3]string{open, yes, no}, [3]string{"delivered data-done 2.0.0", "unknown data-done 4.4.2", "unknown data-done 4.4.2"}},
		"bob's, all accepted":                 {[3]string{open, yes, yes}, [3]string{"delivered data-done 2.0.0", "unknown data-done 4.4.2", "unknown data-done 4.4.2"}},
		"bob is refused, carol too":           {[3]string{openNo, no, yes}, [3]string{"failed data-done 5.7.1", "unknown data-done 4.4.2", "unknown data-done 4.4.2"}},
		"bob's, and the store goes":           {[3]string{open, yes, end}, [3]string{"delivered data-done 2.0.0", "unknown data-done 4.3.2", "unknown data-done 4.3.2"}},
		"bob's and carol's":                   {[3]string{open, open, yes}, [3]string{"delivered data-done 2.0.0", "unknown data-done 4.4.2", "unknown data-done 4.4.2"}},
		"carol's":                             {[3]string{no, open, yes}, [3]string{"failed data-done 5.7.1", "delivered data-done 2.0.0", "unknown data-done 4.4.2"}},
		"bob's, of another code than carol's": {[3]string{open, no, yes}, [3]string{"unknown data-done 4.5.0", "unknown data-done 4.5.0", "unknown data-done 4.5.0"}},
		"several lines, and all come":         {[3]string{open + yes, openNo + no, yes}, [3]string{"delivered data-done 2.0.0", "failed data-done 5.7.1", "delivered data-done 2.0.0"}},
		"several lines, and then it goes":     {[3]string{yes, open + yes, end}, [3]string{"delivered data-done 2.0.0", "delivered data-done 2.0.0", "deferred data-done 4.3.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			inSession(t, storeSaying(tt.verdicts[:]...), smtpclient.Target{Protocol: smtpclient.LMTP}, func(t *testing.T, s *heldSession) {
				report := send(t, s, "bob@example.net", "carol@example.net", "dave@example.net")
				expect(t, report, "bob@example.net "+tt.want[0], "carol@example.net "+tt.want[1], "dave@example.net "+tt.want[2])
			})
		})
	}
}

// Verdicts that come twice, or without a line end, are shifted, and each of them is well
// formed: no client can see whose they are. The count shows it too late for those before,
// but the session is not used again.
func TestVerdictsOfOthers(t *testing.T) {
	const bob, carol, dave = "250 2.0.0 for bob\r\n", "250 2.0.0 for carol\r\n", "250 2.0.0 for dave\r\n"
	for name, tt := range map[string]struct {
		first string
		heard [3]string // the verdicts as they are reported
		last  string
	}{
		"twice":              {bob + bob, [3]string{"for bob", "for bob", "for carol"}, "delivered data-done 2.0.0"},
		"without a line end": {"250 2.0.0 for bob", [3]string{"for bob250 2.0.0 for carol", "for dave", ""}, "unknown data-done 4.4.2"},
	} {
		t.Run(name, func(t *testing.T) {
			inSession(t, storeSaying(tt.first, carol, dave), smtpclient.Target{Protocol: smtpclient.LMTP}, func(t *testing.T, s *heldSession) {
				report := send(t, s, "bob@example.net", "carol@example.net", "dave@example.net")
				expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0", "dave@example.net "+tt.last)
				for i, o := range report.Outcomes {
					if got := strings.TrimPrefix(strings.Join(o.Reply.Lines, "|"), "2.0.0 "); got != tt.heard[i] {
						t.Errorf("the verdict on %s is %q, want %q", o.Address, got, tt.heard[i])
					}
				}
				if _, err := s.Noop(t.Context()); err == nil {
					t.Error("the session goes on")
				}
			})
		})
	}
}

// wordByWord gives a line at a time, as they come in packets of their own.
type wordByWord struct {
	net.Conn
	left []byte
}

func (c *wordByWord) Read(p []byte) (int, error) {
	if len(c.left) == 0 {
		room := make([]byte, 4<<10)
		n, err := c.Conn.Read(room)
		if c.left = room[:n]; err != nil {
			return 0, err
		}
	}
	n := copy(p, c.left[:bytes.IndexByte(c.left, '\n')+1])
	c.left = c.left[n:]
	return n, nil
}

func (c *wordByWord) Buffered() int {
	return len(c.left) + c.Conn.(interface{ Buffered() int }).Buffered()
}

// A server that refuses a message twice, in two packets, is not taken to refuse the next
// transaction of the same call, too.
func TestSecondVerdictIsNotForMAIL(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		dial := w.client.Dialer.DialContext
		w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &wordByWord{Conn: conn}, err
		}
		mx := w.mx(10, &smtptest.Server{
			Extensions: []string{"LIMITS RCPTMAX=1"},
			Script:     on(smtptest.EndOfData, action{Raw: []byte("550 5.7.1 spam\r\n550 5.7.1 spam\r\n")}),
		})
		expect(t, w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), "Subject: one\r\n\r\nhello\r\n"),
			"bob@example.net failed data-done 5.7.1", "carol@example.net deferred mail 4.5.0")
		if got := dialogueOf(mx, 0); strings.Count(got, "MAIL") != 1 {
			t.Errorf("another transaction was begun:\n%s", got)
		}
	})
}
