package policy

import (
	"sync"
	"time"
)

// Line calls those back whom a limiter has refused. All of them are told about the
// same time, and if all came then, nearly all would be refused again; so they stand
// in a line for each site, and come one by one at the pace at which the site has
// taken mail before. The zero value is ready, for many goroutines.
type Line struct {
	// Naive has everybody come at the limiter's time, for comparison.
	Naive bool

	mu    sync.Mutex
	sites map[string]*place
}

// place is the end of a site's line.
type place struct {
	tail time.Time     // when the last one in line comes
	done time.Time     // when the last transaction ended
	pace time.Duration // between two of them, on average
}

// slowest bounds the pace: after a pause nobody knows it.
const slowest = time.Minute

// Done tells that a transaction with a site has ended.
func (l *Line) Done(site string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.at(site, now)
	if !p.done.IsZero() {
		gap := min(now.Sub(p.done), slowest)
		p.pace += (gap - p.pace) / 8
	}
	p.done = now
}

// Next is when somebody comes back whom the limiter has told about notBefore.
func (l *Line) Next(site string, notBefore, now time.Time) time.Time {
	if notBefore.Before(now) {
		notBefore = now
	}
	if l.Naive {
		return notBefore
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.at(site, now)
	if p.tail.Before(notBefore) {
		p.tail = notBefore
	}
	p.tail = p.tail.Add(p.pace)
	return p.tail
}

// at finds the place of a site, and now and then forgets those that are over.
func (l *Line) at(site string, now time.Time) *place {
	if l.sites == nil {
		l.sites = map[string]*place{}
	}
	p := l.sites[site]
	if p == nil {
		if len(l.sites) >= 100_000 {
			for name, old := range l.sites {
				if old.tail.Before(now) && now.Sub(old.done) > time.Hour {
					delete(l.sites, name)
				}
			}
		}
		p = &place{}
		l.sites[site] = p
	}
	return p
}
