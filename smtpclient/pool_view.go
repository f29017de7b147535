package smtpclient

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// PoolSession is a session that a Pool holds.
type PoolSession struct {
	Destination string          // resolve.Route.Site of the last delivery
	Host, Addr  string          // of the server
	Name        string          // ours, in EHLO
	Wanted      tlspolicy.Level // the least that its policy asks for
	Phase       PoolPhase
	Uses        int           // transactions, those in progress included
	Age         time.Duration // since it was connected; zero while that is under way
	// Resting is for how long it has been idle. TLS and Login are known of an idle
	// session only, since one in use belongs to its delivery; zero otherwise.
	Resting time.Duration
	TLS     tlspolicy.State
	Login   string
}

// PoolPhase is what a session does.
type PoolPhase uint8

// The phases of a session.
const (
	PoolDialing PoolPhase = iota // there is a place for it, and it is being opened
	PoolInUse
	PoolIdle
)

// PoolDestination is what a Pool holds for one destination.
type PoolDestination struct {
	Name                 string    // resolve.Route.Site
	InUse, Idle, Waiting int       // sessions, those being dialled included; deliveries
	Last                 time.Time // when a delivery came
}

// Sessions gives the sessions there are now, by destination and address. It holds
// up the Pool for the time of a copy.
func (p *Pool) Sessions() []PoolSession {
	p.mu.Lock()
	now := time.Now()
	list := make([]PoolSession, 0, len(p.used)+p.idle.Len())
	for b := range p.used {
		list = append(list, b.view(now))
	}
	for e := p.idle.Front(); e != nil; e = e.Next() {
		list = append(list, e.Value.(*berth).view(now))
	}
	p.mu.Unlock()
	slices.SortFunc(list, func(a, b PoolSession) int {
		return cmp.Or(strings.Compare(a.Destination, b.Destination), strings.Compare(a.Addr, b.Addr), cmp.Compare(a.Phase, b.Phase), cmp.Compare(b.Age, a.Age))
	})
	return list
}

// view is what can be said of a place while the pool is locked. A session in use is
// its owner's: of that only what never changes is read.
func (b *berth) view(now time.Time) PoolSession {
	v := PoolSession{Destination: b.site.key, Host: b.asked.host, Addr: b.asked.addr, Name: b.name,
		Wanted: b.asked.policy.Level, Uses: b.uses, Phase: PoolInUse}
	if b.session == nil {
		v.Phase = PoolDialing
		return v
	}
	v.Age = now.Sub(b.session.born)
	if b.place != nil {
		v.Phase, v.Resting = PoolIdle, now.Sub(b.since)
		v.TLS, v.Login = b.session.resting.tls, b.session.resting.login
	}
	return v
}

// Destinations gives those with a session or a delivery that waits, the busiest
// first.
func (p *Pool) Destinations() []PoolDestination {
	p.mu.Lock()
	var list []PoolDestination
	for _, st := range p.sites {
		if st.open > 0 || len(st.waiters) > 0 {
			list = append(list, PoolDestination{Name: st.key, InUse: len(st.inUse), Idle: len(st.idle), Waiting: len(st.waiters), Last: st.last})
		}
	}
	p.mu.Unlock()
	slices.SortFunc(list, func(a, b PoolDestination) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(b.InUse+b.Idle, a.InUse+a.Idle), strings.Compare(a.Name, b.Name))
	})
	return list
}
