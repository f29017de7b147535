package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// memories are experiments with many sessions that do nothing, or wait.
func memories() []experiment {
	data := rawSender("raw DATA", rawData)
	all := slices.Concat([]sender{sessionSend()}, peers(), []sender{data})
	idle := func(encrypted bool) func(h *hall) (*contest, error) {
		return func(h *hall) (*contest, error) {
			n, c := h.count(1000), new(contest)
			if encrypted {
				n = h.count(300)
			}
			c.add("Client.Deliver", func() (figures, error) { return h.resting(n, encrypted) })
			for _, from := range all {
				c.add(from.name, func() (figures, error) { return h.idle(from, n, encrypted) })
			}
			return c, nil
		}
	}
	list := []experiment{
		{part: "memory", name: "idle, plaintext", rounds: 1, setup: idle(false)},
		{part: "memory", name: "idle, TLS 1.3", rounds: 1, setup: idle(true)},
	}
	ours := func(n int) []sender { return []sender{sessionSend(), eachItsOwn(n)} }
	for _, a := range []active{
		{1000, "BODY", slices.Concat(ours(1000), peers(), []sender{data})},
		{5000, "BODY", append(ours(5000), data)},
		{5000, "REPLY", append(ours(5000), data)},
	} {
		list = append(list, experiment{part: "memory", name: a.name(), rounds: 1, setup: a.setup})
	}
	return list
}

// count is so many, but in a test.
func (h *hall) count(n int) int {
	if h.small {
		return min(n, 20)
	}
	return n
}

// eachItsOwn is Client.Deliver from so many goroutines, with a session for each.
func eachItsOwn(n int) sender {
	return crowd{goroutines: n, sessions: n, quirks: smtpclient.Quirks{NoOverlap: true, Chunking: smtpclient.ChunkingOff}}.sender("Client.Deliver")
}

// idle is what n sessions take that have sent a message each.
func (h *hall) idle(from sender, n int, encrypted bool) (figures, error) {
	to, l, before := h.sink.at(h.sink.wide), letterTo(1, 1<<10), living()
	list, err := openMany(n, func(int) (session, error) {
		s, err := from.open(to, encrypted)
		if err != nil {
			return nil, err
		}
		return s, s.stream(1, l)
	})
	after := living()
	closeAll(list)
	return after.since(before, n), err
}

// resting is what n sessions take in a Pool, each to another endpoint.
func (h *hall) resting(n int, encrypted bool) (figures, error) {
	client, l := h.sink.client(encrypted), letterTo(1, 1<<10)
	client.Pool = &smtpclient.Pool{KeepAll: true, IdleTime: time.Hour, MaxAge: time.Hour}
	client.Dialer.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, h.sink.wide)
	}
	before := living()
	const workers = 16
	err := together(workers, func(w int) error {
		own := *client
		for i := w; i < n; i += workers {
			own.NextHops = []string{fmt.Sprintf("[192.0.2.%d]:%d", i%250, 1000+i)}
			if _, err := own.Deliver(context.Background(), l.env, l.content); err != nil {
				return err
			}
		}
		return nil
	})
	after, idle := living(), client.Pool.Stats().Idle
	client.Pool.Close(context.Background())
	if err == nil && idle != n {
		err = fmt.Errorf("%d sessions are idle, and not %d", idle, n)
	}
	return after.since(before, n), err
}

// active is an experiment with sessions that all have a message of 1 MiB on its way.
type active struct {
	sessions int
	where    string // as holder has it
	senders  []sender
}

func (a active) name() string {
	if a.where == "REPLY" {
		return fmt.Sprintf("%s sessions, waiting for the reply", thousands(a.sessions))
	}
	return fmt.Sprintf("%s sessions, in the midst of 1 MiB", thousands(a.sessions))
}

func (a active) setup(h *hall) (*contest, error) {
	c, l := new(contest), letterTo(1, 1<<20)
	tell, err := h.sink.control()
	if err != nil {
		return nil, err
	}
	c.atEnd(tell.conn.close)
	n, to := h.count(a.sessions), h.sink.at(h.sink.narrow)
	if a.where == "REPLY" {
		to = h.sink.at(h.sink.wide)
	}
	for _, from := range a.senders {
		if from.all {
			from = eachItsOwn(n)
		}
		c.add(from.name, func() (figures, error) { return a.turn(to, tell, from, l, n) })
	}
	return c, nil
}

func (a active) turn(to *sink, tell control, from sender, l *letter, n int) (figures, error) {
	if err := tell.holdAt(a.where); err != nil {
		return nil, err
	}
	before, opened := living(), n
	if from.all {
		opened = 1
	}
	list, err := openMany(opened, func(int) (session, error) { return from.open(to, false) })
	defer closeAll(list)
	if err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(func() { s.stream(n/opened, l) }) // none succeeds
	}
	err = tell.waitFor(n)
	after := living()
	if free := tell.holdAt(""); err == nil {
		err = free
	}
	wg.Wait()
	return after.since(before, n), err
}
