package trial

import (
	"math/bits"
	"sync"
	"time"
)

// spans counts how long calls took, by powers of two.
type spans struct {
	mu      sync.Mutex
	counts  [64]int
	longest time.Duration
}

func (s *spans) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[bits.Len64(uint64(d))]++
	s.longest = max(s.longest, d)
}

// within is a time that all but one in n calls did not exceed, up to a factor of two.
func (s *spans) within(n int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for _, c := range s.counts {
		all += c
	}
	left := all / n
	for i := len(s.counts) - 1; i > 0; i-- {
		if left -= s.counts[i]; left < 0 {
			return min(time.Duration(1)<<i, s.longest)
		}
	}
	return s.longest
}

// Longest is the longest call so far.
func (t *Trial) Longest() time.Duration {
	t.spans.mu.Lock()
	defer t.spans.mu.Unlock()
	return t.spans.longest
}

// Within is a time that all but one in n calls did not exceed, up to a factor of two.
func (t *Trial) Within(n int) time.Duration { return t.spans.within(n) }
