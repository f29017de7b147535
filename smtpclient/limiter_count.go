package smtpclient

import "time"

// count is what a LocalLimiter knows of one limit; its mu guards it.
type count struct {
	touched time.Time

	// At the same time.
	inUse   int
	waiting []*waiter
	window  float64       // how many a destination stands, once it is proven
	proven  bool          // a use has worked since the last time that it was dead
	failed  float64       // rounds of failures since the last success
	dead    time.Time     // until then
	rest    time.Duration // for how long it was dead last

	// Of a rate: when the next use would come if all were spaced evenly. It is the
	// theoretical arrival time of the generic cell rate algorithm (ITU-T I.371).
	next time.Time
}

const (
	// A destination that is dead rests as an address does that did not answer.
	shortestDeath = shortestRest
	longestDeath  = longestRest
	// forgotten is when a destination has to prove itself anew.
	forgotten = time.Hour
)

// refuses tells why a use cannot go now, or nil.
func (c *count) refuses(limit Limit, now time.Time) *refusal {
	switch {
	case limit.Max <= 0:
		return &refusal{}
	case limit.Per > 0:
		at := c.next.Add(-time.Duration(max(limit.Burst, 1)-1) * limit.Spacing())
		if now.Before(at) {
			return &refusal{at: at, timed: true}
		}
	case limit.Start > 0 && now.Before(c.dead):
		return &refusal{at: c.dead, timed: true}
	case c.inUse >= c.most(limit):
		return &refusal{}
	}
	return nil
}

// most is how many there may be at the same time now.
func (c *count) most(limit Limit) int {
	switch {
	case limit.Start <= 0:
		return limit.Max
	case !c.proven:
		return 1
	}
	return min(int(c.window), limit.Max)
}

func (c *count) take(limit Limit, now time.Time) {
	if limit.Per <= 0 {
		c.inUse++
		return
	}
	if c.next.Before(now) {
		c.next = now
	}
	c.next = c.next.Add(limit.price())
}

// price is the time that a use takes of a rate.
func (l Limit) price() time.Duration { return time.Duration(max(l.Cost, 1)) * l.Spacing() }

// learn moves the window. Who fails while the destination is dead had begun
// before, and says nothing new.
func (c *count) learn(limit Limit, f Feedback, now time.Time) {
	switch {
	case f == Worked && !c.proven:
		c.proven, c.window = true, float64(min(limit.Start, limit.Max))
		c.failed, c.rest, c.dead = 0, 0, time.Time{}
	case f == Worked:
		c.failed = 0
		c.window = min(c.window+1/c.window, float64(limit.Max))
	case f != Broken || now.Before(c.dead):
	case !c.proven:
		c.die(now)
	default:
		c.failed += 1 / c.window
		c.window = max(c.window-1/c.window, 1)
		if c.failed >= 1 {
			c.die(now)
		}
	}
}

func (c *count) die(now time.Time) {
	c.proven, c.failed = false, 0
	c.rest = min(max(2*c.rest, shortestDeath), longestDeath)
	c.dead = now.Add(c.rest)
}

// idle tells that nothing is lost with c.
func (c *count) idle(now time.Time) bool {
	return c.inUse == 0 && len(c.waiting) == 0 && !now.Before(c.next) && !now.Before(c.dead) &&
		(!c.proven && c.rest == 0 || now.Sub(c.touched) > forgotten)
}
