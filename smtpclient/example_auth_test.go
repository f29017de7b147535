package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// A Credential is for the configured next hops. No level of TLS is set here, so
// that the server has to prove its name before it is shown anything; which
// mechanism is used is for the two sides to find out.
func ExampleCredential() {
	server := &smtptest.Server{
		Passwords:  map[string]string{"shop": "sesame"},
		Extensions: []string{"STARTTLS", "AUTH PLAIN LOGIN SCRAM-SHA-256"},
	}
	defer server.Close()
	internet := smtptest.Network{"192.0.2.87:587": server}

	client := &smtpclient.Client{
		LocalName: "shop.example.org",
		NextHops:  []string{"[smtp.example.org]:587"},
		Auth:      &smtpclient.Credential{User: "shop", Password: "sesame"},

		// So that the example needs no network.
		TLS:   tlspolicy.Policy{Roots: server.Roots()},
		Cache: cache.None,
		Resolver: resolve.Static{
			{Name: "smtp.example.org", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.87")}},
		},
		Dialer: &smtpclient.Dialer{DialContext: internet.DialContext},
	}
	order := smtpclient.Envelope{From: "shop@example.org", To: smtpclient.To("bob@example.net")}
	message := smtpclient.Bytes([]byte("Subject: Your order\r\n\r\nIs on its way.\r\n"))

	report, err := client.Deliver(context.Background(), order, message)
	fmt.Println(report.Outcomes[0].Status, "as", report.Outcomes[0].Login, err)

	// Errors tell what is wrong, and never what the password was.
	wrong := *client
	wrong.Auth = &smtpclient.Credential{User: "shop", Password: "abracadabra"}
	_, err = wrong.Deliver(context.Background(), order, message)
	fmt.Println(errors.Is(err, smtpclient.AuthBadCredentials), err)
	fmt.Println(wrong.Auth)
	// Output:
	// delivered as shop <nil>
	// true smtp smtp.example.org auth: user name, password or token is wrong (SCRAM-SHA-256): 535 5.7.8 wrong user name or password
	// credential of "shop" with a password
}

// Each sender and each server can have a credential of its own.
func ExampleCredentialTable() {
	table := smtpclient.CredentialTable{
		"ann@example.org":         {User: "ann", Password: "sesame"},
		"[smtp.example.net]:587":  {User: "relay", Password: "open"},
		"[lan.example.org]:25":    nil, // no AUTH
		"[other.example.com]:465": {User: "robot", Token: func(context.Context) (string, error) { return "ya29.token", nil }},
	}
	for _, from := range []string{"ann@example.org", "bob@example.org"} {
		hop, _ := resolve.ParseNextHop("[smtp.example.net]:587")
		c, _ := table.Lookup(context.Background(), smtpclient.CredentialQuery{From: from, NextHop: hop, Host: "smtp.example.net", Configured: true})
		fmt.Println(from, c)
	}
	// Output:
	// ann@example.org credential of "ann" with a password
	// bob@example.org credential of "relay" with a password
}
