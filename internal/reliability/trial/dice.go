package trial

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// dice decide what is left to chance. What they say depends on the seed and on what
// is asked, and not on what was asked before.
type dice uint64

// about gives the dice of one matter, which are thrown in order.
func (d dice) about(matter string, numbers ...int) throws {
	h := fnv.New64a()
	io.WriteString(h, matter)
	for _, n := range numbers {
		io.WriteString(h, "/"+strconv.Itoa(n))
	}
	return throws{rand.New(rand.NewPCG(uint64(d), h.Sum64()))}
}

type throws struct{ *rand.Rand }

// oneIn is true once in n times.
func (t throws) oneIn(n int) bool { return t.IntN(n) == 0 }

// upTo is a time below d, to the nanosecond: no two things happen at once.
func (t throws) upTo(d time.Duration) time.Duration { return time.Duration(t.Int64N(int64(d) + 1)) }

// pick gives one of several.
func pick[T any](t throws, of []T) T { return of[t.IntN(len(of))] }
