package tlspolicy

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/hasty"
)

// init makes what the zero value does not have.
func (c *Collector) init() {
	c.once.Do(func() {
		c.salt = newSalt(c)
		c.asked.Cache, c.asked.Prefix = &cache.Memory{MaxBytes: 4 << 20}, "tlsrpt-rua1:"
		if c.Cache != nil {
			c.asked.Cache = hasty.Of(c.Cache)
		}
		c.asked.Load = func(ctx context.Context, domain string) ([]string, cache.Life, error) {
			uris, err := ReportAddresses(ctx, c.Resolver, domain)
			return uris, cache.Life{Fresh: 24 * time.Hour}, err
		}
	})
}

// newSalt keeps IDs of reports of two processes apart. Those that have a Cache give the
// same IDs after a restart.
func newSalt(c *Collector) string {
	if c.Cache == nil {
		return crand.Text()
	}
	return c.name()
}

const (
	askAtOnce = 8
	askNoMore = 20 // failures before the first answer: the name server is out of order
)

// askAll finds out which of the new domains want reports.
func (c *Collector) askAll(ctx context.Context) error {
	var names []string
	for i := range c.buckets {
		b := &c.buckets[i]
		b.mu.Lock()
		for _, p := range b.parts {
			for name, t := range p.domains {
				if !t.silent && !t.speaks {
					names = append(names, name)
				}
			}
		}
		b.mu.Unlock()
	}
	_, err := c.ask(ctx, names)
	return err
}

// ask finds the addresses of domains: those that are missing could not be asked for,
// of which one error is given. It tells the tallies.
func (c *Collector) ask(ctx context.Context, names []string) (map[string][]string, error) {
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		next    atomic.Int64
		failed  int
		found   = make(map[string][]string, len(names))
		failure error
	)
	// In any order, so that those who have no answers for us do not always come first.
	names = slices.Clone(names)
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	answered := func(name string, uris []string, err error) (goOn bool) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			found[name] = uris
			return true
		}
		failed++
		failure = fmt.Errorf("the report addresses of %s: %w", name, err)
		return len(found) > 0 || failed < askNoMore
	}
	for range min(askAtOnce, len(names)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(names); i = next.Add(1) - 1 {
				uris, err := c.addresses(ctx, names[i])
				if err == nil {
					c.tell(names[i], len(uris) > 0)
				}
				if !answered(names[i], uris, err) {
					return
				}
			}
		})
	}
	wg.Wait()
	return found, failure
}

// addresses are those of one domain, as they were within the last day.
func (c *Collector) addresses(ctx context.Context, domain string) (uris []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the Cache: %v", p)
		}
	}()
	return c.asked.Get(ctx, domain)
}

// tell keeps for today and the days before whether a domain wants reports.
func (c *Collector) tell(name string, speaks bool) {
	b := &c.buckets[bucketOf(name)]
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.parts {
		t := p.domains[name]
		if t == nil {
			continue
		}
		t.speaks, t.silent = speaks, !speaks
		if t.silent && len(t.Policies) > 0 {
			c.release(t.cost())
			t.Policies = nil
			p.dirty = true // it may have been stored before
		}
	}
}
