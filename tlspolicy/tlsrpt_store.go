package tlspolicy

import (
	"context"
	"fmt"
)

// The Cache is not waited for without end, and a panic of it is an error: what counts
// runs in goroutines that nobody else looks after.

func (c *Collector) get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	err = guarded(ctx, func(ctx context.Context) (err error) {
		value, ok, err = c.Cache.Get(ctx, key)
		return err
	})
	return value, ok && err == nil, err
}

func (c *Collector) set(ctx context.Context, key string, value []byte) error {
	return guarded(ctx, func(ctx context.Context) error { return c.Cache.Set(ctx, key, value, partsFor) })
}

func (c *Collector) remove(ctx context.Context, key string) error {
	return guarded(ctx, func(ctx context.Context) error { return c.Cache.Delete(ctx, key) })
}

func guarded(ctx context.Context, ask func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the Cache: %v", p)
		}
	}()
	return ask(ctx)
}
