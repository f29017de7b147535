package worker

import (
	"context"
	"sync"
)

// room bounds how many bytes of contents are in memory. Who needs some waits in turn.
type room struct {
	most int

	mu      sync.Mutex
	used    int
	waiting []*guest
}

// guest is one who waits.
type guest struct {
	size int
	in   chan struct{} // closed when there is room
}

// enter waits for room, and gives the function that leaves. The error is that of ctx.
func (r *room) enter(ctx context.Context, size int) (leave func(), err error) {
	g := &guest{size: size, in: make(chan struct{})}
	r.mu.Lock()
	r.waiting = append(r.waiting, g)
	r.callLocked()
	r.mu.Unlock()
	select {
	case <-g.in:
		return func() { r.leave(g) }, nil
	case <-ctx.Done():
		r.leave(g)
		return nil, ctx.Err()
	}
}

// leave takes g out, whether it waits or is in.
func (r *room) leave(g *guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.waiting {
		if other == g {
			r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
			r.callLocked()
			return
		}
	}
	r.used -= g.size
	r.callLocked()
}

// callLocked lets those in for whom there is room, and one that will never fit if it
// would be alone.
func (r *room) callLocked() {
	for len(r.waiting) > 0 && (r.used == 0 || r.used+r.waiting[0].size <= r.most) {
		g := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.used += g.size
		close(g.in)
	}
}
