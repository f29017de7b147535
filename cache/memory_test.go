package cache_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/cache/cachetest"
)

func TestMemoryKeepsTheRules(t *testing.T) {
	cachetest.TestInBubble(t, func(*testing.T) cache.Cache { return &cache.Memory{} })
}

func TestDefaultIsAMemory(t *testing.T) {
	if _, ok := cache.Default.(*cache.Memory); !ok {
		t.Errorf("Default is %T, want *cache.Memory", cache.Default)
	}
}

func TestNoneRemembersNothing(t *testing.T) {
	set(t, cache.None, "key", "value", time.Hour)
	wantMissing(t, cache.None, "key")
	if err := cache.None.Delete(t.Context(), "key"); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

// A value is there until its ttl has passed, and gone at that instant.
func TestMemoryExpiresAtTheInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &cache.Memory{}
		set(t, m, "key", "value", time.Minute)
		time.Sleep(time.Minute - time.Nanosecond)
		want(t, m, "key", "value")
		time.Sleep(time.Nanosecond)
		wantMissing(t, m, "key")
	})
}

// Room for exactly four entries of 8 bytes: keys, values and 192 bytes each.
const fourEntries = 4 * (4 + 4 + 192)

func TestMemoryDropsTheLeastRecentlyUsed(t *testing.T) {
	m := &cache.Memory{MaxBytes: fourEntries}
	for _, key := range []string{"key1", "key2", "key3", "key4"} {
		set(t, m, key, "1234", time.Hour)
	}
	want(t, m, "key1", "1234")
	set(t, m, "key2", "5678", time.Hour) // using is reading and writing
	set(t, m, "key5", "1234", time.Hour)

	wantMissing(t, m, "key3")
	want(t, m, "key1", "1234")
	want(t, m, "key2", "5678")
	want(t, m, "key4", "1234")
	want(t, m, "key5", "1234")
}

func TestMemoryCountsKeysAndValues(t *testing.T) {
	m := &cache.Memory{MaxBytes: fourEntries}
	for _, key := range []string{"key1", "key2", "key3", "key4"} {
		set(t, m, key, "1234", time.Hour)
	}
	set(t, m, "key4", "12345", time.Hour) // one byte more than there is room for
	wantMissing(t, m, "key1")
	want(t, m, "key4", "12345")
	set(t, m, "key4", "1234", time.Hour)
	set(t, m, "key1+", "123", time.Hour) // and a longer key
	for _, key := range []string{"key2", "key3", "key4"} {
		want(t, m, key, "1234")
	}
	want(t, m, "key1+", "123")
}

// What has expired goes before anything that is still good.
func TestMemoryDropsTheExpiredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &cache.Memory{MaxBytes: fourEntries}
		set(t, m, "key1", "1234", time.Hour)
		set(t, m, "key2", "1234", time.Hour)
		set(t, m, "key3", "1234", time.Second)
		set(t, m, "key4", "1234", time.Second)
		time.Sleep(time.Second)
		set(t, m, "key5", "1234", time.Hour)
		set(t, m, "key6", "1234", time.Hour)
		for _, key := range []string{"key1", "key2", "key5", "key6"} {
			want(t, m, key, "1234")
		}
	})
}

func TestMemoryKeepsNoValueThatIsTooLarge(t *testing.T) {
	m := &cache.Memory{MaxBytes: fourEntries}
	set(t, m, "key1", "1234", time.Hour)
	set(t, m, "key2", "1234", time.Hour)
	set(t, m, "key2", strings.Repeat("x", fourEntries), time.Hour)
	wantMissing(t, m, "key2") // the old value would be wrong
	want(t, m, "key1", "1234")

	nothing := &cache.Memory{MaxBytes: -1}
	set(t, nothing, "key1", "", time.Hour)
	wantMissing(t, nothing, "key1")
}

// Against a plain map with the same story: nothing is lost while there is room,
// and nothing stays too long.
func TestMemoryAgainstAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type kept struct {
			value string
			until time.Time
		}
		m, model := &cache.Memory{}, map[string]kept{}
		for i := range 5000 {
			key := fmt.Sprintf("key%d", i*i%97)
			switch i % 5 {
			case 0, 1, 2:
				value, ttl := fmt.Sprint(i), time.Duration(i*7%50)*time.Millisecond
				set(t, m, key, value, ttl)
				model[key] = kept{value, time.Now().Add(ttl)}
			case 3:
				time.Sleep(time.Millisecond)
			case 4:
				if i%3 == 0 {
					m.Delete(t.Context(), key)
					delete(model, key)
				}
			}
			if k, ok := model[key]; ok && time.Now().Before(k.until) {
				want(t, m, key, k.value)
			} else {
				wantMissing(t, m, key)
			}
		}
	})
}

func set(t *testing.T, c cache.Cache, key, value string, ttl time.Duration) {
	t.Helper()
	if err := c.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

func want(t *testing.T, c cache.Cache, key, value string) {
	t.Helper()
	got, ok, err := c.Get(t.Context(), key)
	if err != nil || !ok || string(got) != value {
		t.Fatalf("Get(%q): got %q, %v, %v; want %q", key, got, ok, err, value)
	}
}

func wantMissing(t *testing.T, c cache.Cache, key string) {
	t.Helper()
	got, ok, err := c.Get(t.Context(), key)
	if err != nil || ok || got != nil {
		t.Fatalf("Get(%q): got %q, %v, %v; want it to be missing", key, got, ok, err)
	}
}

// What a call allocates is part of what is promised: nothing for a miss, the copy
// for a hit, and key, value and entry for a Set of a key that is known.
func TestMemoryAllocations(t *testing.T) {
	ctx := context.Background()
	m := &cache.Memory{}
	value := make([]byte, 100)
	set(t, m, "key", string(value), time.Hour)
	for _, c := range []struct {
		call string
		most float64
		run  func()
	}{
		{"Get, missing", 0, func() { m.Get(ctx, "missing") }},
		{"Get, there", 1, func() { m.Get(ctx, "key") }},
		{"Set, replacing", 3, func() { m.Set(ctx, "key", value, time.Hour) }},
		{"Delete, missing", 0, func() { m.Delete(ctx, "missing") }},
	} {
		if got := testing.AllocsPerRun(100, c.run); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", c.call, got, c.most)
		}
	}
}
