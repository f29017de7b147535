package smtpclient

import "time"

// count is what a LocalLimiter knows of one limit; its mu guards it.
type count struct {
	limit   Limit // as it was asked for last
	touched time.Time

	// At the same time.
	inUse   int
	waiting []*claimant
	window  int           // how many a destination stands, once it is proven
	balance int           // successes less failures since the window moved
	proven  bool          // a use has worked since the last time that it was dead
	failed  int           // in a row
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
	return min(c.window, limit.Max)
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
		c.proven, c.window, c.balance = true, min(limit.Start, limit.Max), 0
		c.failed, c.rest, c.dead = 0, 0, time.Time{}
	case f == Worked:
		c.failed = 0
		if c.balance++; c.balance >= c.window {
			c.window, c.balance = min(c.window+1, limit.Max), 0
		}
	case f != Broken || now.Before(c.dead):
	default:
		if c.failed++; !c.proven || c.failed >= c.window {
			c.die(now)
		} else if c.balance--; c.balance <= -c.window {
			c.window, c.balance = max(c.window-1, 1), 0
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
