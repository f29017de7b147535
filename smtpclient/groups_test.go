package smtpclient

import (
	"runtime"
	"testing"
)

// While somebody is given the last room, who comes with another new name waits, and
// then finds that there is none.
func TestGroupsLastRoom(t *testing.T) {
	g := &Groups{Most: 1}
	g.mu.Lock()
	late := make(chan string)
	go func() { late <- g.Name(&Attempt{Host: "mx.late.example"}) }()
	for range 10_000 { // time enough for it to take what is not its own
		runtime.Gosched()
	}
	g.known.Store("first.example", "first.example")
	g.size.Add(1)
	g.mu.Unlock()
	if got := <-late; got != OtherGroup {
		t.Errorf("there was room for one, and the second is %q", got)
	}
}
