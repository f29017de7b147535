package smtpclient

import (
	"sync"
	"sync/atomic"
)

// room is memory for content on its way that does not go straight from the caller's:
// what is read of it, and what is to be written, with the tail that is held back.
type room struct {
	all   []byte
	in    []byte // the end of all
	out   []byte // what is in front of it, empty
	tail  int    // how much is held back
	large bool
}

// A message takes half the work in a large room, which few sessions fill at a time:
// what the scan has marked is in it at once, with the tail. Thousands get by with the
// small one, so that each has less than 40 KiB with its stack. In both the encoder may
// double what was read, on top of the tail and of what was too little to be written.
const (
	smallIn   = 1536
	largeIn   = 64 << 10
	smallTail = 4 << 10
	mostLarge = 32

	// scanPiece is how much a scan reads at a time: it stays in the processor's caches.
	scanPiece = 32 << 10
)

func newRoom(in, tail int, large bool) *room {
	all := make([]byte, 4*in+tail)
	border := len(all) - in
	return &room{all: all, in: all[border:], out: all[:0:border], tail: tail, large: large}
}

var (
	smallRooms = sync.Pool{New: func() any { return newRoom(smallIn, smallTail, false) }}
	largeRooms = sync.Pool{New: func() any { return newRoom(largeIn, maxTail, true) }}
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

// roomFor is one for a content of that size, with all that goes out with it.
func roomFor(size int64) *room {
	if size <= smallTail {
		return smallRoom()
	}
	return largeRoom()
}

// leave gives the room back.
func (r *room) leave() {
	if !r.large {
		smallRooms.Put(r)
		return
	}
	largeInUse.Add(-1)
	largeRooms.Put(r)
}
