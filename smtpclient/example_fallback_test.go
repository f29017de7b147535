package smtpclient_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A relay takes what cannot be sent directly: here the domain is not found. With
// FallbackDeferred it would also get what a server has deferred.
func ExampleFallbackFor() {
	relay := &smtptest.Server{}
	defer relay.Close()
	client := &smtpclient.Client{
		LocalName:   "mail.example.org",
		Fallback:    []string{"[192.0.2.1]"},
		FallbackFor: smtpclient.FallbackUnanswered,
		Resolver:    resolve.Static{},
		Dialer:      &smtpclient.Dialer{DialContext: relay.DialContext},
	}
	report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@intranet.example"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))

	o := report.Outcomes[0]
	fmt.Println(o.Status, "by", o.Host)
	fmt.Println("before:", o.Earlier[0].Stage, o.Earlier[0].Enhanced)
	// Output:
	// delivered by 192.0.2.1
	// before: resolve 5.4.4
}

// A machine that is itself the best host of a domain must not send its mail on. The
// caller can tell, and deliver it here.
func ExampleClient_Deliver_loop() {
	client := &smtpclient.Client{
		Routing: resolve.Routing{Self: []string{"mail.example.org"}},
		Resolver: resolve.Static{
			{Name: "example.org", Type: resolve.TypeMX}: {MX: []resolve.MX{{Preference: 10, Host: "mail.example.org"}}},
		},
	}
	_, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "bob@example.net",
		To:   smtpclient.To("ann@example.org"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))

	if errors.Is(err, resolve.ErrLoop) {
		fmt.Println("to be delivered on this machine")
	}
	// Output: to be delivered on this machine
}
