package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/cache"
)

// A store that others can write to gets sealed values: what they put there is
// missing.
func ExampleSeal() {
	ctx := context.Background()
	store := &cache.Memory{} // as a Redis that many programs share
	key := make([]byte, 32)  // from where secrets are kept; here for the example only
	c, err := cache.Seal(store, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Set(ctx, "route:example.org", []byte("mx.example.org"), time.Hour)
	value, ok, _ := c.Get(ctx, "route:example.org")
	fmt.Printf("%s %v\n", value, ok)

	store.Set(ctx, "route:example.org", []byte("mx.evil.example"), time.Hour)
	_, ok, err = c.Get(ctx, "route:example.org")
	fmt.Println(ok, err)
	// Output:
	// mx.example.org true
	// false the value was not sealed by us under this key
}
