package smtpclient_test

import (
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// Whatever a server's replies are, each recipient has one outcome, and nobody is
// delivered to without a 2yz, or fails without a 5yz.
func FuzzBatchReplies(f *testing.F) {
	f.Add("220 mx\n250 mx\n250 ok\n250 ok\n550 no\n354 go\n250 ok\n250 ok\n250 ok\n250 ok\n354 go\n250 ok\n221 bye\n")
	f.Add("220 mx\r\n250 mx\r\nMAIL FROM:<a@b>\r\n250-a\r\n250 b\r\n450 x\r\n550 y\r\n554 no\r\n")
	f.Add("220-\n220 mx\n250\n")
	f.Add("421 go\n")
	f.Add(strings.Repeat("250-x\n", 20_000))
	f.Fuzz(func(t *testing.T, replies string) {
		b, err := smtpclient.NewBatch(io.Discard, "client.example.org")
		if err != nil {
			t.Fatal(err)
		}
		envs := []smtpclient.Envelope{fromAnn("bob@example.net", "carol@example.net"), fromAnn("dave@example.net")}
		for _, env := range envs {
			if err := b.Add(t.Context(), env, smtpclient.Bytes([]byte(hello))); err != nil {
				t.Fatal(err)
			}
		}
		reports, err := b.Replies(t.Context(), strings.NewReader(replies))
		if err != nil || len(reports) != len(envs) {
			t.Fatalf("%d reports, %v", len(reports), err)
		}
		for i, r := range reports {
			if len(r.Outcomes) != len(envs[i].To) {
				t.Fatalf("%d outcomes for %d recipients", len(r.Outcomes), len(envs[i].To))
			}
			for _, o := range r.Outcomes {
				switch {
				case o.Status == smtpclient.Delivered && !strings.Contains(replies, "2"),
					o.Status == smtpclient.Failed && !strings.Contains(replies, "5"),
					o.Status == smtpclient.Deferred && o.Reply.Code/100 != 4 && o.Cause == nil:
					t.Errorf("%s is %v after %q: %+v", o.Address, o.Status, replies, o.Attempt)
				}
			}
		}
	})
}
