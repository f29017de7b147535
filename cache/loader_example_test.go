package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/cache"
)

// What is expensive to find out is found out once for all who ask, and an old
// answer is used where there is no new one.
func ExampleLoader() {
	asked := 0
	owners := cache.Loader[string]{
		Cache:  &cache.Memory{},
		Prefix: "owner1:",
		Load: func(ctx context.Context, domain string) (string, cache.Life, error) {
			asked++
			return "postmaster@" + domain, cache.Life{Fresh: time.Hour, Stale: 24 * time.Hour}, nil
		},
	}
	for range 3 {
		owner, err := owners.Get(context.Background(), "example.net")
		fmt.Println(owner, err)
	}
	fmt.Println("asked", asked)
	// Output:
	// postmaster@example.net <nil>
	// postmaster@example.net <nil>
	// postmaster@example.net <nil>
	// asked 1
}
