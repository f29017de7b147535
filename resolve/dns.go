package resolve

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// DNS is stubbed until the resolve part lands.
type DNS struct {
	Servers     []string
	TrustAD     []netip.Prefix
	Timeout     time.Duration
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Lookup implements Resolver.
func (d *DNS) Lookup(ctx context.Context, q Question) (Answer, error) { panic("stub") }

// Static answers from literal records.
type Static map[Question]Answer

// Lookup implements Resolver.
func (s Static) Lookup(ctx context.Context, q Question) (Answer, error) { panic("stub") }
