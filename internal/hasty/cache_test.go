package hasty_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/cache/cachetest"
	"github.com/postrider/postrider/internal/hasty"
)

// slow is a Memory that takes a while for every answer.
type slow struct {
	cache.Memory
	takes time.Duration
}

func (s *slow) wait(ctx context.Context) error {
	select {
	case <-time.After(s.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slow) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.wait(ctx); err != nil {
		return nil, false, err
	}
	return s.Memory.Get(ctx, key)
}

func (s *slow) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.Memory.Set(ctx, key, value, ttl)
}

func (s *slow) Delete(ctx context.Context, key string) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.Memory.Delete(ctx, key)
}

// It changes nothing but the time.
func TestRules(t *testing.T) {
	cachetest.Test(t, func(*testing.T) cache.Cache { return hasty.Of(&slow{}) })
}

// Each answer is waited for two seconds, and no longer.
func TestSlowCache(t *testing.T) {
	for takes, want := range map[time.Duration]error{hasty.Time - 1: nil, hasty.Time + 1: context.DeadlineExceeded, time.Hour: context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			c := hasty.Of(&slow{takes: takes})
			for name, ask := range map[string]func() error{
				"Get":    func() error { _, _, err := c.Get(t.Context(), "key"); return err },
				"Set":    func() error { return c.Set(t.Context(), "key", nil, time.Minute) },
				"Delete": func() error { return c.Delete(t.Context(), "key") },
			} {
				start := time.Now()
				if err := ask(); !errors.Is(err, want) || time.Since(start) != min(takes, 2*time.Second) {
					t.Errorf("%s of a cache that takes %v: %v after %v", name, takes, err, time.Since(start))
				}
			}
		})
	}
}

// What needs no bound, or has one, is left as it is: a Loader knows a Memory.
func TestOf(t *testing.T) {
	bounded := hasty.Of(&slow{})
	for _, c := range []cache.Cache{&cache.Memory{}, cache.None, bounded} {
		if hasty.Of(c) != c {
			t.Errorf("%T is wrapped", c)
		}
	}
	if _, ok := bounded.(hasty.Cache); !ok {
		t.Errorf("%T is not", bounded)
	}
}
