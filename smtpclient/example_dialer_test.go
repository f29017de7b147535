package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A Dialer is one way out of this machine: make one for each source address,
// with the name that belongs to it.
func ExampleDialer() {
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}

	ways := []*smtpclient.Dialer{
		{LocalName: "out1.example.org", LocalAddr4: netip.MustParseAddr("127.0.0.1")},
		{LocalName: "out2.example.org"}, // the system chooses the address
	}
	base := smtpclient.Client{NextHops: []string{"[127.0.0.1]:" + fmt.Sprint(addr.(*net.TCPAddr).Port)}}
	for _, way := range ways {
		client := base // a copy with a field changed is another client
		client.Dialer = way
		_, err := client.Deliver(context.Background(), smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
		fmt.Println(way.LocalName, err)
	}
	// Output:
	// out1.example.org <nil>
	// out2.example.org <nil>
}

// DialContext has the form of net.Dialer's, as proxies and tunnels do.
func ExampleDialer_dialContext() {
	server := &smtptest.Server{}
	defer server.Close()
	proxy := server.DialContext // as of a SOCKS5 library

	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer: &smtpclient.Dialer{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			fmt.Println("through the proxy:", network, addr)
			return proxy(ctx, network, addr)
		}},
	}
	report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
	fmt.Println(report.Outcomes[0].Status)
	// Output:
	// through the proxy: tcp4 192.0.2.25:25
	// delivered
}

// The defaults are those of RFC 5321, Section 4.5.3.2, which are long. A program
// with somebody waiting sets its own, and knows the difference: before the
// content has left, a timeout defers; after that nobody knows.
func ExampleTimeouts() {
	stallAt := func(verb string) *smtptest.Server {
		return &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == verb {
				return smtptest.Action{Fault: smtptest.Stall}
			}
			return smtptest.Action{}
		}}
	}
	for _, verb := range []string{"RCPT", smtptest.EndOfData} {
		server := stallAt(verb)
		client := &smtpclient.Client{
			LocalName: "mail.example.org",
			NextHops:  []string{"[192.0.2.25]"},
			Dialer: &smtpclient.Dialer{
				DialContext: server.DialContext,
				Timeouts:    smtpclient.Timeouts{Rcpt: 50 * time.Millisecond, DataDone: 50 * time.Millisecond},
			},
		}
		_, err := client.Deliver(context.Background(), smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
		server.Close()

		var e *smtpclient.Error
		if errors.As(err, &e) {
			fmt.Println(e.Stage, e.Status, e.Timeout())
		}
	}
	// Output:
	// rcpt deferred true
	// data-done unknown true
}
