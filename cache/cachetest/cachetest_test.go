package cachetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
)

// Each faulty cache breaks one rule, and the check of that rule must see it.
func TestChecksSeeFaults(t *testing.T) {
	for _, f := range []struct {
		fault string
		check func(context.Context, cache.Cache) error
		open  func() cache.Cache
	}{
		{"one caller at a time", manyGoroutines, func() cache.Cache { return &busy{Cache: &cache.Memory{}} }},
		{"one value for all keys", manyGoroutines, func() cache.Cache { return rekeyed(func(string) string { return "k" }) }},
		{"keys in lower case", keys, func() cache.Cache { return rekeyed(strings.ToLower) }},
		{"keys cut off", keys, func() cache.Cache { return rekeyed(func(k string) string { return k[:min(len(k), 249)] }) }},
		{"keys refused", keys, func() cache.Cache { return refusing{&cache.Memory{}} }},
		{"error for a missing key", missingKey, func() cache.Cache { return strict{&cache.Memory{}} }},
		{"empty value taken for none", anyBytes, func() cache.Cache { return fullOnly{&cache.Memory{}} }},
		{"first value kept", anyBytes, func() cache.Cache { return firstOnly{&cache.Memory{}} }},
		{"slices shared", slicesNotShared, func() cache.Cache { return sharing{} }},
		{"one buffer for all answers", slicesNotShared, func() cache.Cache { return &oneBuffer{Cache: &cache.Memory{}} }},
		{"kept for ever", ttl, func() cache.Cache { return retimed(func(time.Duration) time.Duration { return 24 * time.Hour }) }},
		{"no ttl is for ever", ttl, func() cache.Cache { return retimed(forEverIfZero) }},
		{"rounded up", ttl, func() cache.Cache {
			return retimed(func(d time.Duration) time.Duration { return d + 100*time.Millisecond })
		}},
		{"reading prolongs", ttl, func() cache.Cache { return prolonging{&cache.Memory{}} }},
		{"deaf to ctx", endedContext, func() cache.Cache { return deaf{&cache.Memory{}} }},
		{"nothing kept", ttl, func() cache.Cache { return cache.None }},
	} {
		t.Run(f.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if f.check(t.Context(), f.open()) == nil {
					t.Error("the check passed")
				}
			})
		})
	}
}

// busy refuses a call while another is under way.
type busy struct {
	cache.Cache
	mu sync.Mutex
}

func (b *busy) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if !b.mu.TryLock() {
		return errors.New("busy")
	}
	defer b.mu.Unlock()
	time.Sleep(time.Millisecond)
	return b.Cache.Set(ctx, key, value, ttl)
}

type changed struct {
	cache.Memory
	key func(string) string
	ttl func(time.Duration) time.Duration
}

func rekeyed(f func(string) string) cache.Cache {
	return &changed{key: f, ttl: func(d time.Duration) time.Duration { return d }}
}

func retimed(f func(time.Duration) time.Duration) cache.Cache {
	return &changed{key: func(k string) string { return k }, ttl: f}
}

func forEverIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return 24 * time.Hour
	}
	return d
}

func (c *changed) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return c.Memory.Get(ctx, c.key(key))
}

func (c *changed) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.Memory.Set(ctx, c.key(key), value, c.ttl(ttl))
}

func (c *changed) Delete(ctx context.Context, key string) error {
	return c.Memory.Delete(ctx, c.key(key))
}

type refusing struct{ cache.Cache }

func (c refusing) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(key) > 200 {
		return errors.New("key too long")
	}
	return c.Cache.Set(ctx, key, value, ttl)
}

type strict struct{ cache.Cache }

func (c strict) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, ok, err := c.Cache.Get(ctx, key)
	if !ok && err == nil {
		err = errors.New("not found")
	}
	return value, ok, err
}

type fullOnly struct{ cache.Cache }

func (c fullOnly) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, _, err := c.Cache.Get(ctx, key)
	return value, len(value) > 0, err
}

type firstOnly struct{ cache.Cache }

func (c firstOnly) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if _, ok, _ := c.Get(ctx, key); ok {
		return nil
	}
	return c.Cache.Set(ctx, key, value, ttl)
}

type sharing map[string][]byte

func (c sharing) Get(_ context.Context, key string) ([]byte, bool, error) {
	value, ok := c[key]
	return value, ok, nil
}

func (c sharing) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	c[key] = value
	return nil
}

func (c sharing) Delete(_ context.Context, key string) error {
	delete(c, key)
	return nil
}

type oneBuffer struct {
	cache.Cache
	buf []byte
}

func (c *oneBuffer) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, ok, err := c.Cache.Get(ctx, key)
	c.buf = append(c.buf[:0], value...)
	return c.buf, ok, err
}

type prolonging struct{ cache.Cache }

func (c prolonging) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, ok, err := c.Cache.Get(ctx, key)
	if ok {
		err = c.Set(ctx, key, value, long)
	}
	return value, ok, err
}

type deaf struct{ cache.Cache }

func (c deaf) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.Cache.Set(context.WithoutCancel(ctx), key, value, ttl)
}
