package resolve_test

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
)

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, s := range texts {
		list = append(list, netip.MustParseAddr(s))
	}
	return list
}

func TestStatic(t *testing.T) {
	static := resolve.Static{
		{Name: "mx.example.org", Type: resolve.TypeA}:            {Addrs: addrs("192.0.2.25"), Secure: true, TTL: time.Minute},
		{Name: "alias.example.org", Type: resolve.TypeCNAME}:     {Canonical: "mx.example.org", Secure: true, TTL: time.Hour},
		{Name: "weak.example.org", Type: resolve.TypeCNAME}:      {Canonical: "mx.example.org", TTL: time.Second},
		{Name: "twice.example.org", Type: resolve.TypeCNAME}:     {Canonical: "alias.example.org", Secure: true, TTL: 48 * time.Hour},
		{Name: "loop.example.org", Type: resolve.TypeCNAME}:      {Canonical: "loop.example.org"},
		{Name: "gone.example.org", Type: resolve.TypeA}:          {NoName: true},
		{Name: "renamed.example.org", Type: resolve.TypeA}:       {Addrs: addrs("192.0.2.1"), Canonical: "other.example.org"},
		{Name: "towards-none.example.org", Type: resolve.TypeMX}: {},
	}
	tests := []struct {
		name string
		typ  resolve.Type
		want resolve.Answer
	}{
		{"mx.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.25"), Canonical: "mx.example.org", Secure: true, TTL: time.Minute}},
		{"mx.example.org", resolve.TypeAAAA, resolve.Answer{}},
		{"none.example.org", resolve.TypeMX, resolve.Answer{}},
		{"gone.example.org", resolve.TypeA, resolve.Answer{NoName: true, Canonical: "gone.example.org"}},
		{"renamed.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.1"), Canonical: "other.example.org"}},
		{"alias.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.25"), Canonical: "mx.example.org", Secure: true, TTL: time.Minute}},
		{"alias.example.org", resolve.TypeAAAA, resolve.Answer{Canonical: "mx.example.org"}},
		{"alias.example.org", resolve.TypeCNAME, resolve.Answer{Canonical: "mx.example.org", Secure: true, TTL: time.Hour}},
		{"mx.example.org", resolve.TypeCNAME, resolve.Answer{}},
		{"weak.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.25"), Canonical: "mx.example.org", TTL: time.Second}},
		{"twice.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.25"), Canonical: "mx.example.org", Secure: true, TTL: time.Minute}},
		{"loop.example.org", resolve.TypeA, resolve.Answer{}},
	}
	for _, tt := range tests {
		got, err := static.Lookup(t.Context(), resolve.Question{Name: tt.name, Type: tt.typ})
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %v: got %+v, %v, want %+v", tt.name, tt.typ, got, err, tt.want)
		}
	}
}

func TestStaticObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (resolve.Static{}).Lookup(ctx, resolve.Question{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
