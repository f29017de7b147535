package resolve

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve/dnstest"
)

// Whoever has no Resolver has the same one as all others: what one has waited for
// in vain the next one asks last.
func TestDefaultIsShared(t *testing.T) {
	for name, lookup := range map[string]func(ctx context.Context) error{
		"Default": func(ctx context.Context) error {
			_, err := Default().Lookup(ctx, Question{"mx.example.org", TypeA})
			return err
		},
		"Filter": func(ctx context.Context) error {
			_, err := Filter{}.Lookup(ctx, Question{"mx.example.org", TypeA})
			return err
		},
		"Override": func(ctx context.Context) error {
			_, err := Override{}.Lookup(ctx, Question{"mx.example.org", TypeA})
			return err
		},
		"Cached": func(ctx context.Context) error {
			_, err := (&Cached{Cache: cache.None}).Lookup(ctx, Question{"mx.example.org", TypeA})
			return err
		},
		"Routing": func(ctx context.Context) error {
			_, err := Routing{}.Route(ctx, nil, NextHop{Kind: ViaHost, Name: "mx.example.org"})
			return err
		},
		"Routes": func(ctx context.Context) error {
			_, err := new(Routes).Begin(ctx, NextHop{Kind: ViaHost, Name: "mx.example.org"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN example.org.\nmx A 192.0.2.1\n"}}}
				defer srv.Close()
				dead := &dnstest.Server{Script: func(string, uint16) dnstest.Fault { return dnstest.Silence }}
				defer dead.Close()
				usual := ofMachine
				defer func() { ofMachine = usual }()
				ofMachine = &DNS{Servers: []string{"192.0.2.53", "192.0.2.54"}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if addr == "192.0.2.53:53" {
						return dead.DialContext(ctx, network, addr)
					}
					return srv.DialContext(ctx, network, addr)
				}}
				for range 2 {
					if err := lookup(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				waits := make(map[string]int)
				for _, q := range dead.Questions() {
					waits[q.Name]++
				}
				if got := waits["mx.example.org"]; got == 0 || got > 2 { // A and AAAA at once
					t.Errorf("the silent server was asked %d times in two lookups", got)
				}
			})
		})
	}
}
