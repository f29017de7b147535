package main

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

func (s *sink) policy(encrypted bool) tlspolicy.Policy {
	if !encrypted {
		return tlspolicy.Policy{Level: tlspolicy.None}
	}
	return tlspolicy.Policy{Level: tlspolicy.Verify, Roots: s.roots, Names: []string{"sink.example"}, ServerName: "sink.example"}
}

// contentOf makes what a letter is sent with.
type contentOf func(l *letter) smtpclient.Content

func again(l *letter) smtpclient.Content     { return l.content } // it remembers its scan
func fresh(l *letter) smtpclient.Content     { return smtpclient.Bytes(l.body) }
func freshFile(l *letter) smtpclient.Content { return smtpclient.File(l.file) }
func sameFile(l *letter) smtpclient.Content  { return l.spooled } // it remembers its scan, too

// alone is Session.Send with a ctx that can be cancelled.
type alone struct {
	content  contentOf // nil: again
	chunking smtpclient.Chunking
	plain    bool // ctx cannot be cancelled
}

func (a alone) sender(name string) sender {
	if a.content == nil {
		a.content = again
	}
	return sender{name: name, open: func(s *sink, encrypted bool) (session, error) {
		d := &smtpclient.Dialer{LocalName: "client.example", Quirks: func(smtpclient.Target) smtpclient.Quirks {
			return smtpclient.Quirks{Chunking: a.chunking}
		}}
		c, err := d.Dial(context.Background(), smtpclient.Target{Addr: s.addr, Host: "sink.example", Policy: s.policy(encrypted)})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		sending := ctx
		if a.plain {
			sending = context.Background()
		}
		return each{func(l *letter) error {
			_, err := c.Send(sending, l.env, a.content(l))
			return err
		}, func() { c.Quit(ctx); cancel() }}, nil
	}}
}

func sessionSend() sender { return alone{chunking: smtpclient.ChunkingOff}.sender("Session.Send") }

// crowd is Client.Deliver from some goroutines through one pool.
type crowd struct {
	goroutines, sessions int
	quirks               smtpclient.Quirks
	content              contentOf          // nil: again
	limiter              smtpclient.Limiter // nil: none
}

func (c crowd) sender(name string) sender {
	if c.content == nil {
		c.content = again
	}
	return sender{name: name, all: true, open: func(s *sink, encrypted bool) (session, error) {
		client := s.client(encrypted)
		client.Pool = &smtpclient.Pool{KeepAll: true, PerDestination: c.sessions, MaxUses: -1, IdleTime: time.Hour, MaxAge: time.Hour}
		client.Limiter = c.limiter
		client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return c.quirks }
		return &gathering{c, client}, nil
	}}
}

func pooled() sender { return crowd{goroutines: 1, sessions: 1}.sender("Client.Deliver") }

// limited is pooled with limits, too.
func limited() sender {
	return crowd{goroutines: 1, sessions: 1, limiter: &smtpclient.LocalLimiter{}}.sender("Client.Deliver, with a Limiter")
}

// perMessage is Client.Deliver without a pool.
func perMessage() sender {
	return sender{name: "Client.Deliver", open: func(s *sink, encrypted bool) (session, error) {
		return &gathering{crowd{goroutines: 1, content: again}, s.client(encrypted)}, nil
	}}
}

// client knows one next hop, which is the sink.
func (s *sink) client(encrypted bool) *smtpclient.Client {
	_, port, _ := net.SplitHostPort(s.addr)
	return &smtpclient.Client{
		LocalName: "client.example",
		NextHops:  []string{"[sink.example]:" + port},
		Resolver:  resolve.Static{{Name: "sink.example", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, TTL: time.Hour}},
		TLS:       s.policy(encrypted),
		Cache:     &cache.Memory{},
		Dialer:    &smtpclient.Dialer{},
	}
}

type gathering struct {
	crowd
	client *smtpclient.Client
}

func (g *gathering) stream(n int, l *letter) error {
	if g.goroutines == 1 {
		return g.some(n, l)
	}
	return together(g.goroutines, func(i int) error { return g.some(shareOf(n, g.goroutines, i), l) })
}

// some sends from one goroutine.
func (g *gathering) some(n int, l *letter) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range n {
		if _, err := g.client.Deliver(ctx, l.env, g.content(l)); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) close() {
	if g.client.Pool != nil {
		g.client.Pool.Close(context.Background())
	}
}
