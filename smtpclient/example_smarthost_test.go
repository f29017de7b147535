package smtpclient_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// All mail goes to one server, and only inside TLS. The brackets say that the
// name is that of a host, not of a domain with MX records.
func ExampleClient_Deliver_smarthost() {
	server := &smtptest.Server{}
	defer server.Close()
	internet := smtptest.Network{"192.0.2.87:587": server}
	names := resolve.Static{
		{Name: "smtp.example.org", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.87")}},
	}

	client := &smtpclient.Client{
		LocalName: "shop.example.org",
		NextHops:  []string{"[smtp.example.org]:587"},
		TLS:       tlspolicy.Encrypt,
		Resolver:  names,
		Dialer:    &smtpclient.Dialer{DialContext: internet.DialContext},
	}
	report, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "shop@example.org",
		To:   smtpclient.To("bob@example.net", "carol@example.com"),
	}, smtpclient.Bytes([]byte("Subject: Your order\r\n\r\nIs on its way.\r\n")))

	for _, o := range report.Outcomes {
		fmt.Println(o.Address, o.Status, "by", o.Host, "at", o.Addr)
	}
	fmt.Println("error:", err)
	fmt.Println("messages sent:", len(server.Messages()))
	// Output:
	// bob@example.net delivered by smtp.example.org at 192.0.2.87:587
	// carol@example.com delivered by smtp.example.org at 192.0.2.87:587
	// error: <nil>
	// messages sent: 1
}
