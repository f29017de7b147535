package smtpclient_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// stuck is a cache that never answers.
type stuck struct{ asked *atomic.Int32 }

func (s stuck) Get(ctx context.Context, _ string) ([]byte, bool, error) {
	s.asked.Add(1)
	<-ctx.Done()
	return nil, false, ctx.Err()
}

func (s stuck) Set(ctx context.Context, key string, _ []byte, _ time.Duration) error {
	_, _, err := s.Get(ctx, key)
	return err
}

func (s stuck) Delete(ctx context.Context, key string) error { return s.Set(ctx, key, nil, 0) }

// S22: a cache that hangs costs 2 s each time it is asked, and no mail: neither what
// is remembered of hosts and policies, nor a TLS session, is waited for any longer.
func TestCacheThatHangs(t *testing.T) {
	for name, level := range map[string]tlspolicy.Source{"may": tlspolicy.May, "default": nil, "encrypt": tlspolicy.Encrypt} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			var asked atomic.Int32
			w.client.Cache, w.client.TLS = stuck{&asked}, level
			w.client.Dialer.TLSConfig = &tls.Config{ClientSessionCache: &smtpclient.TicketCache{Cache: stuck{&asked}, Key: ticketKey}}
			start := time.Now()
			w.another(t, delivered)
			if n := asked.Load(); n < 3 || time.Since(start) > time.Duration(n)*2*time.Second {
				t.Errorf("%s: %v for %d questions", name, time.Since(start), n)
			}
		})
	}
}
