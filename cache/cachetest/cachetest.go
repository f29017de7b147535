// Package cachetest checks that a cache keeps the rules of [cache.Cache].
//
//	func TestRules(t *testing.T) {
//		cachetest.Test(t, func(t *testing.T) cache.Cache { return openMine(t) })
//	}
//
// The rules let a cache forget at any time. One that does so at once would pass
// every check without having been looked at, so the caches tested here must
// hold a few hundred short values for the length of a check.
package cachetest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
)

// Test checks the cache that open gives against every rule that can be seen from
// outside, each in a subtest that bears the rule's number and has a cache of its
// own. What the cache needs to be closed belongs into t.Cleanup.
//
// Expiry is checked by waiting a little over a second, once: no store has
// coarser time, and one clock for test and store is needed, which only the real
// one is. For a cache inside the process use TestInBubble, which does not wait.
func Test(t *testing.T, open func(t *testing.T) cache.Cache) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) { r.run(t, open) })
	}
}

// TestInBubble does the same in the fake time of testing/synctest, each rule in
// a bubble of its own, where waiting takes no time. It suits caches that take
// their time from package time and do no I/O.
func TestInBubble(t *testing.T, open func(t *testing.T) cache.Cache) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { r.run(t, open) })
		})
	}
}

func (r rule) run(t *testing.T, open func(t *testing.T) cache.Cache) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.check(ctx, open(t)); err != nil {
		t.Error(err)
	}
}
