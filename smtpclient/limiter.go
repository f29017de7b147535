package smtpclient

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limiter decides how much goes where, across calls and, if it likes, across
// machines. Client asks it before it opens a connection and before each mail
// transaction. What is refused was not attempted: the recipients are Deferred with
// StageLimit, no other host is asked for them, and Outcome.NotBefore says when to
// come back.
//
// The contract, which limitertest holds an implementation to:
//
//  1. Acquire and the methods of a Lease are called by many goroutines.
//  2. Acquire gives either a Lease and no error, or no Lease and an error: a
//     *RefusedError where a limit is used up, whose NotBefore lies ahead; any other
//     error where the Limiter itself is at fault.
//  3. A use counts in all of its limits or in none.
//  4. Acquire ends with ctx, and the use then counts in none.
//  5. Release gives back, at once or as soon as can be, what counts at the same
//     time, and takes less than 100 ms. It may be called more than once; only the
//     first call counts.
//  6. A Lease that is released before anything was reported was not used, and
//     counts in no rate either. Report may come at any time, also after Release.
//  7. A Lease that its holder takes with it when it dies comes back.
//
// A Limiter that panics has refused, as one that is at fault.
type Limiter interface {
	Acquire(ctx context.Context, u Use) (Lease, error)
}

// Lease is a use that was granted.
type Lease interface {
	Report(f Feedback) // what came of it; as often as there is something to say
	Release()          // it is over
}

// Feedback is what came of a use.
type Feedback uint8

// What a Lease is told.
const (
	// Used: it was made use of, and nothing was learned.
	Used Feedback = iota
	// Worked: the session is ready for mail, or a transaction was answered to its
	// end, whatever the answers were.
	Worked
	// Broken: a route had no host that could be talked to, or the connection broke
	// or timed out in a transaction, or the server said 421.
	Broken
)

// Use is what a Limiter is asked for.
type Use struct {
	// Connection: a connection is opened, and the Lease held until it is closed.
	// Otherwise it is a transaction, and held until its verdicts are in. The first
	// one is asked for before its connection.
	Connection bool
	Site       string         // who receives the mail: resolve.Route.Site; best for keys
	NextHop    string         // "example.org", "[mx.example.net]:587"
	Host       string         // the server's name
	Addr       netip.AddrPort // the server's address; zero for a socket
	From       string         // envelope sender, as given
	Local      netip.Addr     // Dialer.LocalAddr4 or 6; zero where the system chooses
	LocalName  string         // Dialer.LocalName, or that of the Client
	Recipients int            // of the transaction, as far as is known; 0 for a connection
}

// Limit is one bound on uses. Those with the same Key count together.
type Limit struct {
	Key string
	// Max is how many there may be at the same time, or with Per, how many in that
	// time. Zero or negative: none, which halts a destination.
	Max int
	// Per makes it a rate, spaced evenly: no time Per has more than Max, or than
	// Max+Burst-1. Zero: at the same time.
	Per time.Duration
	// Burst is how many of a rate may come at once after a pause. Zero: 1.
	Burst int
	// Cost is for how many a use counts in a rate, as Use.Recipients. One that costs
	// more than Burst goes, and is paid for by the pause behind it. Zero: 1.
	Cost int
	// Start makes a LocalLimiter find out how many at the same time a destination
	// stands. There is one until the first has Worked, then Start; each round of
	// successes adds one up to Max, each of failures takes one away, and as many
	// failures in a row as there may be uses make the destination dead: for a minute,
	// then twice as long each time up to a quarter of an hour, nothing goes; then
	// one again. Zero: Max from the first. Not for rates.
	Start int
}

// RefusedError says that a limit is used up.
type RefusedError struct {
	Key       string    // of the Limit
	NotBefore time.Time // when to come back
}

// Error says which limit, and until when.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the limit %q is used up until %s", e.Key, e.NotBefore.UTC().Format(time.RFC3339))
}

// Spacing is the time between two uses of a rate, Per divided by Max; zero where
// it is none.
func (l Limit) Spacing() time.Duration {
	if l.Per <= 0 || l.Max <= 0 {
		return 0
	}
	return l.Per / time.Duration(l.Max)
}

// InOrder gives the limits in the order in which an implementation asks them:
// smallest first, so that what is scarce is not held by those who are refused
// later. Of two limits with the same key and Per only the smaller one is left.
func InOrder(limits []Limit) []Limit {
	order := slices.Clone(limits)
	if len(order) < 2 {
		return order
	}
	slices.SortStableFunc(order, func(a, b Limit) int { return a.Max - b.Max })
	seen := make(map[string]bool, len(order))
	return slices.DeleteFunc(order, func(l Limit) bool {
		id := l.id()
		twice := seen[id]
		seen[id] = true
		return twice
	})
}

// id tells apart what counts apart: at the same time, and each rate.
func (l Limit) id() string {
	if l.Per <= 0 {
		return l.Key
	}
	return strings.Join([]string{l.Key, l.Per.String()}, " per ")
}

// UsualLimits are the rules of a LocalLimiter that has none: 20 connections to
// each site, and 5 of them before it has shown that it stands more, as Postfix's
// qmgr(8) has it.
func UsualLimits(u Use) []Limit {
	if !u.Connection {
		return nil
	}
	return []Limit{{Key: u.Site, Max: 20, Start: 5}}
}
