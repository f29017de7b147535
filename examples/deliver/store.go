package main

import (
	"context"
	"errors"
	"time"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
)

func setProto(c *config, value string) error {
	if value != "smtp" && value != "lmtp" {
		return errors.New("takes smtp or lmtp")
	}
	c.lmtp = value == "lmtp"
	return nil
}

// finishProto sets what differs by protocol, and refuses what it has no use for.
func (c *config) finishProto() error {
	switch {
	case c.final && !c.lmtp:
		return errors.New("-final is for -proto lmtp")
	case c.lmtp && len(c.client.Fallback) > 0:
		return errors.New("-fallback is not for -proto lmtp; give -nexthop several times")
	case c.lmtp && c.client.Routing.Service != "":
		return errors.New("-srv is not for -proto lmtp, whose servers are not looked up")
	case c.lmtp && c.client.Routing.Prefer != 0:
		return errors.New("-prefer is not for -proto lmtp")
	}
	if c.lmtp && c.dialer.Timeouts.Connect == 0 {
		c.dialer.Timeouts.Connect = 2 * time.Minute // as package lmtp does by itself
	}
	return nil
}

// deliverTo delivers by the protocol that was asked for.
func (c *config) deliverTo(ctx context.Context, content smtpclient.Content) (smtpclient.Report, error) {
	if !c.lmtp {
		return c.client.Deliver(ctx, c.envelope, content)
	}
	store := lmtp.Client{
		Servers:   c.servers(),
		Final:     c.final,
		LocalName: c.client.LocalName,
		TLS:       c.client.TLS,
		Auth:      c.client.Auth,
		Resolver:  c.client.Resolver,
		Dialer:    &c.dialer,
		Pool:      c.client.Pool,
		Cache:     c.client.Cache,
		Limits:    c.client.Limits,
	}
	return store.Deliver(ctx, c.envelope, content)
}

// servers are the next hops, with the port of -port where they name none. What
// cannot be read is left to the library to refuse.
func (c *config) servers() []string {
	servers := make([]string, 0, len(c.client.NextHops))
	for _, s := range c.client.NextHops {
		hop, err := resolve.ParseNextHop(s)
		if err == nil && hop.Kind != resolve.ViaSocket && hop.Port == 0 && c.client.Routing.Port != 0 {
			hop.Kind, hop.Port = resolve.ViaHost, c.client.Routing.Port
			s = hop.String()
		}
		servers = append(servers, s)
	}
	return servers
}
