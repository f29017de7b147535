package smtpclient

import (
	"testing"

	"github.com/postrider/postrider/resolve"
)

// Without a Resolver every call has the same one, which knows the silent servers
// and what is in resolv.conf.
func TestDefaultResolver(t *testing.T) {
	for range 2 {
		d := &delivery{client: &Client{LocalName: "client.example.org"}}
		if err := d.configure(&Envelope{}); err != nil || d.resolver != resolve.Default() || d.found.Resolver != resolve.Default() {
			t.Errorf("%v: resolver %p and %p, want %p", err, d.resolver, d.found.Resolver, resolve.Default())
		}
	}
}
