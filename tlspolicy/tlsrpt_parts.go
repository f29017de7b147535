package tlspolicy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// In the Cache each process has its own values, which nobody else writes: one for each
// day and bucket, with all that it has counted there so far. They are replaced as a
// whole, so that one which is written twice counts once.

// storeTime bounds an answer of the Cache, which may be one of a large value.
const storeTime = 30 * time.Second

// partsFor is how long parts are kept: until after the last try to send their report.
const partsFor = 4 * 24 * time.Hour

// saveEvery is how much is lost with a process that ends without Save.
const saveEvery = 5 * time.Minute

func partKey(d day, bucket int, name string) string {
	return fmt.Sprintf("tlsrpt1:%v:%02x:%s", d, bucket, name)
}

// Save finds out which of the domains that are new want reports, forgets those that do
// not, and stores what was counted. Call it from time to time, as Keep does. The error
// is that of the configuration, of the Cache, or of lookups; what is not stored or not
// found out yet is the next time.
func (c *Collector) Save(ctx context.Context) error {
	if err := c.fault(); err != nil {
		return err
	}
	c.init()
	c.saving.Lock()
	defer c.saving.Unlock()
	c.forgetOld()
	errs := []error{c.askAll(ctx)}
	if c.Cache == nil {
		return errs[0]
	}
	for i := range c.buckets {
		b := &c.buckets[i]
		b.mu.Lock()
		var days []day
		for d, p := range b.parts {
			if p.dirty {
				days = append(days, d)
			}
		}
		b.mu.Unlock()
		for _, d := range days {
			if err := c.store(ctx, i, d); err != nil && len(errs) < 10 {
				errs = append(errs, err)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// Keep saves every 5 minutes, and once more when ctx ends, for which it takes 10 s at
// most. The error is that of the configuration, or of the last Save.
func (c *Collector) Keep(ctx context.Context) error {
	if err := c.fault(); err != nil {
		return err
	}
	for sleep(ctx, saveEvery) {
		// What could not be stored is stored the next time.
		_ = c.Save(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return c.Save(last)
}

// sleep is false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// forgetOld drops the days that nobody took out.
func (c *Collector) forgetOld() {
	oldest := dayOf(time.Now()) - 2
	for i := range c.buckets {
		b := &c.buckets[i]
		b.mu.Lock()
		for d := range b.parts {
			if d < oldest {
				c.dropLocked(b, d)
			}
		}
		b.mu.Unlock()
	}
}

// store writes a part, with what an earlier run has stored.
func (c *Collector) store(ctx context.Context, i int, d day) error {
	if err := c.load(ctx, i, d); err != nil {
		return err
	}
	b := &c.buckets[i]
	b.mu.Lock()
	p := b.parts[d]
	if p == nil {
		b.mu.Unlock()
		return nil
	}
	value := encodePart(p.domains)
	p.dirty = false
	b.mu.Unlock()
	err := c.set(ctx, partKey(d, i, c.name()), value)
	if err != nil {
		b.mu.Lock()
		p.dirty = true
		b.mu.Unlock()
	}
	return err
}

// load adds what an earlier run of this process has stored, once.
func (c *Collector) load(ctx context.Context, i int, d day) error {
	b := &c.buckets[i]
	b.mu.Lock()
	loaded := b.parts[d] != nil && b.parts[d].loaded
	b.mu.Unlock()
	if loaded || c.Cache == nil {
		return nil
	}
	stored, err := c.fetch(ctx, i, d, c.name())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.part(d)
	if p.loaded { // by another call, in the meantime
		return nil
	}
	for name, t := range stored {
		if p.domains[name] == nil {
			if !c.reserve(domainCost + len(name)) {
				c.dropped.Add(t.sessions())
				continue
			}
			p.domains[name] = &tally{}
		}
		if have := p.domains[name]; !have.silent {
			c.dropped.Add(have.merge(t, c.reserve))
		}
	}
	p.loaded = true
	return nil
}

// fetch reads the part of a process. One that cannot be read counts as missing.
func (c *Collector) fetch(ctx context.Context, i int, d day, name string) (map[string]*tally, error) {
	value, ok, err := c.get(ctx, partKey(d, i, name))
	if err != nil || !ok {
		return nil, err
	}
	return decodePart(value), nil
}

// encodePart leaves out the domains that want no reports.
func encodePart(domains map[string]*tally) []byte {
	stored := make(map[string][]policyTally, len(domains))
	for name, t := range domains {
		if len(t.Policies) > 0 {
			stored[name] = t.Policies
		}
	}
	value, _ := json.Marshal(stored) // texts and numbers can always be written
	return value
}

// decodePart reads what encodePart wrote. What nobody can have counted is left out.
func decodePart(value []byte) map[string]*tally {
	var stored map[string][]policyTally
	if json.Unmarshal(value, &stored) != nil {
		return nil
	}
	domains := make(map[string]*tally, len(stored))
	for name, policies := range stored {
		t := &tally{Policies: policies}
		if name != "" && t.isCounted() {
			domains[name] = t
		}
	}
	return domains
}

func (t *tally) isCounted() bool {
	for i := range t.Policies {
		p := &t.Policies[i]
		if p.Successes < 0 || slices.ContainsFunc(p.Details, func(d detailTally) bool { return d.Sessions < 0 }) {
			return false
		}
	}
	return true
}

// sessions is how many were counted.
func (t *tally) sessions() int64 {
	var n int64
	for i := range t.Policies {
		n = plus(n, plus(t.Policies[i].Successes, t.Policies[i].failures()))
	}
	return n
}

func (p *policyTally) failures() int64 {
	var n int64
	for _, d := range p.Details {
		n = plus(n, d.Sessions)
	}
	return n
}

// merged is what all processes have counted. It belongs to the caller. An error is that
// the part of one cannot be had now.
func (c *Collector) merged(ctx context.Context, i int, d day) (map[string]*tally, error) {
	if err := c.load(ctx, i, d); err != nil {
		return nil, err
	}
	all := make(map[string]*tally)
	add := func(name string, t *tally) {
		if all[name] == nil {
			all[name] = &tally{}
		}
		all[name].merge(t, func(int) bool { return true })
	}
	b := &c.buckets[i]
	b.mu.Lock()
	if p := b.parts[d]; p != nil {
		for name, t := range p.domains {
			if len(t.Policies) > 0 {
				add(name, t)
			}
		}
	}
	b.mu.Unlock()
	if c.Cache == nil {
		return all, nil
	}
	for _, peer := range c.others() {
		stored, err := c.fetch(ctx, i, d, peer)
		if err != nil {
			return nil, fmt.Errorf("the counts of %s: %w", peer, err)
		}
		for name, t := range stored {
			add(name, t)
		}
	}
	return all, nil
}

// others are the Peers without this process, each once.
func (c *Collector) others() []string {
	names := slices.Compact(slices.Sorted(slices.Values(c.Peers)))
	return slices.DeleteFunc(names, func(name string) bool { return name == c.name() })
}

// forget removes a part of a day, of all processes.
func (c *Collector) forget(ctx context.Context, i int, d day) error {
	b := &c.buckets[i]
	b.mu.Lock()
	c.dropLocked(b, d)
	b.mu.Unlock()
	if c.Cache == nil {
		return nil
	}
	var errs []error
	for _, name := range append(c.others(), c.name()) {
		errs = append(errs, c.remove(ctx, partKey(d, i, name)))
	}
	return errors.Join(errs...)
}
