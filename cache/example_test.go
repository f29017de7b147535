package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/cache"
)

func ExampleMemory() {
	ctx := context.Background()
	c := &cache.Memory{MaxBytes: 1 << 20}

	if err := c.Set(ctx, "greylisted/mx.example.net", []byte("450 try later"), 5*time.Minute); err != nil {
		fmt.Println(err)
	}
	if reply, ok, _ := c.Get(ctx, "greylisted/mx.example.net"); ok {
		fmt.Printf("known: %s\n", reply)
	}
	if _, ok, _ := c.Get(ctx, "greylisted/mx.example.org"); !ok {
		fmt.Println("not known")
	}
	// Output:
	// known: 450 try later
	// not known
}
