package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/cache"
)

// rule is one rule of cache.Cache. check returns an error and reports nothing by
// itself, so that this package's own tests can see it fail.
type rule struct {
	name  string
	check func(ctx context.Context, c cache.Cache) error
}

func rules() []rule {
	return []rule{
		{"rule1 many goroutines", manyGoroutines},
		{"rule2 keys", keys},
		{"rule3 a missing key is no error", missingKey},
		{"rule4 any bytes, replaced whole", anyBytes},
		{"rule5 slices are not shared", slicesNotShared},
		{"rule6 nothing outlives its ttl", ttl},
		{"rule7 and 8 a ctx that has ended", endedContext},
	}
}

const (
	long  = time.Hour   // longer than any check
	short = time.Second // as fine as the coarsest store
	grace = 50 * time.Millisecond
)

// manyGoroutines has writers with values of their own and one key that all of
// them write: whatever is read there must be one writer's value, whole.
func manyGoroutines(ctx context.Context, c cache.Cache) error {
	const writers, rounds = 8, 25
	faults := make(chan error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			own, value := fmt.Sprintf("own-%d", w), bytes.Repeat([]byte{byte('a' + w)}, 1000)
			for range rounds {
				if err := oneRound(ctx, c, own, value); err != nil {
					faults <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-faults:
		return err
	default:
		return nil
	}
}

func oneRound(ctx context.Context, c cache.Cache, own string, value []byte) error {
	err := errors.Join(
		c.Set(ctx, own, value, long),
		c.Set(ctx, "shared", value, long),
		want(ctx, c, own, value),
		c.Delete(ctx, own),
		wantMissing(ctx, c, own),
	)
	if err != nil {
		return err
	}
	got, ok, err := c.Get(ctx, "shared")
	switch {
	case err != nil:
		return fmt.Errorf("reading a key that others write: %w", err)
	case !ok:
		return errors.New("reading a key that others write: missing, though nobody deletes it")
	case len(got) != len(value) || len(bytes.Trim(got, string(got[:1]))) != 0:
		return errors.New("reading a key that others write gave a mixture of their values")
	}
	return nil
}

// keys sets all keys before it reads any, so that two that fall together show.
func keys(ctx context.Context, c cache.Cache) error {
	all := []string{strings.Repeat("k", 249), strings.Repeat("k", 250), strings.Repeat("k", 249) + "K", "key", "KEY", "key/", "/key", "../key", "key%20"}
	for b := byte('!'); b <= '~'; b++ {
		all = append(all, string(rune(b)))
	}
	for _, k := range all {
		if err := c.Set(ctx, k, []byte("value of "+k), long); err != nil {
			return fmt.Errorf("Set(%q): %w", k, err)
		}
	}
	for _, k := range all {
		if err := want(ctx, c, k, []byte("value of "+k)); err != nil {
			return err
		}
	}
	return nil
}

func missingKey(ctx context.Context, c cache.Cache) error {
	return errors.Join(
		wantMissing(ctx, c, "never-set"),
		c.Delete(ctx, "never-set"),
		c.Set(ctx, "deleted", []byte("value"), long),
		want(ctx, c, "deleted", []byte("value")),
		c.Delete(ctx, "deleted"),
		wantMissing(ctx, c, "deleted"),
		c.Delete(ctx, "deleted"),
	)
}

func anyBytes(ctx context.Context, c cache.Cache) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, value := range [][]byte{[]byte("first"), every, {}, nil, bytes.Repeat(every, 256), []byte("\r\n"), []byte("last")} {
		if err := c.Set(ctx, "key", value, long); err != nil {
			return fmt.Errorf("setting %d bytes: %w", len(value), err)
		}
		if err := want(ctx, c, "key", value); err != nil {
			return err
		}
	}
	return nil
}

func slicesNotShared(ctx context.Context, c cache.Cache) error {
	given := []byte("value")
	if err := c.Set(ctx, "key", given, long); err != nil {
		return err
	}
	copy(given, "VALUE")
	if err := want(ctx, c, "key", []byte("value")); err != nil {
		return fmt.Errorf("the slice given to Set was changed afterwards: %w", err)
	}
	first, _, err := c.Get(ctx, "key")
	if err != nil {
		return err
	}
	if err := errors.Join(c.Set(ctx, "key", []byte("other"), long), c.Set(ctx, "key2", []byte("third"), long)); err != nil {
		return err
	}
	if _, _, err := c.Get(ctx, "key2"); err != nil {
		return err
	}
	if string(first) != "value" {
		return fmt.Errorf("a slice that Get gave changed to %q after another Set", first)
	}
	second, _, err := c.Get(ctx, "key")
	if err != nil {
		return err
	}
	copy(second, "OTHER")
	if err := want(ctx, c, "key", []byte("other")); err != nil {
		return fmt.Errorf("the slice that Get gave was changed by the caller: %w", err)
	}
	return nil
}

// ttl puts everything in place and waits once. Only what is read within its time has
// to be there.
func ttl(ctx context.Context, c cache.Cache) error {
	value := []byte("value")
	begun := time.Now()
	err := errors.Join(
		c.Set(ctx, "zero", value, long), c.Set(ctx, "zero", value, 0),
		c.Set(ctx, "negative", value, long), c.Set(ctx, "negative", value, -time.Second),
		wantMissing(ctx, c, "zero"),
		wantMissing(ctx, c, "negative"),
		c.Set(ctx, "tiny", value, time.Nanosecond),
		c.Set(ctx, "short", value, short),
		c.Set(ctx, "shortened", value, long), c.Set(ctx, "shortened", value, short),
		c.Set(ctx, "lengthened", value, short), c.Set(ctx, "lengthened", value, long),
		c.Set(ctx, "read", value, short),
	)
	if missing := want(ctx, c, "read", value); time.Since(begun) < short {
		err = errors.Join(err, missing)
	}
	err = errors.Join(err, c.Set(ctx, "long", value, long), c.Set(ctx, "longest", value, 1<<63-1))
	if err != nil {
		return err
	}
	// grace is for a store whose clock runs a little apart from ours.
	time.Sleep(short + grace)
	return errors.Join(
		wantMissing(ctx, c, "tiny"),
		wantMissing(ctx, c, "short"),
		wantMissing(ctx, c, "shortened"),
		want(ctx, c, "lengthened", value),
		wantMissing(ctx, c, "read"),
		want(ctx, c, "long", value),
		want(ctx, c, "longest", value),
	)
}

func endedContext(ctx context.Context, c cache.Cache) error {
	value := []byte("value")
	if err := c.Set(ctx, "key", value, long); err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	got, ok, err := c.Get(ended, "key")
	if !errors.Is(err, context.Canceled) || ok || got != nil {
		return fmt.Errorf("after ctx has ended Get gave %q, %v, %v; want nil, false and ctx's error", got, ok, err)
	}
	if err := c.Set(ended, "key", []byte("changed"), long); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("after ctx has ended Set gave error %v; want ctx's", err)
	}
	if err := c.Delete(ended, "key"); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("after ctx has ended Delete gave error %v; want ctx's", err)
	}
	return want(ctx, c, "key", value)
}

func want(ctx context.Context, c cache.Cache, key string, value []byte) error {
	got, ok, err := c.Get(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("Get(%q): %w", key, err)
	case !ok:
		return fmt.Errorf("Get(%q): missing, want a value of %d bytes", key, len(value))
	case !bytes.Equal(got, value):
		return fmt.Errorf("Get(%q): got %.60q, want %.60q", key, got, value)
	}
	return nil
}

func wantMissing(ctx context.Context, c cache.Cache, key string) error {
	got, ok, err := c.Get(ctx, key)
	if err != nil || ok || got != nil {
		return fmt.Errorf("Get(%q): got %.60q, %v, %v; want nil, false, nil for a missing key", key, got, ok, err)
	}
	return nil
}
