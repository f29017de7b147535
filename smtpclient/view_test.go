package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// What a pool holds can be seen: a session that is dialled, one in use with those
// who wait for it, and one that rests.
func TestPoolViews(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pool := &smtpclient.Pool{PerDestination: 1, KeepAll: true, IdleTime: time.Minute}
		defer pool.Close(t.Context())
		w.client.Pool, w.client.TLS = pool, tlspolicy.Encrypt
		server := w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Window: 1 << 16, Delay: time.Second}})
		server.Script = on("DATA", action{Delay: time.Minute})
		start := time.Now()
		var sending sync.WaitGroup
		for i := range 3 {
			sending.Go(func() {
				w.client.Deliver(t.Context(), fromAnn(fmt.Sprintf("bob%d@example.net", i)), smtpclient.Bytes([]byte(hello)))
			})
		}
		see := func(when string, sessions []smtpclient.PoolSession, destinations []smtpclient.PoolDestination) {
			t.Helper()
			synctest.Wait()
			got := pool.Sessions()
			for i := range got {
				if got[i].TLS.Reached != 0 {
					got[i].TLS = tlspolicy.State{Reached: got[i].TLS.Reached}
				}
			}
			if !slices.EqualFunc(got, sessions, func(a, b smtpclient.PoolSession) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("%s: sessions %+v\nwant %+v", when, got, sessions)
			}
			if got := pool.Destinations(); !slices.Equal(got, destinations) {
				t.Errorf("%s: destinations %+v\nwant %+v", when, got, destinations)
			}
			s := pool.Stats()
			if len(destinations) == 1 && (s.InUse != destinations[0].InUse || s.Idle != destinations[0].Idle || s.Waiting != destinations[0].Waiting) {
				t.Errorf("%s: stats %+v", when, s)
			}
		}
		base := smtpclient.PoolSession{Destination: "mx10.example.net", Host: "mx10.example.net", Addr: "192.0.2.10:25", Name: "client.example.org", Wanted: tlspolicy.Encrypt, Uses: 1}
		site := smtpclient.PoolDestination{Name: "mx10.example.net", InUse: 1, Waiting: 2, Last: start}
		see("while it is dialled", []smtpclient.PoolSession{base}, []smtpclient.PoolDestination{site})
		time.Sleep(30 * time.Second)
		used := base
		used.Phase, used.Age = smtpclient.PoolInUse, 28*time.Second
		see("in use", []smtpclient.PoolSession{used}, []smtpclient.PoolDestination{site})
		sending.Wait()
		time.Sleep(5 * time.Second)
		idle := base
		idle.Phase, idle.Uses, idle.Resting, idle.TLS.Reached = smtpclient.PoolIdle, 3, 5*time.Second, tlspolicy.Encrypt
		idle.Age = time.Since(start) - 2*time.Second
		see("at rest", []smtpclient.PoolSession{idle}, []smtpclient.PoolDestination{{Name: site.Name, Idle: 1, Last: start}})
		time.Sleep(time.Hour)
		see("in the end", nil, nil)
	})
}

// Looking at a pool disturbs nobody who uses it: for the race detector.
func TestPoolViewsWhileInUse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pool := &smtpclient.Pool{PerDestination: 2}
		defer pool.Close(t.Context())
		w.client.Pool = pool
		w.mx(10, &smtptest.Server{})
		ctx, cancel := context.WithCancel(t.Context())
		var looking, sending sync.WaitGroup
		looking.Go(func() {
			for ctx.Err() == nil {
				for _, s := range pool.Sessions() {
					_ = fmt.Sprint(s)
				}
				pool.Destinations()
				time.Sleep(time.Microsecond)
			}
		})
		for i := range 8 {
			sending.Go(func() {
				for range 10 {
					w.client.Deliver(t.Context(), fromAnn(fmt.Sprintf("bob%d@example.net", i)), smtpclient.Bytes([]byte(hello)))
				}
			})
		}
		sending.Wait()
		cancel()
		looking.Wait()
	})
}

// What a limiter holds can be seen: what is in use, who waits, which destination is
// left alone, and what was granted and refused.
func TestLimiterViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &smtpclient.LocalLimiter{Wait: time.Minute, Rules: func(u smtpclient.Use) []smtpclient.Limit {
			return []smtpclient.Limit{{Key: u.Site, Max: 2, Start: 2}, {Key: "rate", Max: 60, Per: time.Hour, Burst: 2}}
		}}
		take := func(site string) smtpclient.Lease {
			lease, err := l.Acquire(t.Context(), smtpclient.Use{Connection: true, Site: site})
			if refused := new(smtpclient.RefusedError); err != nil && !errors.As(err, &refused) {
				t.Error(err)
			}
			return lease
		}
		first := take("a")
		go take("a") // may come when the first one has ended
		synctest.Wait()
		see := func(when string, stats smtpclient.LimiterStats, limits ...string) {
			t.Helper()
			if got := l.Stats(); got != stats {
				t.Errorf("%s: %+v, want %+v", when, got, stats)
			}
			var got []string
			for _, s := range l.Limits(0) {
				until := time.Duration(0)
				if !s.Until.IsZero() {
					until = time.Until(s.Until)
				}
				got = append(got, fmt.Sprintf("%s %d of %d, %d wait, %v", s.Key, s.InUse, s.Most, s.Waiting, until))
			}
			if !slices.Equal(got, limits) {
				t.Errorf("%s: %q\nwant %q", when, got, limits)
			}
			if most := l.Limits(1); len(limits) > 1 && len(most) != 1 {
				t.Errorf("%s: %d limits where one is asked for", when, len(most))
			}
		}
		see("one waits", smtpclient.LimiterStats{Granted: 1, InUse: 1, Waiting: 1, Keys: 2}, "a 1 of 1, 1 wait, 0s")
		first.Report(smtpclient.Worked)
		synctest.Wait()
		see("it goes", smtpclient.LimiterStats{Granted: 2, InUse: 2, Keys: 2}, "rate 0 of 0, 0 wait, 1m0s", "a 2 of 2, 0 wait, 0s")
		first.Report(smtpclient.Broken)
		first.Report(smtpclient.Broken)
		first.Release()
		if l.Wait = 0; take("a") != nil {
			t.Error("a dead destination was granted")
		}
		see("it is dead", smtpclient.LimiterStats{Granted: 2, Refused: 1, InUse: 1, Resting: 1, Keys: 2}, "a 1 of 1, 0 wait, 1m0s", "rate 0 of 0, 0 wait, 1m0s")
	})
}

// Groups give out as many names as they have room for.
func TestGroups(t *testing.T) {
	attempt := func(host string) *smtpclient.Attempt { return &smtpclient.Attempt{Host: host} }
	g := &smtpclient.Groups{Most: 2}
	for _, tt := range []struct{ host, want string }{
		{"aspmx.l.google.com", "google.com"}, {"mx.example.net", "example.net"}, {"mx.example.org", "other"}, {"", "none"}, {"ALT1.ASPMX.L.GOOGLE.COM.", "google.com"}, {"mx.example.org", "other"},
	} {
		if got := g.Name(attempt(tt.host)); got != tt.want {
			t.Errorf("%q is of group %q, want %q", tt.host, got, tt.want)
		}
	}
	for host, want := range map[string]string{"localhost": "localhost", "192.0.2.1": "address", "[2001:db8::1]": "address", "2001:db8::1": "address", "a.b": "a.b", ".": "", "x.": "x"} {
		if got := smtpclient.ServerDomain(attempt(host)); got != want {
			t.Errorf("the domain of %q is %q, want %q", host, got, want)
		}
	}
	if got := smtpclient.ServerDomain(&smtpclient.Attempt{Host: "mail.example.org", Addr: "unix:/run/lmtp"}); got != "socket" {
		t.Errorf("that of a socket is %q", got)
	}
	all := &smtpclient.Groups{Of: func(a *smtpclient.Attempt) string { return strings.ToUpper(a.Host) }}
	if got := all.Name(attempt("x")); got != "X" {
		t.Errorf("its own way to name gives %q", got)
	}
	none := &smtpclient.Groups{Most: -1}
	if got := none.Name(attempt("mx.example.net")); got != "other" {
		t.Errorf("without room it is %q", got)
	}
}

// The bound holds where many ask at once, for a hundred thousand destinations.
func TestGroupsAreBounded(t *testing.T) {
	g := &smtpclient.Groups{}
	names := make(chan string, 100_000)
	var asking sync.WaitGroup
	for part := range 4 {
		asking.Go(func() {
			for i := range 25_000 {
				names <- g.Name(&smtpclient.Attempt{Host: fmt.Sprintf("mx.d%d.example", part*25_000+i), Addr: netip.AddrPort{}.String()})
			}
		})
	}
	asking.Wait()
	close(names)
	seen := make(map[string]bool)
	for name := range names {
		seen[name] = true
	}
	if len(seen) != 101 || !seen["other"] {
		t.Errorf("%d names", len(seen))
	}
}
