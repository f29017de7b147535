package interop

import (
	"slices"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// A probe gets the verdicts of a delivery, and leaves nothing behind.
func TestVerify(t *testing.T) {
	for name, verify := range map[string]smtpclient.Verify{"at RCPT": smtpclient.VerifyRcpt, "at DATA": smtpclient.VerifyData} {
		t.Run(name, func(t *testing.T) {
			eachChannel(t, func(t *testing.T, p peer, s server, ch channel) {
				to := s.NewMailbox("example.test")
				client := ch.client(s, p.door)
				env := envelope(slices.Concat(p.refused(), []string{to})...)
				env.Verify = verify
				report := deliverTo(t, client, env, nil)
				wantRefusals(t, p, report.Outcomes[:len(p.refuse)])
				if o := report.Outcomes[len(p.refuse)]; o.Status != smtpclient.Delivered {
					t.Errorf("%s: %v, %v", o.Address, o.Status, o.Err())
				}
				wantDelivered(t, deliver(t, client, simple("after the probe"), to))
				stored(t, s, to) // just one
			})
		})
	}
}
