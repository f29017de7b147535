package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// world is a small internet: sites with a mail server each, on ports of this machine,
// and the domains that have their mail there. It can be passed to other processes as
// JSON.
type world struct {
	Sites   []string       // the address of each server, as "127.0.0.1:2525"
	Domains map[string]int // the site of a domain
}

// ip is the address of a site in this internet.
func (w *world) ip(site int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(site >> 8), byte(site)})
}

// lead makes a client live in this world.
func (w *world) lead(c *smtpclient.Client) {
	resolver, ports := resolve.Static{}, map[string]string{}
	for site, addr := range w.Sites {
		ip := w.ip(site)
		resolver[resolve.Question{Name: fmt.Sprintf("mx%d.example", site), Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{ip}}
		ports[netip.AddrPortFrom(ip, 25).String()] = addr
	}
	for domain, site := range w.Domains {
		resolver[resolve.Question{Name: domain, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: fmt.Sprintf("mx%d.example", site)}}}
	}
	c.LocalName, c.Resolver, c.TLS = "mail.example.org", resolver, tlspolicy.May
	c.Dialer = &smtpclient.Dialer{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ports[addr])
	}}
}

// domains lists those of the world in order.
func (w *world) domains() []string {
	var list []string
	for domain := range w.Domains {
		list = append(list, domain)
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return list
}
