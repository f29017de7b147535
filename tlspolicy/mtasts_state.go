package tlspolicy

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/hasty"
	"github.com/postrider/postrider/resolve"
)

// The times of MTA-STS.
const (
	stsLookupTime = 5 * time.Second  // for the TXT record
	stsFetchTime  = 15 * time.Second // for the policy
	stsAskEvery   = 5 * time.Minute  // the least that RFC 8461, Section 3.3 wants between tries
	stsRenewEvery = 24 * time.Hour   // as it suggests
	stsLeastLife  = time.Minute      // of a policy with a max_age of nearly nothing
)

// stsState is what is known of a domain. The zero value is that there is no
// policy.
type stsState struct {
	ID               string // of Policy, in the TXT record
	Policy           stsPolicy
	Fetched, Expires time.Time // of Policy
	Failure, Reason  string    // why there is none, although there is a record; see Published
}

func (s *stsState) live() bool { return time.Now().Before(s.Expires) }

// isOld tells that a live policy should be fetched anew: after a day, and one that
// does not live for two days in the middle of its life, so that there is time to
// try again before it ends.
func (s *stsState) isOld() bool {
	return s.live() && time.Since(s.Fetched) >= min(stsRenewEvery, s.Policy.MaxAge/2)
}

// life is how long the state holds without a question, and how long after that if
// there is no answer. The spread keeps many domains, or many machines, from
// asking at the same time.
func (s *stsState) life() cache.Life {
	ask := stsAskEvery + rand.N(stsAskEvery/5)
	if !s.live() {
		return cache.Life{Fresh: ask}
	}
	left := time.Until(s.Expires)
	return cache.Life{Fresh: min(ask, left), Stale: max(0, left-ask)}
}

// stsLoader has the states of one cache.
type stsLoader struct {
	cache.Loader[stsState]
	users int // guarded by MTASTS.mu
}

// state is what is known of a domain, from the cache or anew.
func (s *MTASTS) state(ctx context.Context, q Query, domain string) (stsState, error) {
	store := cmp.Or(s.Cache, q.Cache, cache.None)
	l := s.borrow(store)
	defer s.giveBack(store, l)
	return l.Get(context.WithValue(ctx, queryKey{}, q), domain)
}

// borrow gives the loader of a cache: who shares the cache shares the lookups in
// progress.
func (s *MTASTS) borrow(store cache.Cache) *stsLoader {
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := reflect.ValueOf(store).Comparable()
	if shared && s.loaders[store] != nil {
		s.loaders[store].users++
		return s.loaders[store]
	}
	l := &stsLoader{users: 1}
	l.Cache, l.Prefix, l.Patience = hasty.Of(store), "mta-sts1:", stsLookupTime+stsFetchTime+time.Second
	l.Load = func(ctx context.Context, domain string) (stsState, cache.Life, error) {
		old, _ := l.Kept(ctx, domain)
		return s.load(ctx, domain, old)
	}
	if shared {
		if s.loaders == nil {
			s.loaders = make(map[cache.Cache]*stsLoader)
		}
		s.loaders[store] = l
	}
	return l
}

func (s *MTASTS) giveBack(store cache.Cache, l *stsLoader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.users--; l.users == 0 && reflect.ValueOf(store).Comparable() {
		delete(s.loaders, store)
	}
}

// queryKey is where ctx has the Query of the call that began a load.
type queryKey struct{}

// load asks a domain whose state is old. The error is that of ctx: whatever else
// goes wrong, a policy that is live stays, and a domain without one has none (RFC
// 8461, Section 3.3).
func (s *MTASTS) load(ctx context.Context, domain string, old stsState) (stsState, cache.Life, error) {
	q, _ := ctx.Value(queryKey{}).(Query)
	id := lookupSTS(ctx, q.Resolver, domain)
	state := old
	state.Failure, state.Reason = "", ""
	// A record that is gone is no reason to stop renewing a live policy: who
	// removed it may be an attacker (RFC 8461, Section 10.2).
	if id != "" && id != old.ID || old.isOld() {
		if p, err := s.fetch(ctx, q.Resolver, domain); err == nil {
			now := time.Now()
			state = stsState{ID: cmp.Or(id, old.ID), Policy: p, Fetched: now, Expires: now.Add(max(p.MaxAge, stsLeastLife))}
		} else {
			state.Failure, state.Reason = fetchFailure(err), fmt.Sprintf("%.300s", err.Error())
		}
	}
	if err := ctx.Err(); err != nil {
		return stsState{}, cache.Life{}, context.Cause(ctx)
	}
	if !state.live() {
		state = stsState{Failure: state.Failure, Reason: state.Reason}
	}
	return state, state.life(), nil
}

// lookupSTS asks for the id of the policy; "" if there is none, or no answer.
func lookupSTS(ctx context.Context, r resolve.Resolver, domain string) string {
	ctx, cancel := context.WithTimeout(ctx, stsLookupTime)
	defer cancel()
	answer, err := orDNS(r).Lookup(ctx, resolve.Question{Name: "_mta-sts." + domain, Type: resolve.TypeTXT})
	if err != nil {
		return ""
	}
	return stsID(answer.TXT)
}

// orDNS is the Resolver of a Query.
func orDNS(r resolve.Resolver) resolve.Resolver {
	if r == nil {
		return resolve.Default()
	}
	return r
}
