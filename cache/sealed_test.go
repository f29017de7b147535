package cache_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/cache/cachetest"
)

var sealKey = bytes.Repeat([]byte{7}, 32)

func sealed(t testing.TB, c cache.Cache, key []byte) *cache.Sealed {
	t.Helper()
	s, err := cache.Seal(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedIsACache(t *testing.T) {
	cachetest.Test(t, func(t *testing.T) cache.Cache { return sealed(t, &cache.Memory{}, sealKey) })
}

// What others put into the store is missing, whatever they know of it.
func TestSealedBelievesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), &cache.Memory{}
		s := sealed(t, store, sealKey)
		set := func(key, value string, ttl time.Duration) []byte {
			if err := s.Set(ctx, key, []byte(value), ttl); err != nil {
				t.Fatal(err)
			}
			raw, _, _ := store.Get(ctx, key)
			return bytes.Clone(raw)
		}
		get := func(key string) string {
			value, ok, err := s.Get(ctx, key)
			return fmt.Sprint(string(value), " ", ok, " ", err != nil)
		}
		mine, other := set("a", "mine", time.Minute), set("b", "other", time.Hour)
		if got := get("a"); got != "mine true false" {
			t.Fatal(got)
		}
		if bytes.Contains(mine, []byte("mine")) {
			t.Error("the store has the value in clear")
		}
		changed := bytes.Clone(mine)
		changed[len(changed)/2] ^= 1
		foreign := &cache.Memory{}
		if err := sealed(t, foreign, bytes.Repeat([]byte{8}, 16)).Set(ctx, "a", []byte("forged"), time.Hour); err != nil {
			t.Fatal(err)
		}
		forged, _, _ := foreign.Get(ctx, "a")
		for name, raw := range map[string][]byte{"plain": []byte("forged"), "empty": nil, "a bit": changed, "of another key": other, "under another key": forged} {
			if err := store.Set(ctx, "a", raw, time.Hour); err != nil {
				t.Fatal(err)
			}
			if got := get("a"); got != " false true" {
				t.Errorf("%s: %s", name, got)
			}
		}
		// An old value is no better when it is put there again.
		time.Sleep(time.Minute)
		if err := store.Set(ctx, "a", mine, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := get("a"); got != " false false" {
			t.Errorf("brought back: %s", got)
		}
	})
}

func TestSealRefusesKeys(t *testing.T) {
	for _, n := range []int{0, 15, 33} {
		if s, err := cache.Seal(cache.None, make([]byte, n)); s != nil || err == nil || !strings.Contains(err.Error(), fmt.Sprint(n)) {
			t.Errorf("%d bytes: %v, %v", n, s, err)
		}
	}
}
