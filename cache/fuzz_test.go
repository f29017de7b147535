package cache_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
)

// FuzzLoaderEntry puts any bytes where a Loader has its entries: what it gives is what
// was written in its form, or it is loaded.
func FuzzLoaderEntry(f *testing.F) {
	own := &cache.Memory{}
	l := textLoader(own, "value")
	if _, err := l.Get(f.Context(), "k"); err != nil {
		f.Fatal(err)
	}
	entry, _, _ := own.Get(f.Context(), "f1:k")
	f.Add(entry, "value")
	f.Add([]byte{}, "")
	f.Add(bytes.Repeat([]byte{0xff}, 40), "\x00")
	f.Fuzz(func(t *testing.T, entry []byte, value string) {
		memory := &cache.Memory{}
		if err := memory.Set(t.Context(), "f1:k", entry, time.Hour); err != nil {
			return // more than a Memory takes
		}
		got, err := textLoader(memory, "loaded").Get(t.Context(), "k")
		if err != nil || got != "loaded" && !bytes.Contains(entry, []byte(got)) {
			t.Errorf("%q gave %q, %v", entry, got, err)
		}
		memory = &cache.Memory{}
		textLoader(memory, value).Get(t.Context(), "k")
		if again, err := textLoader(memory, "loaded").Get(t.Context(), "k"); err != nil || again != value {
			t.Errorf("%q came back as %q, %v", value, again, err)
		}
		if other, _ := textLoader(memory, "loaded").Get(t.Context(), "other"); other != "loaded" {
			t.Errorf("another key gave %q", other)
		}
	})
}

func textLoader(c cache.Cache, value string) *cache.Loader[string] {
	return &cache.Loader[string]{
		Cache: c, Prefix: "f1:",
		Load: func(context.Context, string) (string, cache.Life, error) {
			return value, cache.Life{Fresh: time.Hour}, nil
		},
		Encode: func(v string) ([]byte, error) { return []byte(v), nil },
		Decode: func(entry string) (string, error) { return entry, nil },
	}
}

// FuzzSealed: what was not sealed under this key for this name is never given.
func FuzzSealed(f *testing.F) {
	f.Add([]byte("value"), []byte("forged"), uint16(3), byte(1))
	f.Add([]byte{}, []byte{}, uint16(0), byte(0x80))
	f.Fuzz(func(t *testing.T, value, forged []byte, at uint16, change byte) {
		memory := &cache.Memory{}
		sealed, err := cache.Seal(memory, bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		if err := memory.Set(t.Context(), "forged", forged, time.Hour); err == nil {
			if got, ok, _ := sealed.Get(t.Context(), "forged"); ok {
				t.Errorf("%q was believed: %q", forged, got)
			}
		}
		if err := sealed.Set(t.Context(), "k", value, time.Hour); err != nil {
			return // it is too large
		}
		if got, ok, err := sealed.Get(t.Context(), "k"); !ok || err != nil || !bytes.Equal(got, value) {
			t.Errorf("%q came back as %q, %v, %v", value, got, ok, err)
		}
		below, ok, _ := memory.Get(t.Context(), "k")
		if !ok || change == 0 {
			return
		}
		moved := bytes.Clone(below)
		memory.Set(t.Context(), "other", moved, time.Hour)
		below = bytes.Clone(below)
		below[int(at)%len(below)] ^= change
		memory.Set(t.Context(), "k", below, time.Hour)
		for _, key := range []string{"k", "other"} {
			if got, ok, err := sealed.Get(t.Context(), key); ok || err == nil {
				t.Errorf("%s: changed or moved, it gave %q", key, got)
			}
		}
	})
}
