package smtpclient

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// LimiterStats is what a LocalLimiter has done, and what it holds.
type LimiterStats struct {
	Granted int64 // uses
	Refused int64 // those that were not granted in their time
	InUse   int   // uses that have not ended, each counted in all of its limits
	Waiting int   // uses that wait for their turn
	Resting int   // destinations that were found dead, and are left alone for now
	Keys    int   // limits that are remembered
}

// LimitState is one limit and how far it is used up.
type LimitState struct {
	Limit                    // as it was asked for last
	InUse, Waiting int       // of those that count at the same time
	Most           int       // how many may be in use now; Max, or what was found out so far; zero for a rate
	Until          time.Time // when a destination that was found dead is asked again, or a rate has its next use; zero: now
}

// Stats gives the counters, and what there is now. Like Limits it looks at all that
// is remembered, and holds up the limiter while it does.
func (l *LocalLimiter) Stats() LimiterStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LimiterStats{Granted: l.granted, Refused: l.refused, Keys: len(l.counts)}
	now := time.Now()
	for _, c := range l.counts {
		s.InUse += c.inUse
		s.Waiting += len(c.waiting)
		if now.Before(c.dead) {
			s.Resting++
		}
	}
	return s
}

// Limits gives those that are in use, waited for, or closed for a time, those
// with most to say first, and no more than most of them. Zero or negative: all.
func (l *LocalLimiter) Limits(most int) []LimitState {
	l.mu.Lock()
	now := time.Now()
	var list []LimitState
	for _, c := range l.counts {
		if s := c.state(now); s.InUse > 0 || s.Waiting > 0 || !s.Until.IsZero() {
			list = append(list, s)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(list, func(a, b LimitState) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), b.Until.Compare(a.Until), cmp.Compare(b.InUse, a.InUse), strings.Compare(a.id(), b.id()))
	})
	if most > 0 && len(list) > most {
		list = list[:most]
	}
	return list
}

func (c *count) state(now time.Time) LimitState {
	s := LimitState{Limit: c.limit, InUse: c.inUse, Waiting: len(c.waiting)}
	if c.limit.Per <= 0 {
		s.Most = max(c.most(c.limit), 0)
		s.Until = c.dead
	} else {
		s.Until = c.next.Add(-time.Duration(max(c.limit.Burst, 1)-1) * c.limit.Spacing())
	}
	if !now.Before(s.Until) {
		s.Until = time.Time{}
	}
	return s
}

// refuse counts a use that was not granted.
func (l *LocalLimiter) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
}
