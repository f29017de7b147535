package smtpclient

import (
	"hash/maphash"
	"sync"
)

// index finds recipients by their path and wishes. It is an open hash table, in which
// a slot holds a place in rcpts, plus one: a map would be the most that a recipient
// costs.
type index struct {
	rcpts []recipient
	slots []int32 // a power of two, and at least twice as many as recipients
	seed  maphash.Seed
	table *table
}

// table is room for slots, to be used again.
type table struct{ slots []int32 }

var tables = sync.Pool{New: func() any { return new(table) }}

// newIndex is empty.
func newIndex(rcpts []recipient) index {
	t := tables.Get().(*table)
	n := 64
	for n < 2*len(rcpts) {
		n *= 2
	}
	if n > len(t.slots) {
		t.slots = make([]int32, n)
	}
	slots := t.slots[:n]
	clear(slots)
	return index{rcpts, slots, maphash.MakeSeed(), t}
}

func (x *index) release() { tables.Put(x.table) }

// twin is one who came before with the same path and wishes as recipient i. If there
// is none, i is one to be found.
func (x *index) twin(i int) *recipient {
	r := &x.rcpts[i]
	for at := maphash.String(x.seed, r.path); ; at++ {
		slot := &x.slots[at&uint64(len(x.slots)-1)]
		if *slot == 0 {
			*slot = int32(i) + 1
			return nil
		}
		if o := &x.rcpts[*slot-1]; o.path == r.path && o.wishes(r.to) {
			return o
		}
	}
}

// wishes tells that r asks for the same as another.
func (r *recipient) wishes(other *Recipient) bool {
	return r.to.ORCPT == other.ORCPT && r.to.Notify == other.Notify && r.to.Since.Equal(other.Since)
}
