package lmtp_test

import (
	"testing"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A Limiter holds for stores, too.
func TestLimiter(t *testing.T) {
	server := &smtptest.Server{Mode: smtptest.LMTP}
	defer server.Close()
	socket := t.TempDir() + "/lmtp"
	if _, err := server.Listen("unix", socket); err != nil {
		t.Fatal(err)
	}
	var sites []string
	client := &lmtp.Client{Servers: []string{"unix:" + socket}, Limiter: &smtpclient.LocalLimiter{Rules: func(u smtpclient.Use) []smtpclient.Limit {
		sites = append(sites, u.Site)
		return []smtpclient.Limit{{Key: u.Site}}
	}}}
	report, _ := hold(t, client, server).Deliver(t.Context(), smtpclient.Envelope{From: "a@example.org", To: []smtpclient.Recipient{{Address: "b@example.net"}}},
		smtpclient.Bytes([]byte("Subject: x\r\n\r\nx\r\n")))
	o := report.Outcomes[0]
	if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageLimit || o.NotBefore.IsZero() || len(sites) != 1 || sites[0] == "" {
		t.Errorf("%v at %v until %v; sites %q", o.Status, o.Stage, o.NotBefore, sites)
	}
}
