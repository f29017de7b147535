package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// demo is a world to send to: some destinations, each with a mail server of its own
// on this machine, and an mbox file.
type demo struct {
	resolver resolve.Static
	dialer   *smtpclient.Dialer
	servers  []*smtptest.Server
	mbox     string
}

const (
	demoDestinations = 20
	demoMessages     = 1000
)

// newDemo gives destination n the address 192.0.2.n, behind which is a loopback port.
func newDemo() (*demo, error) {
	d := &demo{resolver: resolve.Static{}}
	ports := map[string]string{}
	d.dialer = &smtpclient.Dialer{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ports[addr])
	}}
	for n := range demoDestinations {
		server := &smtptest.Server{Script: refuseNobody}
		d.servers = append(d.servers, server)
		addr, err := server.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return d, err
		}
		domain, ip := fmt.Sprintf("d%d.example", n), netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
		ports[netip.AddrPortFrom(ip, 25).String()] = addr.String()
		d.resolver[resolve.Question{Name: domain, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: "mx." + domain}}}
		d.resolver[resolve.Question{Name: "mx." + domain, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{ip}}
	}
	var text bytes.Buffer
	for n := range demoMessages {
		fmt.Fprintf(&text, "From ann@example.org Sat Nov 21 10:00:00 2026\n"+
			"From: Ann <ann@example.org>\nTo: box%d@d%d.example\nSubject: Number %d\n\nHello\n\n", n, n%demoDestinations, n)
	}
	dir, err := os.MkdirTemp("", "bulk")
	d.mbox = filepath.Join(dir, "demo.mbox")
	if err == nil {
		err = os.WriteFile(d.mbox, text.Bytes(), 0o600)
	}
	return d, err
}

// refuseNobody has a mailbox for everybody else.
func refuseNobody(c smtptest.Command) smtptest.Action {
	if c.Verb == "RCPT" && strings.Contains(c.Args, "nobody@") {
		return smtptest.Action{Reply: "550 5.1.1 no such user"}
	}
	return smtptest.Action{}
}

// use leads a client into this world, and gives the mbox file.
func (d *demo) use(c *smtpclient.Client) string {
	c.LocalName, c.Resolver, c.Dialer, c.TLS = "mail.example.org", d.resolver, d.dialer, tlspolicy.May
	return d.mbox
}

func (d *demo) close() {
	for _, s := range d.servers {
		s.Close()
	}
	if d.mbox != "" {
		os.RemoveAll(filepath.Dir(d.mbox))
	}
}
