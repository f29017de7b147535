package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
)

// scale has experiments with more and more of something.
func scale() []experiment {
	var list []experiment
	for _, from := range []sender{sessionSend(), pooled(), moxClient(), rawSender("raw DATA", rawData)} {
		list = append(list, experiment{part: "scale", name: "recipients, " + from.name, setup: func(h *hall) (*contest, error) {
			return recipients(h, from)
		}})
	}
	return append(list,
		experiment{part: "scale", name: "destinations", setup: func(h *hall) (*contest, error) {
			return growing(h, func(n int) *spreadOut { return newSpreadOut(h.sink, 1, n) })
		}},
		experiment{part: "scale", name: "goroutines, 10 sessions", setup: func(h *hall) (*contest, error) {
			return growing(h, func(n int) *spreadOut { return newSpreadOut(h.sink, n, 1) })
		}},
		experiment{part: "scale", name: "goroutines, each its own destination", setup: func(h *hall) (*contest, error) {
			return growing(h, func(n int) *spreadOut { return newSpreadOut(h.sink, n, n) })
		}},
		experiment{part: "scale", name: "sessions, raw DATA", setup: rawSessions},
	)
}

// recipients is a contest of messages to some and to many; the figures are for each
// recipient, but allocations for each message. 50 are the floor.
func recipients(h *hall, from sender) (*contest, error) {
	c := &contest{floor: "50"}
	for _, n := range []int{1, 10, 50, 100, 500} {
		t := trial{letter: letterTo(n, 1<<10), messages: max(100, 3000/n), senders: []sender{from}}
		one, err := t.setup(h)
		if one != nil {
			c.atEnd(one.close)
		}
		if err != nil {
			return c, err
		}
		c.add(fmt.Sprint(n), func() (figures, error) {
			f, err := one.contenders[0].turn()
			if err == nil {
				f[rate] *= float64(n)
				f[cpu] /= float64(n)
			}
			return f, err
		})
	}
	return c, nil
}

// growing is a contest of 1, 10, 100 and 1,000 of something; 1 is the floor.
func growing(h *hall, make func(n int) *spreadOut) (*contest, error) {
	c := &contest{floor: "1"}
	for n := 1; n <= h.count(1000); n *= 10 {
		s := make(n)
		c.atEnd(s.close)
		w := work{messages: h.count(10_000)}
		w.do = func() error { return s.stream(w.messages) }
		if err := s.stream(max(n, s.goroutines)); err != nil {
			return c, err
		}
		c.add(thousands(n), w.measure)
	}
	return c, nil
}

// rawSessions is what the system and the runtime take for more and more sessions.
func rawSessions(h *hall) (*contest, error) {
	c, l := &contest{floor: "1"}, letterTo(1, 1<<10)
	for n := 1; n <= h.count(1000); n *= 10 {
		list, err := openMany(n, func(int) (session, error) { return dialRaw(h.sink, false) })
		c.atEnd(func() { closeAll(list) })
		if err != nil {
			return c, err
		}
		w := work{messages: h.count(10_000)}
		w.do = func() error { return spread(list, w.messages, l) }
		c.add(thousands(n), w.measure)
	}
	return c, nil
}

// spreadOut is a client whose goroutines send to destinations in turns.
type spreadOut struct {
	client     *smtpclient.Client
	goroutines int
	letters    []smtpclient.Envelope // one for each destination
	content    smtpclient.Content
}

func newSpreadOut(to *sink, goroutines, destinations int) *spreadOut {
	s := &spreadOut{client: to.client(false), goroutines: goroutines}
	s.client.Pool = &smtpclient.Pool{KeepAll: true, PerDestination: 10, MaxUses: -1, IdleTime: time.Hour, MaxAge: time.Hour}
	_, port, _ := net.SplitHostPort(to.addr)
	names, l := resolve.Static{}, letterTo(1, 1<<10)
	s.content = l.content
	for i := range destinations {
		name, env := fmt.Sprintf("mx.destination%d.example", i), l.env
		names[resolve.Question{Name: name, Type: resolve.TypeA}] = resolve.Answer{TTL: time.Hour,
			Addrs: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i%addresses)})}}
		env.NextHops = []string{"[" + name + "]:" + port}
		s.letters = append(s.letters, env)
	}
	s.client.Resolver = names
	return s
}

func (s *spreadOut) stream(n int) error {
	return together(s.goroutines, func(g int) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for i := range shareOf(n, s.goroutines, g) {
			if _, err := s.client.Deliver(ctx, s.letters[(g+i*s.goroutines)%len(s.letters)], s.content); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *spreadOut) close() { s.client.Pool.Close(context.Background()) }
