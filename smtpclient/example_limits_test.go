package smtpclient_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A call that gives up early, tries more hosts, and bounces what a server refuses
// at its greeting.
func ExampleLimits() {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.Connect {
			return smtptest.Action{Reply: "554 5.7.1 we know you"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Limits: smtpclient.Limits{
			Addresses:    10,
			Recipients:   -1,                     // as many as the server takes
			Destinations: 50,                     // domains at the same time
			Stagger:      250 * time.Millisecond, // then the next address, too
			Call:         time.Minute,
			Final:        smtpclient.FinalGreeting | smtpclient.FinalHello,
		},
		Dialer: &smtpclient.Dialer{DialContext: server.DialContext},
	}
	_, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))

	fmt.Println(err.(*smtpclient.Error).Status)
	fmt.Println(err)
	// Output:
	// failed
	// smtp 192.0.2.25 greeting: 554 5.7.1 we know you
}

// A server that calls its block list a reason to bounce is not believed: the
// message waits.
func ExampleClient_classify() {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" {
			return smtptest.Action{Reply: "550 5.7.1 your address is on our block list"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Classify: func(a smtpclient.Attempt, s smtpclient.Status) smtpclient.Status {
			if s == smtpclient.Failed && strings.Contains(a.Reply.String(), "block list") {
				return smtpclient.Deferred
			}
			return s
		},
		Dialer: &smtpclient.Dialer{DialContext: server.DialContext},
	}
	report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))

	o := report.Outcomes[0]
	fmt.Println(o.Status, o.Enhanced, "after", o.Reply)
	// Output: deferred 4.7.1 after 550 5.7.1 your address is on our block list
}
