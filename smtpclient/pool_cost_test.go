package smtpclient_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// pooled is a client whose mail goes through a session that is open already, with all
// that a delivery usually has.
func pooled(t *testing.T, change func(c *smtpclient.Client)) *smtpclient.Client {
	c := &smtpclient.Client{
		Dialer: toCanned(), Pool: &smtpclient.Pool{KeepAll: true, MaxUses: -1}, Cache: &cache.Memory{},
		TLS: tlspolicy.Policy{Level: tlspolicy.None},
		Resolver: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:   {TTL: time.Hour, MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}: {TTL: time.Hour, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}},
		},
	}
	change(c)
	t.Cleanup(func() { c.Pool.Close(context.Background()) })
	return c
}

// A delivery through an open session makes a fixed number of allocations: next hop,
// route, policy and place are found without, and what only the call needs is used
// again. Further recipients cost what the report and the commands take.
func TestPoolAllocations(t *testing.T) {
	byMX := func(*smtpclient.Client) {}
	smarthost := func(c *smtpclient.Client) { c.NextHops = []string{"[mx.example.net]:587"} }
	limited := func(c *smtpclient.Client) {
		c.Limiter = &smtpclient.LocalLimiter{}
	}
	for _, tt := range []struct {
		name   string
		change func(c *smtpclient.Client)
		rcpts  int
		most   float64
	}{
		{"by MX", byMX, 1, 11},
		{"smarthost", smarthost, 1, 11},
		{"with a limiter", limited, 1, 15},
		{"50 recipients", smarthost, 50, 18},
		{"50 recipients by MX", byMX, 50, 18},
		// Ten transactions, each with a last word of its own that the report keeps.
		{"500 recipients", smarthost, 500, 18 + 9*2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := pooled(t, tt.change)
			env, ctx := listOf(tt.rcpts), cancellable(t)
			content := smtpclient.Bytes([]byte("Subject: cost\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 16)))
			got := testing.AllocsPerRun(100, func() {
				if _, err := client.Deliver(ctx, env, content); err != nil {
					t.Fatal(err)
				}
			})
			if most := tt.most * allocationFactor; got > most {
				t.Errorf("%v allocations, want at most %v", got, most)
			}
			if s := client.Pool.Stats(); s.Dialed != 1 {
				t.Errorf("%d sessions were opened, want one", s.Dialed)
			}
		})
	}
}
