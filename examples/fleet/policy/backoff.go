// Package policy is when mail is tried again and how much goes where at the same
// time: what the workers and the simulation have in common.
package policy

import (
	"math/rand/v2"
	"time"
)

// Backoff says when to come back after an attempt. Zero is ready.
type Backoff struct {
	First  time.Duration // after the first attempt; zero: 5 min
	Max    time.Duration // the longest; zero: 4 h
	Jitter float64       // how much of it is chance, 0 to 1; zero: 0.2; negative: none
}

// After is how long to wait after so many tries: each time twice as long, less a
// random part, so that what failed together does not come back together. random is
// from 0 to 1, as of rand.Float64.
func (b Backoff) After(tries int, random float64) time.Duration {
	first, most, jitter := b.First, b.Max, b.Jitter
	if first <= 0 {
		first = 5 * time.Minute
	}
	if most <= 0 {
		most = 4 * time.Hour
	}
	if jitter == 0 {
		jitter = 0.2
	}
	wait := first
	for range tries - 1 {
		if wait *= 2; wait >= most {
			break
		}
	}
	wait = min(wait, most)
	return wait - time.Duration(max(jitter, 0)*random*float64(wait))
}

// Random is the chance of After.
func Random() float64 { return rand.Float64() }
