package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

// Contents go in in turn, as far as there is room; one that never fits goes alone.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := room{most: 10}
		var mu sync.Mutex // two may come in at once
		in := map[int]func(){}
		enter := func(ctx context.Context, n, size int) {
			go func() {
				if leave, err := r.enter(ctx, size); err == nil {
					mu.Lock()
					defer mu.Unlock()
					in[n] = leave
				}
			}()
			synctest.Wait()
		}
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			if len(in) != len(want) {
				t.Errorf("%d are in, want %v", len(in), want)
			}
			for _, n := range want {
				if in[n] == nil {
					t.Errorf("%d is not in", n)
				}
			}
		}
		leave := func(n int) {
			out := in[n]
			delete(in, n)
			out()
		}
		ctx, cancel := context.WithCancel(t.Context())
		enter(t.Context(), 1, 6)
		enter(ctx, 2, 30)
		enter(t.Context(), 3, 4) // fits, but it is not its turn
		expect(1)
		cancel()
		expect(1, 3)
		enter(t.Context(), 4, 30)
		leave(1)
		expect(3)
		leave(3)
		expect(4)
		enter(t.Context(), 5, 0)
		leave(4)
		expect(5)
		leave(5)
		if r.used != 0 {
			t.Errorf("%d bytes are left", r.used)
		}
	})
}
