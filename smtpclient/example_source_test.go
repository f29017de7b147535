package smtpclient_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Three ways out of this machine: two addresses, of which the second is new and
// takes a quarter as much as the first, and a proxy. A message keeps its way when
// it comes again.
func ExampleWays() {
	proxy := &smtpclient.SOCKS5{Server: "proxy.example.org:1080"}
	ways := &smtpclient.Ways{
		List: []smtpclient.Way{
			{Dialer: &smtpclient.Dialer{LocalName: "out1.example.org", LocalAddr4: netip.MustParseAddr("192.0.2.1")}, Weight: 4},
			{Dialer: &smtpclient.Dialer{LocalName: "out2.example.org", LocalAddr4: netip.MustParseAddr("192.0.2.2")}, Weight: 1},
			{Dialer: &smtpclient.Dialer{LocalName: "out3.example.org", DialContext: proxy.DialContext}, Weight: 4},
		},
		Key: func(q smtpclient.SourceQuery) string { return q.From + " " + q.Site },
	}
	client := &smtpclient.Client{Source: ways.Pick}
	for _, from := range []string{"ann@example.org", "bob@example.org", "ann@example.org"} {
		d, _ := client.Source(context.Background(), smtpclient.SourceQuery{From: from, Site: "mx.example.net"})
		fmt.Println(from, "from", d.LocalName)
	}
	// Output:
	// ann@example.org from out1.example.org
	// bob@example.org from out2.example.org
	// ann@example.org from out1.example.org
}

// A way out by a SOCKS proxy, which is reached from a certain address.
func ExampleSOCKS5() {
	server := &smtptest.Server{}
	defer server.Close()
	local := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	proxy := &smtpclient.SOCKS5{Server: "127.0.0.1:1", User: "ann", Password: "secret", Dial: local.DialContext}
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.1]"},
		Dialer:    &smtpclient.Dialer{DialContext: proxy.DialContext},
	}
	report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))

	o := report.Outcomes[0]
	fmt.Println(o.Status, "at", o.Stage)
	fmt.Printf("%T\n", o.Cause)
	// Output:
	// deferred at connect
	// *smtpclient.ProxyError
}

// A way out by HAProxy, which opens the connections from the address that it is
// told.
func ExampleProxyProtocol() {
	haproxy := &smtpclient.ProxyProtocol{
		Server:  "haproxy.example.org:2525",
		Source4: netip.MustParseAddr("192.0.2.1"),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			fmt.Println("dialled", addr)
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				header := make([]byte, 28)
				if _, err := io.ReadFull(theirs, header); err == nil {
					fmt.Printf("told from %v to %v\n", net.IP(header[16:20]), net.IP(header[20:24]))
				}
			}()
			return ours, nil
		},
	}
	conn, err := haproxy.DialContext(context.Background(), "tcp4", "203.0.113.25:25")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = conn.Read(make([]byte, 1)) // until the other side has closed
	conn.Close()
	// Output:
	// dialled haproxy.example.org:2525
	// told from 192.0.2.1 to 203.0.113.25
}
