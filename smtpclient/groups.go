package smtpclient

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Groups gives destinations a bounded set of names, for the labels of metrics:
// there are more domains than a store of metrics can hold. The zero value is ready;
// it serves many goroutines and must not be copied.
type Groups struct {
	// Of names the group of what an attempt went to, or ended before; "" is
	// NoGroup. nil: ServerDomain.
	Of func(a *Attempt) string
	// Most is how many names there are besides OtherGroup and NoGroup: those that
	// come first. Zero: 100; negative: none.
	Most int

	known sync.Map // the names that were given room
	mu    sync.Mutex
	size  atomic.Int64 // of known; mu is held when it grows
}

const (
	// OtherGroup is that of all who come when Groups.Most names are taken.
	OtherGroup = "other"
	// NoGroup is that of attempts that reached no server.
	NoGroup = "none"
)

// Name is the group of an attempt.
func (g *Groups) Name(a *Attempt) string {
	of := g.Of
	if of == nil {
		of = ServerDomain
	}
	name := of(a)
	if name == "" {
		return NoGroup
	}
	if known, ok := g.known.Load(name); ok {
		return known.(string)
	}
	if g.full() {
		return OtherGroup
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.known.Load(name); ok {
		return known.(string)
	}
	if g.full() {
		return OtherGroup
	}
	g.size.Add(1)
	name = strings.Clone(name)
	g.known.Store(name, name)
	return name
}

func (g *Groups) full() bool {
	most := g.Most
	if most == 0 {
		most = 100
	}
	return g.size.Load() >= int64(most)
}

// ServerDomain is the last two labels of the server's name, as "google.com": most
// operators have their servers under one domain, whatever domains they serve.
// Where a registry gives out names below its own, as in "co.uk", it is that one. An
// address in place of a name is "address", a socket "socket".
func ServerDomain(a *Attempt) string {
	host := strings.TrimSuffix(a.Host, ".")
	switch {
	case strings.HasPrefix(a.Addr, "unix:"):
		return "socket"
	case host == "":
		return ""
	case host[len(host)-1] >= '0' && host[len(host)-1] <= '9':
		return "address"
	}
	from, dots := 0, 0
	for i := len(host) - 1; i >= 0; i-- { // once: it is asked of each recipient
		switch host[i] {
		case '.':
			if dots++; dots == 2 {
				from = i + 1
			}
		case '[', ']', ':':
			return "address"
		}
	}
	return strings.ToLower(host[from:])
}
