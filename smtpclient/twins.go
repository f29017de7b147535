package smtpclient

import "hash/maphash"

// index finds recipients by their path and wishes. It is an open hash table, in which
// a slot holds a place in rcpts, plus one: a map would be the most that a recipient
// costs.
type index struct {
	rcpts []recipient
	slots []int32 // a power of two, and at least twice as many as recipients
	seed  maphash.Seed
}

// newIndex is empty. It uses room, which is empty, if that is enough.
func newIndex(rcpts []recipient, room []int32) index {
	n := len(room)
	for n < 2*len(rcpts) {
		n *= 2
	}
	if n > len(room) {
		room = make([]int32, n)
	}
	return index{rcpts, room, maphash.MakeSeed()}
}

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
