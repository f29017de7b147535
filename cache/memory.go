package cache

import (
	"container/heap"
	"context"
	"strings"
	"sync"
	"time"
)

// Memory is a Cache in the memory of this process. The zero value is ready; it
// must not be copied after its first use. It is safe for many goroutines and
// needs none of its own: what has expired is dropped by the next Set.
//
// Where room is needed, the value whose last use is longest ago goes first. Time
// is taken from the monotonic clock, so that setting the machine's clock moves
// no expiry.
type Memory struct {
	// MaxBytes bounds the sum over all entries of key, value and 192 bytes of
	// overhead. Zero: 16 MiB. A value that is larger alone is not kept, and
	// with a negative number nothing is. It must not change after the first
	// use.
	MaxBytes int

	mu      sync.Mutex // guards what follows, and the links of all entries
	entries map[string]*entry
	expiry  expiryHeap
	recent  entry // head of a ring: recent.next was used last, recent.prev longest ago
	size    int   // sum of entry.cost
}

const (
	defaultMaxBytes = 16 << 20
	// entryOverhead is what an entry costs besides key and value: 80 bytes for
	// the entry itself, the rest for its places in map and heap.
	entryOverhead = 192
)

// entry is one value. It is a string, which never changes, so that it can be
// copied, and read by a Loader, without the lock.
type entry struct {
	key     string
	value   string
	expires time.Time

	index      int // in the heap
	prev, next *entry
}

func (e *entry) cost() int { return len(e.key) + len(e.value) + entryOverhead }

// Get implements Cache. Its only error is that of ctx.
func (m *Memory) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	kept, ok := m.use(key)
	if !ok {
		return nil, false, nil
	}
	return []byte(kept), true, nil
}

// Set implements Cache. Its only error is that of ctx; a value that is too large
// counts as gone early.
func (m *Memory) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	// The key is copied too: it may be a small part of a long string.
	e := &entry{key: strings.Clone(key), value: string(value), expires: now.Add(ttl)}

	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(m.entries[key])
	for len(m.expiry) > 0 && m.expiry[0].expired(now) {
		m.removeLocked(m.expiry[0])
	}
	if ttl <= 0 || e.cost() > m.maxBytes() {
		return nil
	}
	for m.size+e.cost() > m.maxBytes() {
		m.removeLocked(m.recent.prev)
	}
	m.insertLocked(e)
	return nil
}

// Delete implements Cache. Its only error is that of ctx.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(m.entries[key])
	return nil
}

// use finds a value that has not expired and marks it as the one used last.
func (m *Memory) use(key string) (value string, ok bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.useLocked(m.entries[key], now)
}

// useBytes is use for a key that is no string yet, and does not make one.
func (m *Memory) useBytes(key []byte) (value string, ok bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.useLocked(m.entries[string(key)], now)
}

func (m *Memory) useLocked(e *entry, now time.Time) (value string, ok bool) {
	if e == nil {
		return "", false
	}
	if e.expired(now) {
		m.removeLocked(e)
		return "", false
	}
	if m.recent.next != e {
		e.unlink()
		m.linkLocked(e)
	}
	return e.value, true
}

func (m *Memory) maxBytes() int {
	if m.MaxBytes == 0 {
		return defaultMaxBytes
	}
	return m.MaxBytes
}

func (m *Memory) insertLocked(e *entry) {
	if m.entries == nil {
		m.entries = make(map[string]*entry)
		m.recent.prev, m.recent.next = &m.recent, &m.recent
	}
	m.entries[e.key] = e
	heap.Push(&m.expiry, e)
	m.linkLocked(e)
	m.size += e.cost()
}

// removeLocked does nothing for nil, which stands for a missing key.
func (m *Memory) removeLocked(e *entry) {
	if e == nil {
		return
	}
	delete(m.entries, e.key)
	heap.Remove(&m.expiry, e.index)
	e.unlink()
	m.size -= e.cost()
}

func (m *Memory) linkLocked(e *entry) {
	e.prev, e.next = &m.recent, m.recent.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}

func (e *entry) expired(now time.Time) bool { return !now.Before(e.expires) }

// expiryHeap has the entry that expires first at its top (container/heap).
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
