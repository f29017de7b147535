package smtpclient

import (
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
)

// Without a Resolver every call has the same one, which knows the silent servers
// and what is in resolv.conf.
func TestDefaultResolver(t *testing.T) {
	for range 2 {
		d := newDelivery(&Client{LocalName: "client.example.org"}, Envelope{})
		if err := d.configure(&Envelope{}); err != nil || d.resolver != resolve.Default() || d.found.Resolver != resolve.Default() {
			t.Errorf("%v: resolver %p and %p, want %p", err, d.resolver, d.found.Resolver, resolve.Default())
		}
	}
}

// What a Resolver of one Client says does not come to those who share cache.Default
// and ask another one; a Cache of its own is its own affair.
func TestDefaultCacheHasNoRoutesOfOthers(t *testing.T) {
	own, memory := resolve.Static{}, &cache.Memory{}
	for _, tt := range []struct {
		client Client
		want   cache.Cache
	}{
		{Client{}, cache.Default},
		{Client{Resolver: own}, nil},
		{Client{Cache: memory}, memory},
		{Client{Resolver: own, Cache: memory}, memory},
	} {
		tt.client.LocalName = "client.example.org"
		tt.client.Fallback = []string{"[192.0.2.9]"} // which is configured: there are both kinds then
		d := newDelivery(&tt.client, Envelope{})
		if err := d.configure(&Envelope{}); err != nil || d.found.Cache != tt.want || d.given.Cache != tt.want {
			t.Errorf("%+v: %v, routes are kept in %v and %v, want %v", tt.client, err, d.found.Cache, d.given.Cache, tt.want)
		}
	}
}
