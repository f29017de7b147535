package smtpclient

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"sync"

	"github.com/postrider/postrider/resolve"
)

// SourceQuery is what Client.Source is asked with.
type SourceQuery struct {
	From       string // envelope sender, as given
	NextHop    resolve.NextHop
	Site       string // who receives the mail: resolve.Route.Site
	Configured bool   // the next hop is that of Client or Envelope, and not a recipient's domain
}

// pickSource asks Client.Source for the way out. It tells whether there is one.
func (w *way) pickSource(ctx context.Context, route *resolve.Route) bool {
	if f := w.foundBefore(); f != nil && f.dialer != nil {
		w.dialer, w.name = f.dialer, f.name
		return true
	}
	w.dialer, w.name = w.delivery.dialer, w.delivery.name
	return w.client.Source == nil || w.askSource(ctx, route)
}

// askSource is pickSource where there is one to be asked; see settleOpen.
//
//go:noinline
func (w *way) askSource(ctx context.Context, route *resolve.Route) bool {
	at := Attempt{Stage: StageLimit, Enhanced: "4.3.0", Times: w.before}
	picked, err := pick(ctx, w.client.Source, SourceQuery{w.letter.env.From, w.hop, route.Site(), w.configured})
	switch {
	case err != nil:
		err = fmt.Errorf("Client.Source: %w", err)
	case picked != nil:
		if err = picked.fault(); err != nil {
			at.Stage, at.Enhanced, err = StageInput, "4.3.5", fmt.Errorf("Client.Source: %w", err)
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		at.Cause = cancelled(ctx)
	case err != nil:
		at.Cause = err
	case picked != nil:
		w.dialer, w.name = picked, orName(picked.LocalName, w.client.LocalName)
	}
	if at.Cause == nil {
		return true
	}
	e := &Error{Status: Deferred, Attempt: at}
	if isRefused(err) {
		e.Enhanced = "4.4.5"
	}
	settleHere(stillOpen(w.rcpts), e)
	return false
}

func pick(ctx context.Context, source func(context.Context, SourceQuery) (*Dialer, error), q SourceQuery) (d *Dialer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return source(ctx, q)
}

func orName(name, usual string) string {
	if name == "" {
		return usual
	}
	return name
}

// Way is one of several ways out of this machine.
type Way struct {
	Dialer *Dialer
	// Weight is its share: 3 is used three times as often as 1. Zero: 1. Negative:
	// not used.
	Weight int
}

// Ways picks ways out by their weight: Pick is a Client.Source. List and Key must
// not change after the first use, and a Ways must not be copied.
type Ways struct {
	List []Way
	// Key gives what belongs together, as the sender or From and NextHop: the same
	// key gets the same way as long as the List has it, so that a second try of a
	// message comes from where the first one came from, which greylisting wants to
	// see. nil: in turn, as evenly as can be.
	Key func(q SourceQuery) string

	mu     sync.Mutex
	credit []int // of each way: the one with the most is next
}

// Pick gives the next Dialer; nil, which is Client.Dialer, if there is none to be
// used.
func (s *Ways) Pick(ctx context.Context, q SourceQuery) (*Dialer, error) {
	if s.Key != nil {
		return s.byKey(s.Key(q)), nil
	}
	return s.inTurn(), nil
}

func (w Way) weight() int {
	if w.Weight == 0 {
		return 1
	}
	return max(w.Weight, 0)
}

// inTurn gives each way credit by its weight, and takes that of all from the one
// that is used: a heavy way comes between the others, not several times in a row.
func (s *Ways) inTurn() *Dialer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credit == nil {
		s.credit = make([]int, len(s.List))
	}
	best, all := -1, 0
	for i, w := range s.List {
		weight := w.weight()
		if weight == 0 {
			continue
		}
		all += weight
		s.credit[i] += weight
		if best < 0 || s.credit[i] > s.credit[best] {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	s.credit[best] -= all
	return s.List[best].Dialer
}

// byKey has each way draw a lot for the key, and the best lot win: where a way is
// added or gone, only the keys that it wins or has won move (weighted rendezvous
// hashing). A way is known by its place in the List.
func (s *Ways) byKey(key string) *Dialer {
	var d *Dialer
	best := math.Inf(-1)
	for i, w := range s.List {
		if w.weight() == 0 {
			continue
		}
		if lot := float64(w.weight()) / -math.Log(draw(key, i)); lot > best {
			best, d = lot, w.Dialer
		}
	}
	return d
}

// draw is a number between 0 and 1 for a key and a way, evenly spread.
func draw(key string, way int) float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", way, key)
	// FNV leaves its upper bits alike for texts that are; murmur's last step mixes
	// them.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return (float64(x>>11) + 0.5) / (1 << 53)
}
