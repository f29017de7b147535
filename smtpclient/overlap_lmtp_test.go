package smtpclient_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// inStore is inConvoy with an LMTP server that is 50 ms away, by DATA and by BDAT in
// flights.
func inStore(t *testing.T, script func(smtptest.Command) smtptest.Action, test func(t *testing.T, c *convoy)) {
	t.Helper()
	for _, chunking := range []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingGrouped} {
		server := &smtptest.Server{Mode: smtptest.LMTP, Wire: smtptest.Wire{Delay: 50 * time.Millisecond, Window: 1 << 16}, Script: script}
		inConvoy(t, server, func(t *testing.T, c *convoy) {
			c.w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: chunking})
			c.w.client.Protocol = smtpclient.LMTP
			c.w.client.NextHops = []string{"[192.0.2.10]:24"}
			c.w.net["192.0.2.10:24"] = server
			delete(c.w.net, "192.0.2.10:25")
			test(t, c)
		})
	}
}

// In LMTP, too, a message for one recipient costs one round trip.
func TestOverlapLMTP(t *testing.T) {
	inStore(t, nil, func(t *testing.T, c *convoy) {
		start := time.Now()
		for n := range 50 {
			c.send(t.Context(), n, nil)
		}
		c.expect(strings.Repeat("d", 50))
		if took := time.Since(start); took > 60*100*time.Millisecond {
			t.Errorf("50 messages took %v", took)
		}
	})
}

// Each recipient of each message has his own verdict.
func TestOverlapLMTPVerdicts(t *testing.T) {
	inStore(t, refuseEnd("second", "452 4.2.2 full"), func(t *testing.T, c *convoy) {
		for n := range 20 {
			c.send(t.Context(), n, nil, fmt.Sprintf("second%d@example.net", n))
		}
		c.expect(strings.Repeat("d", 20))
		for n, report := range c.reports {
			if o := report.Outcomes[1]; o.Status != smtpclient.Deferred || o.Enhanced != "4.2.2" {
				t.Errorf("message %d, %s: %v", n, o.Address, o.Reply)
			}
		}
	})
}

// A server answers only for the first recipient of each message. The reply to no
// other command is the verdict on the second, whoever waits for the session, and
// also when QUIT gets 250.
func TestOverlapLMTPShort(t *testing.T) {
	for _, messages := range []int{1, 4} {
		t.Run(fmt.Sprint(messages), func(t *testing.T) {
			inStore(t, func(c smtptest.Command) smtptest.Action {
				switch {
				case c.Verb == smtptest.EndOfData && strings.HasPrefix(c.Args, "second"):
					return smtptest.Action{Raw: []byte{}}
				case c.Verb == "QUIT":
					return smtptest.Action{Reply: "250 bye"}
				}
				return smtptest.Action{}
			}, func(t *testing.T, c *convoy) {
				for n := range messages {
					c.send(t.Context(), n, nil, fmt.Sprintf("second%d@example.net", n))
				}
				c.expect(strings.Repeat("d", messages))
				for n, report := range c.reports {
					if o := report.Outcomes[1]; o.Status != smtpclient.Unknown || !strings.Contains(o.Err().Error(), "speaks SMTP") {
						t.Errorf("message %d, %s: %v by %v: %v", n, o.Address, o.Status, o.Reply, o.Err())
					}
				}
			})
		})
	}
}

// refuseEnd refuses the content for whom a name begins with prefix.
func refuseEnd(prefix, reply string) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && strings.HasPrefix(c.Args, prefix) {
			return smtptest.Action{Reply: reply}
		}
		return smtptest.Action{}
	}
}
