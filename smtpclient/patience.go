package smtpclient

import (
	"context"
	"time"

	"github.com/postrider/postrider/cache"
)

// cacheTime is how long an answer of a Cache is waited for. Nothing in it is needed,
// and mail must not wait for a store that hangs.
const cacheTime = 2 * time.Second

// hasty is a cache that counts as empty where it takes long.
type hasty struct{ cache cache.Cache }

// hurried bounds the time of what is asked of c; a memory of this process needs no
// bound.
func hurried(c cache.Cache) cache.Cache {
	if _, ok := c.(*cache.Memory); ok || c == cache.None {
		return c
	}
	return hasty{c}
}

func (h hasty) Get(ctx context.Context, key string) ([]byte, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTime)
	defer cancel()
	return h.cache.Get(ctx, key)
}

func (h hasty) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, cacheTime)
	defer cancel()
	return h.cache.Set(ctx, key, value, ttl)
}

func (h hasty) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, cacheTime)
	defer cancel()
	return h.cache.Delete(ctx, key)
}
