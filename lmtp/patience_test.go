package lmtp_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A store that is busy is waited for, for as long as Linux would try.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialer := *lmtp.Patient
		dialer.DialContext = smtptest.Network{"192.0.2.1:24": nil}.DialContext
		client := &lmtp.Client{Servers: []string{"192.0.2.1"}, Dialer: &dialer}
		report, err := hold(t, client).Deliver(t.Context(), envelope("bob@example.net"), smtpclient.Bytes([]byte(message)))
		if err == nil || report.Duration != 2*time.Minute || report.Outcomes[0].Stage != smtpclient.StageConnect {
			t.Errorf("after %v: %v", report.Duration, err)
		}
	})
}

// A server that announces nothing gets every command by itself, and one that
// announces something gets it.
func TestLockstep(t *testing.T) {
	for name, offers := range map[string][]string{"nothing": {}, "PIPELINING": {"PIPELINING"}, "CHUNKING": {"CHUNKING"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &smtptest.Server{Extensions: offers}
				defer server.Close()
				client := hold(t, store(server), server)
				client.Dialer = &smtpclient.Dialer{DialContext: server.DialContext, Quirks: func(smtpclient.Target) smtpclient.Quirks {
					return smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}
				}}
				if _, err := client.Deliver(t.Context(), envelope("bob@example.net", "carol@example.net"), smtpclient.Bytes([]byte(message))); err != nil {
					t.Fatal(err)
				}
				if v := server.Violations(); len(v) > 0 {
					t.Errorf("violations: %q", v)
				}
				reads := 0
				for _, c := range server.Transcript(0) {
					if c.FromClient {
						reads++
					}
				}
				if together := reads < 5; together != (name == "PIPELINING") {
					t.Errorf("the client's words came in %d pieces", reads)
				}
				if chunked := server.Messages()[0].BDAT; chunked != (name == "CHUNKING") {
					t.Errorf("BDAT: %v", chunked)
				}
			})
		})
	}
}
