// Socks-and-sources sends mail from several addresses and through a proxy. Each way out
// has its own name in EHLO, which has to be that of the address in the DNS; a sender
// keeps his way, so that receivers see the same address again. On systems other than
// Linux, 127.0.0.2 first has to be given to the loopback interface.
//
//	go run ./examples/socks-and-sources
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "socks-and-sources:", err)
		os.Exit(1)
	}
}

// waysOut are made once and kept: a Pool uses a connection again only for the Dialer
// that has opened it.
func waysOut(proxy string) *smtpclient.Ways {
	socks := &smtpclient.SOCKS5{Server: proxy} // User and Password where the proxy wants them
	return &smtpclient.Ways{
		List: []smtpclient.Way{
			{Dialer: &smtpclient.Dialer{LocalName: "out1.example.org", LocalAddr4: netip.MustParseAddr("127.0.0.1")}, Weight: 4},
			{Dialer: &smtpclient.Dialer{LocalName: "out2.example.org", LocalAddr4: netip.MustParseAddr("127.0.0.2")}, Weight: 4},
			{Dialer: &smtpclient.Dialer{LocalName: "out3.example.org", DialContext: socks.DialContext}, Weight: 1},
		},
		Key: func(q smtpclient.SourceQuery) string { return q.From },
	}
}

func run(ctx context.Context, out io.Writer) error {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer proxy.Close()
	go serveSOCKS(proxy)

	server := &smtptest.Server{Script: greet}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}

	client := &smtpclient.Client{NextHops: []string{"inet:" + addr.String()}, Source: waysOut(proxy.Addr().String()).Pick}
	for i := range 12 {
		from := fmt.Sprintf("user%d@example.org", i%6)
		report, err := client.Deliver(ctx, smtpclient.Envelope{
			From: from,
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s went out as %s: %v\n", from, server.Messages()[i].Client, report.Outcomes[0].Reply)
	}
	return nil
}

// greet is the script of a server that tells where a message came from.
func greet(c smtptest.Command) smtptest.Action {
	if c.Verb != smtptest.EndOfData {
		return smtptest.Action{}
	}
	return smtptest.Action{Reply: "250 2.0.0 hello " + netip.MustParseAddrPort(c.Remote.String()).Addr().String()}
}

// serveSOCKS is a proxy (RFC 1928) for whoever wants an IPv4 address, without a login.
func serveSOCKS(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			if err := relay(client); err != nil {
				fmt.Fprintln(os.Stderr, "proxy:", err)
			}
		}()
	}
}

func relay(client net.Conn) error {
	var hello [3]byte // version, one method, no login
	if _, err := io.ReadFull(client, hello[:]); err != nil {
		return err
	}
	if _, err := client.Write([]byte{5, 0}); err != nil {
		return err
	}
	var request [10]byte // version, CONNECT, 0, IPv4, address, port
	if _, err := io.ReadFull(client, request[:]); err != nil {
		return err
	}
	port := uint16(request[8])<<8 | uint16(request[9])
	target := netip.AddrPortFrom(netip.AddrFrom4([4]byte(request[4:8])), port)
	server, err := net.Dial("tcp", target.String())
	if err != nil {
		return err
	}
	defer server.Close()
	if _, err := client.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
	return nil
}
