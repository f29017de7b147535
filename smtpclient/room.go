package smtpclient

import (
	"sync"
	"sync/atomic"
)

// room is memory for content on its way: what is read of it, and what is to be
// written, with the tail that is held back.
type room struct {
	in    []byte
	out   []byte // empty
	large bool
}

// A message takes half the work in a large room, which few sessions fill at a time.
// Thousands at once get by with the small one, so that each is below 40 KiB. In both
// the encoder may double what was read, on top of the tail and of what was too little
// to be written.
const (
	smallIn   = 4 << 10
	largeIn   = 32 << 10
	mostLarge = 32
)

func newRoom(in int, large bool) *room {
	all := make([]byte, 4*in+maxTail)
	return &room{in: all[:in:in], out: all[in:in], large: large}
}

var (
	smallRooms = sync.Pool{New: func() any { return newRoom(smallIn, false) }}
	largeRooms = sync.Pool{New: func() any { return newRoom(largeIn, true) }}
	largeInUse atomic.Int32
)

// largeRoom gives a large room, or a small one where there are too many.
func largeRoom() *room {
	if largeInUse.Add(1) > mostLarge {
		largeInUse.Add(-1)
		return smallRoom()
	}
	return largeRooms.Get().(*room)
}

func smallRoom() *room { return smallRooms.Get().(*room) }

// leave gives the room back.
func (r *room) leave() {
	if !r.large {
		smallRooms.Put(r)
		return
	}
	largeInUse.Add(-1)
	largeRooms.Put(r)
}
