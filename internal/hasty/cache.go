// Package hasty keeps mail from waiting for a cache: nothing in one is needed.
package hasty

import (
	"context"
	"time"

	"github.com/postrider/postrider/cache"
)

// Time is how long an answer is waited for.
const Time = 2 * time.Second

// Cache is another one that counts as empty where it takes longer than Time.
type Cache struct{ cache.Cache }

// Of bounds the time of what is asked of c; a memory of this process needs no bound.
func Of(c cache.Cache) cache.Cache {
	switch c.(type) {
	case *cache.Memory, Cache:
		return c
	}
	if c == cache.None {
		return c
	}
	return Cache{c}
}

// Get implements cache.Cache.
func (c Cache) Get(ctx context.Context, key string) ([]byte, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, Time)
	defer cancel()
	return c.Cache.Get(ctx, key)
}

// Set implements cache.Cache.
func (c Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, Time)
	defer cancel()
	return c.Cache.Set(ctx, key, value, ttl)
}

// Delete implements cache.Cache.
func (c Cache) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, Time)
	defer cancel()
	return c.Cache.Delete(ctx, key)
}
