package main

import (
	"os"
	"runtime"
	"time"
)

// gauges are what must not grow: at rest, with no session open.
type gauges struct {
	goroutines, descriptors int
	heap                    int64 // bytes
}

// measure waits until nothing changes any more. What is there beyond the first rest has a
// minute to go: on a machine that is busy sessions end late, but what leaks stays.
func measure(rest []gauges) gauges {
	var g gauges
	for range 600 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		now := gauges{runtime.NumGoroutine(), descriptors(), int64(m.HeapAlloc)}
		more := len(rest) > 0 && (now.goroutines > rest[0].goroutines || now.descriptors > rest[0].descriptors)
		if now.goroutines == g.goroutines && now.descriptors == g.descriptors && !more {
			return now
		}
		g = now
		time.Sleep(100 * time.Millisecond)
	}
	return g
}

// descriptors counts the open files of this process; zero where that cannot be seen.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// slope is by how much y grows for each step, by least squares.
func slope(ys []float64) float64 {
	n := float64(len(ys))
	var sx, sy, sxx, sxy float64
	for i, y := range ys {
		x := float64(i)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if n < 2 {
		return 0
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
