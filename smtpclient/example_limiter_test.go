package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Ten sessions to each destination, of which five are there to begin with, and two
// messages a minute from each source to each destination. What is beyond that was
// not attempted: the queue takes it back until NotBefore.
func ExampleLocalLimiter() {
	server := &smtptest.Server{}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		Resolver: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:   {MX: []resolve.MX{{Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: addrs("192.0.2.1")},
		},
		Dialer: &smtpclient.Dialer{DialContext: server.DialContext},
		Limiter: &smtpclient.LocalLimiter{Rules: func(u smtpclient.Use) []smtpclient.Limit {
			if u.Connection {
				return []smtpclient.Limit{{Key: u.Site, Max: 10, Start: 5}}
			}
			return []smtpclient.Limit{{Key: u.LocalName + " to " + u.Site, Max: 2, Per: time.Minute, Burst: 2}}
		}},
	}
	for range 3 {
		report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))

		o := report.Outcomes[0]
		fmt.Println(o.Status, "at", o.Stage)
		var refused *smtpclient.RefusedError
		if errors.As(o.Cause, &refused) {
			fmt.Println(refused.Key)
			fmt.Println("come back in", time.Until(o.NotBefore).Round(10*time.Second))
		}
	}
	// Output:
	// delivered at data-done
	// delivered at data-done
	// deferred at limit
	// mail.example.org to mx.example.net
	// come back in 30s
}
