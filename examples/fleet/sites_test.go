//go:build linux

package main

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
	"golang.org/x/sys/unix"
)

// site is a mail server that counts who is connected to it.
type site struct {
	server *smtptest.Server

	messages atomic.Int64 // read to their end

	mu     sync.Mutex
	open   map[*visitor]bool
	most   int // at the same time
	visits int
	names  map[int]string // of clients, by their sessions
	from   map[string]int // messages, by the names of clients
}

// openSites starts n servers, and a world where each has two domains.
func openSites(t *testing.T, n int, script func() func(smtptest.Command) smtptest.Action) ([]*site, *world) {
	t.Helper()
	w := &world{Domains: map[string]int{}}
	var list []*site
	for i := range n {
		s, act := &site{open: map[*visitor]bool{}, names: map[int]string{}, from: map[string]int{}}, script()
		s.server = &smtptest.Server{
			Extensions: []string{"PIPELINING", "SIZE 10485760", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"},
			Script: func(c smtptest.Command) smtptest.Action {
				s.note(c)
				return act(c)
			},
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.accept(l, &wg) })
		t.Cleanup(func() {
			l.Close()
			s.server.Close()
			wg.Wait()
		})
		list = append(list, s)
		w.Sites = append(w.Sites, l.Addr().String())
		w.Domains[fmt.Sprintf("d%d.example", i)], w.Domains[fmt.Sprintf("d%d.example", i+n)] = i, i
	}
	w.Domains["example.org"] = 0
	return list, w
}

// visitor is a connection that is counted until its server closes it.
type visitor struct {
	*net.TCPConn
	site *site
}

// Close counts it out.
func (v *visitor) Close() error {
	err := v.TCPConn.Close()
	v.site.mu.Lock()
	defer v.site.mu.Unlock()
	delete(v.site.open, v)
	return err
}

// left tells whether the client has closed its end. A client gives its place back
// then, and another may come before our server has noticed.
func (v *visitor) left() bool {
	raw, err := v.TCPConn.SyscallConn()
	if err != nil {
		return true
	}
	gone := true
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		const established = 1 // linux: TCP_ESTABLISHED
		gone = err != nil || info.State != established
	})
	return gone
}

func (s *site) accept(l net.Listener, wg *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		v := &visitor{TCPConn: c.(*net.TCPConn), site: s}
		s.count(v)
		wg.Go(func() { _ = s.server.ServeConn(v) })
	}
}

func (s *site) count(v *visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[v] = true
	s.visits++
	here := 0
	for other := range s.open {
		if !other.left() {
			here++
		}
	}
	s.most = max(s.most, here)
}

// note counts a message, and keeps who brought it.
func (s *site) note(c smtptest.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Verb {
	case "EHLO":
		s.names[c.Session] = c.Args
	case smtptest.EndOfData:
		s.from[s.names[c.Session]]++
		s.messages.Add(1)
	}
}

// met is the share of messages that came to their site from the worker who brought it
// the most.
func met(sites []*site) float64 {
	all, together := 0, 0
	for _, s := range sites {
		most := 0
		for _, n := range s.from {
			most = max(most, n)
			all += n
		}
		together += most
	}
	return float64(together) / float64(all)
}

// got is how often each recipient was told that the server has the message.
func got(sites []*site) map[string]int {
	times := map[string]int{}
	for _, s := range sites {
		for _, m := range s.server.Messages() {
			if len(m.Replies) == 1 && strings.HasPrefix(m.Replies[0], "250") {
				for _, to := range m.To {
					times[to]++
				}
			}
		}
	}
	return times
}

// connections is how many there were.
func connections(sites []*site) int {
	n := 0
	for _, s := range sites {
		s.mu.Lock()
		n += s.visits
		s.mu.Unlock()
	}
	return n
}
