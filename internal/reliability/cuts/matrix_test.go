package cuts

import (
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// everything asks for each byte where otherwise some are left out: those deep in
// long contents, and those within TLS records.
var everything = os.Getenv("POSTRIDER_RELIABILITY") == "full"

// The least that has to be done: sessions and runs.
const (
	leastSessions = 60
	leastCuts     = 120_000 / thin
	leastSplits   = 20_000 / thin
)

// TestCuts cuts each session at every byte of both directions, by FIN, by RST and by
// silence.
func TestCuts(t *testing.T) {
	matrix(t, "cuts", leastCuts, func(t *testing.T, g *golden, whole *run, count func()) {
		for _, c := range cutsOf(whole) {
			play(t, g, c)
			if count(); t.Failed() {
				return
			}
		}
	})
}

// TestSplits lets the replies of each session come in two pieces, split at every
// byte, and in pieces of up to 16 bytes: what is reported is the same.
func TestSplits(t *testing.T) {
	matrix(t, "splits", leastSplits, func(t *testing.T, g *golden, whole *run, count func()) {
		for _, c := range splitsOf(whole) {
			if r := play(t, g, c); r.summary() != whole.summary() {
				r.errorf("got\n%swant\n%s", r.summary(), whole.summary())
				return
			}
			count()
		}
	})
}

// matrix does something with each session, and holds how often.
func matrix(t *testing.T, what string, least int64, do func(t *testing.T, g *golden, whole *run, count func())) {
	all := goldens()
	var runs atomic.Int64
	t.Run("sessions", func(t *testing.T) {
		for _, g := range all {
			t.Run(g.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					do(t, &g, play(t, &g, cell{}), func() { runs.Add(1) })
				})
			})
		}
	})
	t.Logf("%s: %d sessions, %d runs", what, len(all), runs.Load())
	if len(all) < leastSessions || runs.Load() < least {
		t.Errorf("%d sessions and %d runs, want %d and %d at least", len(all), runs.Load(), leastSessions, least)
	}
}

// cutsOf are the places where a session is cut.
func cutsOf(whole *run) (cells []cell) {
	l := whole.lines[0]
	add := func(where direction, at int) {
		for how := range endings {
			cells = append(cells, cell{where: where, at: at, how: ending(how)})
		}
	}
	for _, at := range places(l, l.took, l.tookClear) {
		add(up, at)
	}
	for _, at := range places(l, l.said, l.saidClear) {
		add(down, at)
	}
	if l.tls {
		for at := l.saidClear + 1; at <= len(l.plainSaid); at++ {
			add(inside, at)
		}
	}
	return thinned(cells)
}

// splitsOf are the ways in which the replies of a session come in pieces.
func splitsOf(whole *run) (cells []cell) {
	l := whole.lines[0]
	for most := 1; most <= 16; most++ {
		cells = append(cells, cell{most: most})
	}
	for _, at := range places(l, l.said, l.saidClear) {
		cells = append(cells, cell{split: at})
	}
	if l.tls {
		for at := l.saidClear + 1; at < len(l.plainSaid); at++ {
			cells = append(cells, cell{record: at})
		}
	}
	return thinned(cells)
}

// thinned are some of the runs, where each costs too much.
func thinned(cells []cell) (some []cell) {
	for i := 0; i < len(cells); i += thin {
		some = append(some, cells[i])
	}
	return some
}

// dense is how many bytes at each end of a long session are all cut, and step how far
// the others are apart.
const (
	dense = 300
	step  = 997
)

// places are the bytes where a direction is cut: all of them; of long contents some,
// and of TLS those around the ends of records, and some more.
func places(l *line, wire []byte, clear int) (at []int) {
	size, every, near := len(wire), 1, make(map[int]bool)
	if l.tls {
		every = 41
		for _, end := range seams(wire, clear) {
			near[end-1], near[end], near[end+1], near[end+5] = true, true, true, true
		}
	}
	for n := range size + 1 {
		inMiddle := n > dense && n < size-dense && n%step != 0
		if everything || near[n] || !inMiddle && (n < clear || n%every == 0) {
			at = append(at, n)
		}
	}
	return at
}
