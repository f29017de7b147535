package main

import "time"

// clock is fake time with what is to happen in it. What happens at the same time does
// so in the order in which it was planned.
type clock struct {
	now     time.Duration // since the start
	planned uint64
	events  []event // a heap
}

type event struct {
	at    time.Duration
	order uint64
	do    action
}

// action is what happens: a few kinds, so that millions of them take no closures.
type action struct {
	kind kind
	job  *job
	sess *session
}

type kind uint8

const (
	arrive  kind = iota // the next message comes
	due                 // a job is due again
	again               // a job that was kept in hand asks the limiter again
	dialled             // a connection is there, or is not
	ended               // a transaction has ended
	rested              // a session may have been idle for long enough
)

var epoch = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func (c *clock) time() time.Time { return epoch.Add(c.now) }

// plan has something happen after a while.
func (c *clock) plan(after time.Duration, do action) {
	c.planned++
	c.events = append(c.events, event{c.now + max(after, 0), c.planned, do})
	for i := len(c.events) - 1; i > 0; {
		up := (i - 1) / 4
		if !c.before(i, up) {
			break
		}
		c.events[i], c.events[up] = c.events[up], c.events[i]
		i = up
	}
}

// next goes on to what happens next. ok is false where nothing does.
func (c *clock) next() (do action, ok bool) {
	if len(c.events) == 0 {
		return action{}, false
	}
	first, last := c.events[0], len(c.events)-1
	c.events[0] = c.events[last]
	c.events = c.events[:last]
	for i := 0; ; {
		least := i
		for down := 4*i + 1; down <= 4*i+4 && down < last; down++ {
			if c.before(down, least) {
				least = down
			}
		}
		if least == i {
			break
		}
		c.events[i], c.events[least] = c.events[least], c.events[i]
		i = least
	}
	c.now = first.at
	return first.do, true
}

func (c *clock) before(i, j int) bool {
	a, b := &c.events[i], &c.events[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}
