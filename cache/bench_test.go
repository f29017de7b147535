package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
)

// The benchmarks stand for the cache of a busy client: 10,000 destinations, with
// values as long as an MX answer. In parallel they show what the one lock costs.

const destinations = 10_000

func benchKeys() []string {
	keys := make([]string, destinations)
	for i := range keys {
		keys[i] = fmt.Sprintf("mx/domain-%d.example", i)
	}
	return keys
}

func filled(b *testing.B, keys []string) *cache.Memory {
	m := &cache.Memory{}
	for _, k := range keys {
		if err := m.Set(b.Context(), k, make([]byte, 200), time.Hour); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

func BenchmarkMemoryGet(b *testing.B) {
	keys := benchKeys()
	m := filled(b, keys)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Get(context.Background(), keys[i%destinations])
		i++
	}
}

func BenchmarkMemoryGetParallel(b *testing.B) {
	keys := benchKeys()
	m := filled(b, keys)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			m.Get(context.Background(), keys[i%destinations])
		}
	})
}

// BenchmarkMemorySet replaces; BenchmarkMemorySetFull pushes out another value
// each time.
func BenchmarkMemorySet(b *testing.B) {
	keys := benchKeys()
	m, value := filled(b, keys), make([]byte, 200)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Set(context.Background(), keys[i%destinations], value, time.Hour)
		i++
	}
}

func BenchmarkMemorySetFull(b *testing.B) {
	keys := benchKeys()
	m, value := &cache.Memory{MaxBytes: 1 << 20}, make([]byte, 200)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Set(context.Background(), keys[i%destinations], value, time.Hour)
		i++
	}
}

// BenchmarkMemoryFootprint tells how many bytes of heap stand behind a byte that
// MaxBytes counts, with values so short that the overhead is nearly all.
func BenchmarkMemoryFootprint(b *testing.B) {
	const entries = 200_000
	var heap uint64
	for b.Loop() {
		m := &cache.Memory{MaxBytes: 1 << 30}
		before := heapBytes()
		for i := range entries {
			m.Set(context.Background(), fmt.Sprintf("key%05d", i), []byte("12345678"), time.Hour)
		}
		heap = heapBytes() - before
		runtime.KeepAlive(m)
	}
	b.ReportMetric(float64(heap)/(entries*(8+8+192)), "heapB/countedB")
}

func heapBytes() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
