package smtpclient_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// One message to the servers of its recipient. A program needs no more of the
// Client than LocalName; the other two fields put this example's own DNS records
// and mail server in the place of the Internet.
func ExampleClient_Deliver() {
	server := &smtptest.Server{}
	defer server.Close()
	internet := smtptest.Network{"192.0.2.25:25": server}
	names := resolve.Static{
		{Name: "example.net", Type: resolve.TypeMX}:   {MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
		{Name: "mx.example.net", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}},
	}

	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		Resolver:  names,
		Dialer:    &smtpclient.Dialer{DialContext: internet.DialContext},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	message := "From: ann@example.org\r\nTo: bob@example.net\r\nSubject: Hello\r\n\r\nHello Bob.\r\n"
	report, err := client.Deliver(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte(message)))
	if err != nil {
		fmt.Println(err)
		return
	}
	bob := report.Outcomes[0]
	fmt.Println(bob.Address, "was", bob.Status, "to", bob.Host, "at TLS level", bob.TLS.Reached)
	// Output:
	// bob@example.net was delivered to mx.example.net at TLS level encrypt
}
