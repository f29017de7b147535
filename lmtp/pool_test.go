package lmtp_test

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Sessions to a store are kept in a pool, on a socket as over TCP.
func TestPool(t *testing.T) {
	server := &smtptest.Server{Mode: smtptest.LMTP}
	defer server.Close()
	socket := t.TempDir() + "/lmtp"
	if _, err := server.Listen("unix", socket); err != nil {
		t.Fatal(err)
	}
	pool := &smtpclient.Pool{KeepAll: true}
	client := hold(t, &lmtp.Client{Servers: []string{"unix:" + socket}, Pool: pool}, server)
	for i := range 3 {
		report, err := client.Deliver(t.Context(), smtpclient.Envelope{From: "a@example.org", To: []smtpclient.Recipient{{Address: fmt.Sprintf("b%d@example.net", i)}}},
			smtpclient.Bytes([]byte("Subject: x\r\n\r\nx\r\n")))
		if err != nil || report.Outcomes[0].Reused != i {
			t.Errorf("delivery %d: reused %d: %v", i, report.Outcomes[0].Reused, err)
		}
	}
	if err := pool.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
