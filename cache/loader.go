package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/ascii"
)

// Loader finds values by Load and keeps them in a Cache. A negative answer is a
// value like any other: let T say that there is nothing.
//
// A value is used without a question while it is fresh. While it is stale, one
// caller loads it again and the others get the stale one at once; if that load
// fails, or takes longer than Patience, the stale one goes on to be used, and the
// next try comes after Retry. A value that is neither is loaded once for all who
// ask: a caller whose ctx ends leaves, and the load ends with the last one.
// Nothing goes on when nobody waits.
//
// The Cache is never needed: its errors, and entries of another key or version,
// count as missing. A Loader is safe for many goroutines and must not be copied
// or changed after its first use.
type Loader[T any] struct {
	Cache  Cache  // nil: None
	Prefix string // of the keys, with a version of T's encoding, as "sts1:"
	// Load finds the value and says how long it holds. With an error nothing is
	// kept. It returns when ctx ends; ctx has the values of the first caller's.
	Load func(ctx context.Context, key string) (T, Life, error)
	// Encode and Decode turn T into bytes and back. nil: as JSON. An entry that
	// Decode refuses is missing. Decode is given a string, so that the value can
	// keep parts of it without a copy.
	Encode func(v T) ([]byte, error)
	Decode func(entry string) (T, error)
	// Patience is how long a caller waits where there is a stale value. Zero: 5 s.
	Patience time.Duration
	// Retry is the time to the next try after one has failed and a stale value
	// was used. Zero: 5 minutes.
	Retry time.Duration

	mu      sync.Mutex
	flights map[string]*flight[T]
}

// Life is how long a value holds.
type Life struct {
	Fresh time.Duration // used without a question; zero: not kept, unless Stale says so
	Stale time.Duration // after that, used where it cannot be loaded again
}

// Get gives the value of key, from the cache or by Load. The error is that of
// Load, or of ctx.
func (l *Loader[T]) Get(ctx context.Context, key string) (T, error) {
	var old kept[T]
	switch {
	case !l.read(ctx, key, &old):
		return l.join(ctx, key)
	case old.isFresh:
		return old.value, nil
	}
	return l.refresh(ctx, key, old), nil
}

// Fresh gives the value of key if it is fresh, Cache is a *Memory and Prefix is
// empty. It is for those who ask for every message: key is neither kept nor made a
// string. Where it finds nothing, Get tells more.
func (l *Loader[T]) Fresh(ctx context.Context, key []byte) (value T, ok bool) {
	m, ok := l.Cache.(*Memory)
	if !ok || l.Prefix != "" || ctx.Err() != nil {
		return value, false
	}
	b, ok := m.useBytes(key)
	if !ok {
		return value, false
	}
	var e kept[T]
	name, entry, ok := e.parse(b)
	if !ok || name != string(key) || !e.usable() || !e.isFresh {
		return value, false
	}
	value, err := l.decode(entry)
	return value, err == nil
}

// Kept gives the value of key as it is in the cache, fresh or stale, without a
// load. It is for a Load that has to know what it replaces.
func (l *Loader[T]) Kept(ctx context.Context, key string) (value T, ok bool) {
	var old kept[T]
	if !l.read(ctx, key, &old) {
		return value, false
	}
	return old.value, true
}

// Forget removes the value of key.
func (l *Loader[T]) Forget(ctx context.Context, key string) error {
	return l.cache().Delete(ctx, l.name(key))
}

func (l *Loader[T]) cache() Cache {
	if l.Cache == nil {
		return None
	}
	return l.Cache
}

// name is the key in the cache: what a Cache cannot take is hashed.
func (l *Loader[T]) name(key string) string {
	name := l.Prefix + key
	if len(name) <= 250 && ascii.IsVisible(name) {
		return name
	}
	sum := sha256.Sum256([]byte(key))
	return l.Prefix + "#" + hex.EncodeToString(sum[:])
}

// flight is a load in progress.
type flight[T any] struct {
	done    chan struct{} // closed when value and err are there
	value   T
	err     error
	waiting int // guarded by Loader.mu
	cancel  context.CancelFunc
}

// join waits for the load of key, and begins it if nobody has.
func (l *Loader[T]) join(ctx context.Context, key string) (T, error) {
	f, _ := l.board(ctx, key)
	defer l.leave(key, f)
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// board gives the flight of key, and whether the caller is the first.
func (l *Loader[T]) board(ctx context.Context, key string) (f *flight[T], first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flights[key]; f != nil {
		f.waiting++
		return f, false
	}
	f = &flight[T]{done: make(chan struct{}), waiting: 1}
	if l.flights == nil {
		l.flights = make(map[string]*flight[T])
	}
	l.flights[key] = f
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go l.fly(ctx, key, f)
	return f, true
}

// leave ends a flight for which nobody waits any more.
func (l *Loader[T]) leave(key string, f *flight[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.waiting--; f.waiting > 0 {
		return
	}
	f.cancel()
	if l.flights[key] == f {
		delete(l.flights, key)
	}
}

// fly loads the value and keeps it.
func (l *Loader[T]) fly(ctx context.Context, key string, f *flight[T]) {
	defer close(f.done)
	defer func() {
		if p := recover(); p != nil {
			f.err = fmt.Errorf("panic while loading %s%s: %v", l.Prefix, key, p)
		}
	}()
	value, life, err := l.Load(ctx, key)
	f.value, f.err = value, err
	if err == nil {
		l.write(ctx, key, value, life)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights[key] == f {
		delete(l.flights, key)
	}
}

// refresh replaces a stale value, where that can be had in time. Only the first
// caller waits for it.
func (l *Loader[T]) refresh(ctx context.Context, key string, old kept[T]) T {
	f, first := l.board(ctx, key)
	defer l.leave(key, f)
	if !first {
		select {
		case <-f.done:
			if f.err == nil {
				return f.value
			}
		default:
		}
		return old.value
	}
	patience := time.NewTimer(orElse(l.Patience, 5*time.Second))
	defer patience.Stop()
	select {
	case <-f.done:
		if f.err == nil {
			return f.value
		}
	case <-patience.C:
	case <-ctx.Done():
		return old.value
	}
	retry := orElse(l.Retry, 5*time.Minute)
	if left := time.Until(time.UnixMilli(old.stale)); left > 0 {
		l.write(ctx, key, old.value, Life{Fresh: min(retry, left), Stale: max(0, left-retry)})
	}
	return old.value
}

func orElse(d, usual time.Duration) time.Duration {
	if d == 0 {
		return usual
	}
	return d
}

// kept is a value as it is kept.
type kept[T any] struct {
	fresh, stale int64 // until when, in milliseconds since 1970
	isFresh      bool  // when it was read
	value        T
}

// format is the version of the layout: format, fresh until and stale until in
// milliseconds since 1970, length of the key, key, value.
const (
	format = 1
	header = 1 + 8 + 8 + 2
)

// read looks a value up that is fresh or stale. The caller has the room for it,
// since most calls end here.
func (l *Loader[T]) read(ctx context.Context, key string, e *kept[T]) bool {
	b, ok := l.get(ctx, l.name(key))
	if !ok {
		return false
	}
	name, entry, ok := e.parse(b)
	if !ok || name != key || !e.usable() {
		return false
	}
	var err error
	e.value, err = l.decode(entry)
	return err == nil
}

// usable tells whether the value is fresh or stale.
func (e *kept[T]) usable() bool {
	if e.fresh == e.stale {
		// It is never stale, and so fresh as long as the Cache has it (rule 6).
		e.isFresh = true
		return true
	}
	now := time.Now().UnixMilli()
	e.isFresh = now < e.fresh
	return now < e.stale
}

// get is Cache.Get. What is in a Memory is a string, and need not be copied.
func (l *Loader[T]) get(ctx context.Context, name string) (string, bool) {
	if m, ok := l.Cache.(*Memory); ok {
		if ctx.Err() != nil {
			return "", false
		}
		return m.use(name)
	}
	b, ok, err := l.cache().Get(ctx, name)
	return string(b), ok && err == nil
}

// parse takes an entry apart; ok is false for what no Loader has written.
func (e *kept[T]) parse(b string) (key, value string, ok bool) {
	if len(b) < header || b[0] != format {
		return "", "", false
	}
	head, rest := []byte(b[:header]), b[header:]
	n := int(binary.BigEndian.Uint16(head[17:]))
	if len(rest) < n {
		return "", "", false
	}
	e.fresh = int64(binary.BigEndian.Uint64(head[1:]))
	e.stale = int64(binary.BigEndian.Uint64(head[9:]))
	return rest[:n], rest[n:], true
}

func (l *Loader[T]) decode(entry string) (T, error) {
	if l.Decode != nil {
		return l.Decode(entry) // most calls end here: nothing may escape to the heap
	}
	var v T
	err := json.Unmarshal([]byte(entry), &v)
	return v, err
}

// Put keeps a value that was found otherwise, or that has grown since.
func (l *Loader[T]) Put(ctx context.Context, key string, v T, life Life) {
	l.write(ctx, key, v, life)
}

// write keeps a value; what cannot be kept is loaded again.
func (l *Loader[T]) write(ctx context.Context, key string, v T, life Life) {
	const century = 100 * 365 * 24 * time.Hour // so that nothing overflows
	fresh := min(max(0, life.Fresh), century)
	ttl := fresh + min(max(0, life.Stale), century)
	if ttl == 0 || len(key) > 0xffff {
		return
	}
	encode := l.Encode
	if encode == nil {
		encode = func(v T) ([]byte, error) { return json.Marshal(v) }
	}
	value, err := encode(v)
	if err != nil {
		return
	}
	now := time.Now()
	b := make([]byte, 0, header+len(key)+len(value))
	b = append(b, format)
	b = binary.BigEndian.AppendUint64(b, uint64(now.Add(fresh).UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(now.Add(ttl).UnixMilli()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, key...)
	b = append(b, value...)
	_ = l.cache().Set(ctx, l.name(key), b, ttl)
}
