package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
)

// source counts how often a value was found out.
type source struct {
	mu    sync.Mutex
	loads int
	value string
	life  cache.Life
	takes time.Duration
	err   error
}

func (s *source) load(ctx context.Context, key string) (string, cache.Life, error) {
	s.mu.Lock()
	s.loads++
	value, life, takes, err := s.value+" of "+key, s.life, s.takes, s.err
	s.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return "", cache.Life{}, ctx.Err()
	}
	return value, life, err
}

func (s *source) set(change func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// A value is found out once while it is fresh, and again when it is not.
func TestLoaderFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: "policy", life: cache.Life{Fresh: time.Hour}}
		l := cache.Loader[string]{Cache: &cache.Memory{}, Prefix: "test1:", Load: s.load}
		for range 3 {
			if v, err := l.Get(t.Context(), "a"); v != "policy of a" || err != nil {
				t.Fatalf("got %q, %v", v, err)
			}
		}
		if s.count() != 1 {
			t.Errorf("%d loads within the hour, want 1", s.count())
		}
		time.Sleep(time.Hour)
		l.Get(t.Context(), "a")
		if s.count() != 2 {
			t.Errorf("%d loads after the hour, want 2", s.count())
		}
	})
}

// While a stale value is found out again, only the first caller waits.
func TestLoaderStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: "old", life: cache.Life{Fresh: time.Minute, Stale: time.Hour}}
		l := cache.Loader[string]{Cache: &cache.Memory{}, Load: s.load}
		l.Get(t.Context(), "a")
		time.Sleep(2 * time.Minute)
		s.set(func(s *source) { s.value, s.takes = "new", time.Second })

		var first string
		var wg sync.WaitGroup
		wg.Go(func() { first, _ = l.Get(t.Context(), "a") })
		synctest.Wait()
		start := time.Now()
		if v, _ := l.Get(t.Context(), "a"); v != "old of a" || time.Since(start) != 0 {
			t.Errorf("the second caller got %q after %v, want the old value at once", v, time.Since(start))
		}
		wg.Wait()
		if first != "new of a" || s.count() != 2 {
			t.Errorf("the first caller got %q, %d loads; want the new value, 2", first, s.count())
		}
	})
}

// A stale value is better than none, and a source in trouble is not asked by
// everybody.
func TestLoaderStaleOnError(t *testing.T) {
	for name, trouble := range map[string]func(*source){
		"error": func(s *source) { s.err = errors.New("no answer") },
		"slow":  func(s *source) { s.takes = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{value: "old", life: cache.Life{Fresh: time.Minute, Stale: time.Hour}}
				l := cache.Loader[string]{Cache: &cache.Memory{}, Load: s.load}
				l.Get(t.Context(), "a")
				time.Sleep(2 * time.Minute)
				s.set(trouble)
				for range 3 {
					if v, err := l.Get(t.Context(), "a"); v != "old of a" || err != nil {
						t.Errorf("got %q, %v, want the old value", v, err)
					}
				}
				if s.count() != 2 {
					t.Errorf("%d loads, want 2: a failure is not repeated at once", s.count())
				}
				time.Sleep(6 * time.Minute)
				l.Get(t.Context(), "a")
				if s.count() != 3 {
					t.Errorf("%d loads, want 3: after Retry it is tried again", s.count())
				}
				time.Sleep(2 * time.Hour)
				s.set(func(s *source) { s.takes, s.err = 0, errors.New("no answer") })
				if v, err := l.Get(t.Context(), "a"); err == nil {
					t.Errorf("got %q after its life", v)
				}
			})
		})
	}
}

// A caller who gives up does not take the load from those who wait; the last one
// ends it.
func TestLoaderOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: "v", life: cache.Life{Fresh: time.Hour}, takes: time.Minute}
		l := cache.Loader[string]{Cache: &cache.Memory{}, Load: s.load}
		impatient, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Get(impatient, "a"); err == nil || err.Error() != "enough" {
				t.Errorf("the impatient got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, err := l.Get(t.Context(), "a"); v != "v of a" || err != nil {
				t.Errorf("the patient got %q, %v", v, err)
			}
		})
		synctest.Wait()
		cancel(errors.New("enough"))
		wg.Wait()
		if s.count() != 1 {
			t.Errorf("%d loads, want 1", s.count())
		}

		alone, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		start := time.Now()
		if _, err := l.Get(alone, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait() // the load ends with its last caller, or the bubble would wait a minute
		if time.Since(start) != time.Second {
			t.Errorf("took %v", time.Since(start))
		}
		s.set(func(s *source) { s.takes = 0 })
		if v, err := l.Get(t.Context(), "b"); v != "v of b" || err != nil {
			t.Errorf("after a load that was given up: %q, %v", v, err)
		}
	})
}

// A panic in Load is an error of this load only.
func TestLoaderPanic(t *testing.T) {
	l := cache.Loader[int]{Load: func(context.Context, string) (int, cache.Life, error) { panic("boom") }}
	if _, err := l.Get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
}

// Entries of another key or version, and what cannot be decoded, are missing.
func TestLoaderForeignEntries(t *testing.T) {
	s := &source{value: "v", life: cache.Life{Fresh: time.Hour}}
	store := &cache.Memory{}
	l := cache.Loader[string]{Cache: store, Prefix: "p:", Load: s.load}
	l.Get(t.Context(), "a")
	good, ok, _ := store.Get(t.Context(), "p:a")
	if !ok {
		t.Fatal("nothing was kept")
	}
	other := append([]byte(nil), good...)
	other[0]++
	half := good[:len(good)-1]
	for name, c := range map[string]struct {
		key   string
		value []byte
	}{
		"version": {"a", other}, "key": {"b", good}, "cut": {"a", half}, "empty": {"a", nil}, "short": {"a", good[:18]},
	} {
		before := s.count()
		store.Set(t.Context(), "p:"+c.key, c.value, time.Hour)
		if v, err := l.Get(t.Context(), c.key); v != "v of "+c.key || err != nil || s.count() != before+1 {
			t.Errorf("%s: got %q, %v after %d loads", name, v, err, s.count()-before)
		}
	}
}

// Keys that a Cache cannot take are hashed, and still never mixed up.
func TestLoaderKeys(t *testing.T) {
	s := &source{value: "v", life: cache.Life{Fresh: time.Hour}}
	l := cache.Loader[string]{Cache: &cache.Memory{}, Prefix: "p:", Load: s.load}
	keys := []string{strings.Repeat("a", 300), strings.Repeat("a", 301), "with space", "with\nline", "ünï"}
	for range 2 {
		for _, key := range keys {
			if v, err := l.Get(t.Context(), key); v != "v of "+key || err != nil {
				t.Errorf("%q: %q, %v", key, v, err)
			}
		}
	}
	if s.count() != len(keys) {
		t.Errorf("%d loads for %d keys", s.count(), len(keys))
	}
	if err := l.Forget(t.Context(), keys[0]); err != nil {
		t.Error(err)
	}
	l.Get(t.Context(), keys[0])
	if s.count() != len(keys)+1 {
		t.Error("Forget left the value")
	}
}

// A Cache that fails delays nothing and loses nothing.
func TestLoaderBrokenCache(t *testing.T) {
	s := &source{value: "v", life: cache.Life{Fresh: time.Hour}}
	l := cache.Loader[string]{Cache: broken{}, Load: s.load}
	for range 2 {
		if v, err := l.Get(t.Context(), "a"); v != "v of a" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	}
}

type broken struct{}

var errBroken = errors.New("the store is away")

func (broken) Get(context.Context, string) ([]byte, bool, error)        { return nil, false, errBroken }
func (broken) Set(context.Context, string, []byte, time.Duration) error { return errBroken }
func (broken) Delete(context.Context, string) error                     { return errBroken }

// Kept sees the value that a Load is about to replace, fresh or stale, and
// begins no load.
func TestLoaderKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: "policy", life: cache.Life{Fresh: time.Minute, Stale: time.Hour}}
		l := cache.Loader[string]{Cache: &cache.Memory{}, Prefix: "test1:", Load: s.load}
		if v, ok := l.Kept(t.Context(), "a"); ok {
			t.Errorf("kept %q before a load", v)
		}
		l.Get(t.Context(), "a")
		for _, age := range []time.Duration{0, 30 * time.Minute} {
			time.Sleep(age)
			if v, ok := l.Kept(t.Context(), "a"); !ok || v != "policy of a" {
				t.Errorf("after %v: kept %q, %v", age, v, ok)
			}
		}
		time.Sleep(time.Hour)
		if v, ok := l.Kept(t.Context(), "a"); ok || s.count() != 1 {
			t.Errorf("kept %q when its life was over; %d loads", v, s.count())
		}
	})
}

// Fresh sees what Get would give at once, and nothing else.
func TestLoaderFreshOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: "policy", life: cache.Life{Fresh: time.Hour, Stale: time.Hour}}
		memory := &cache.Memory{}
		l := &cache.Loader[string]{Cache: memory, Load: s.load}
		fresh := func(l *cache.Loader[string]) bool {
			v, ok := l.Fresh(t.Context(), []byte("a"))
			if ok && v != "policy of a" {
				t.Errorf("got %q", v)
			}
			return ok
		}
		if fresh(l) || s.count() != 0 {
			t.Error("there is a value before the first load")
		}
		l.Get(t.Context(), "a")
		if !fresh(l) {
			t.Error("a fresh value is not seen")
		}
		refusing := &cache.Loader[string]{Cache: memory, Decode: func(string) (string, error) { return "", errors.New("no") }}
		for name, other := range map[string]*cache.Loader[string]{
			"what Decode refuses": refusing, "with a prefix": {Cache: memory, Prefix: "x"}, "without a cache": {}, "another cache": {Cache: struct{ cache.Cache }{memory}},
		} {
			if fresh(other) {
				t.Errorf("%s: there is a value", name)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, ok := l.Fresh(ended, []byte("a")); ok {
			t.Error("a value after the end of ctx")
		}
		entry, _, _ := memory.Get(t.Context(), "a")
		memory.Set(t.Context(), "b", entry, time.Hour)
		if _, ok := l.Fresh(t.Context(), []byte("b")); ok {
			t.Error("the entry of another key was believed")
		}
		time.Sleep(time.Hour)
		if fresh(l) {
			t.Error("a stale value counts as fresh")
		}
	})
}
