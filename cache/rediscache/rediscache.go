// Package rediscache keeps a cache in Redis or Valkey, so that many processes
// share what one of them has found out.
//
//	client.Cache = &rediscache.Cache{Redis: redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})}
//
// Who can write to that Redis is believed as the DNS is, DNSSEC and MTA-STS included:
// where that are others than your programs, put it behind cache.Seal.
package rediscache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cache is a cache.Cache in Redis. The caller makes the client, of one server, of
// a cluster or with sentinels, and closes it. It is safe for many goroutines.
//
// Redis drops values by its own maxmemory-policy; any of them will do.
type Cache struct {
	Redis redis.UniversalClient
	// Prefix is put before every key. "": "postrider:".
	Prefix string
}

func (c *Cache) key(key string) string {
	if c.Prefix == "" {
		return "postrider:" + key
	}
	return c.Prefix + key
}

// Get implements cache.Cache.
func (c *Cache) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, err := within(ctx, func() ([]byte, error) { return c.Redis.Get(ctx, c.key(key)).Bytes() })
	switch {
	case errors.Is(err, redis.Nil):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("rediscache: reading %q: %w", key, err)
	}
	return value, true, nil
}

// Set implements cache.Cache. Redis counts in milliseconds: ttl is rounded down.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return c.Delete(ctx, key)
	}
	ttl = min(ttl.Truncate(time.Millisecond), longest)
	// The caller may change the slice as soon as Set returns, which it does with
	// ctx, while the client may still write.
	kept := string(value)
	_, err := within(ctx, func() (string, error) { return c.Redis.Set(ctx, c.key(key), kept, ttl).Result() })
	if err != nil {
		return fmt.Errorf("rediscache: writing %q: %w", key, err)
	}
	return nil
}

// longest is a time that Redis can still add to its own.
const longest = 100 * 365 * 24 * time.Hour

// Delete implements cache.Cache.
func (c *Cache) Delete(ctx context.Context, key string) error {
	_, err := within(ctx, func() (int64, error) { return c.Redis.Del(ctx, c.key(key)).Result() })
	if err != nil {
		return fmt.Errorf("rediscache: deleting %q: %w", key, err)
	}
	return nil
}

// within ends with ctx. The client of Redis ends with the deadline of a ctx at
// best, and does not notice that one was cancelled: what it does then goes on
// behind our back, until its own timeouts.
func within[T any](ctx context.Context, do func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if ctx.Done() == nil {
		return do()
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
