// Smarthost hands all mail to the servers of a provider: with a password, inside TLS
// with a server that has proved its name, and to the second server when the first one
// does not answer. Both are on this machine here.
//
//	go run ./examples/smarthost
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "smarthost:", err)
		os.Exit(1)
	}
}

// newClient is all that there is to it. A name in brackets is a host, where one
// without would be a domain with MX records.
func newClient(servers []string, password string) *smtpclient.Client {
	return &smtpclient.Client{
		LocalName: "app.example.org",
		NextHops:  servers, // "[smtp1.example.net]:587", "[smtp2.example.net]:587"
		Auth:      &smtpclient.Credential{User: "ann@example.org", Password: password},
		TLS:       tlspolicy.Secure,                                   // the default where there is a password
		Pool:      &smtpclient.Pool{PerDestination: 2, KeepAll: true}, // it is one destination, and there is always more
	}
}

func run(ctx context.Context, out io.Writer) error {
	first := &smtptest.Server{Name: "smtp1.example.net", Script: closed}
	second := &smtptest.Server{Name: "smtp2.example.net", Passwords: map[string]string{"ann@example.org": "open-sesame"}}
	defer first.Close()
	defer second.Close()
	servers, err := listen(first, second)
	if err != nil {
		return err
	}
	client := newClient(servers, "open-sesame")
	defer client.Pool.Close(ctx)

	// What the real world has in its DNS and its authorities.
	here := resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	client.Resolver = resolve.Static{
		{Name: first.Name, Type: resolve.TypeA}:  here,
		{Name: second.Name, Type: resolve.TypeA}: here,
	}
	client.TLS = tlspolicy.Policy{Level: tlspolicy.Secure, Roots: second.Roots()}

	for _, to := range []string{"bob@example.net", "carol@example.com"} {
		report, err := client.Deliver(ctx, smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To(to),
		}, smtpclient.Bytes([]byte("From: Ann <ann@example.org>\r\nSubject: Hello\r\n\r\nHello.\r\n")))
		for _, o := range report.Outcomes {
			for _, before := range o.Earlier {
				fmt.Fprintf(out, "%s: %s said %q\n", o.Address, before.Host, before.Reply)
			}
			fmt.Fprintf(out, "%s: %v by %s, login %s, TLS %v, message %d of the connection\n",
				o.Address, o.Status, o.Host, o.Login, o.TLS.Reached, o.Reused+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// closed is the script of a server that is being repaired.
func closed(c smtptest.Command) smtptest.Action {
	if c.Verb == smtptest.Connect {
		return smtptest.Action{Reply: "421 4.3.2 back in an hour"}
	}
	return smtptest.Action{}
}

// listen gives each server a port on this machine, and says how it is called there.
func listen(servers ...*smtptest.Server) (hops []string, err error) {
	for _, s := range servers {
		addr, err := s.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		hops = append(hops, fmt.Sprintf("[%s]:%d", s.Name, addr.(*net.TCPAddr).Port))
	}
	return hops, nil
}
