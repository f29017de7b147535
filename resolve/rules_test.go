package resolve_test

import (
	"context"
	"net"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/resolve/resolvetest"
)

func dnsAt(srv *dnstest.Server) *resolve.DNS {
	return &resolve.DNS{Servers: []string{loopback}, DialContext: srv.DialContext}
}

// systemAt is what the operating system would say, with another name server.
func systemAt(srv *dnstest.Server) resolve.System {
	return resolve.System{Net: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return srv.DialContext(ctx, network, addr)
	}}}
}

// Whatever is a Resolver here keeps the rules.
func TestRules(t *testing.T) {
	for name, open := range map[string]func(srv *dnstest.Server) resolve.Resolver{
		"DNS":    func(srv *dnstest.Server) resolve.Resolver { return dnsAt(srv) },
		"System": func(srv *dnstest.Server) resolve.Resolver { return systemAt(srv) },
		"Cached": func(srv *dnstest.Server) resolve.Resolver { return &resolve.Cached{Resolver: dnsAt(srv)} },
		"Cached with a Cache": func(srv *dnstest.Server) resolve.Resolver {
			return &resolve.Cached{Resolver: dnsAt(srv), Cache: &cache.Memory{}, Prefix: "test:"}
		},
		"Cached with none": func(srv *dnstest.Server) resolve.Resolver {
			return &resolve.Cached{Resolver: dnsAt(srv), Cache: cache.None}
		},
		"First":    func(srv *dnstest.Server) resolve.Resolver { return resolve.First{dnsAt(srv), systemAt(srv)} },
		"First of": func(srv *dnstest.Server) resolve.Resolver { return resolve.First{resolve.Static{}, dnsAt(srv)} },
		"Filter": func(srv *dnstest.Server) resolve.Resolver {
			return resolve.Filter{Resolver: dnsAt(srv), Keep: func(resolve.Question, string) bool { return true }}
		},
		"Override": func(srv *dnstest.Server) resolve.Resolver {
			return resolve.Override{Static: resolve.Static{a("mx1.example.com"): {Addrs: addrs("192.0.2.99")}}, Resolver: dnsAt(srv)}
		},
		"Func": func(srv *dnstest.Server) resolve.Resolver { return resolve.Func(dnsAt(srv).Lookup) },
	} {
		t.Run(name, func(t *testing.T) {
			resolvetest.Test(t, func(_ *testing.T, srv *dnstest.Server) resolve.Resolver { return open(srv) })
		})
	}
}
