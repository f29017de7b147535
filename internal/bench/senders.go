package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	netsmtp "net/smtp"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	moxdns "github.com/mjl-/mox/dns"
	mox "github.com/mjl-/mox/smtpclient"
	gomail "github.com/wneessen/go-mail/smtp"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// letter is what is sent. The same one is sent again and again.
type letter struct {
	from string
	to   []string
	body []byte
	env  *smtpclient.Envelope // the same, for Postrider
	file string               // with the same bytes; "" where no sender needs it
}

// session is one connection that is ready.
type session interface {
	stream(n int, l *letter) error // sends a letter n times
	close()
}

// sender is one way to send.
type sender struct {
	name string
	all  bool // one session stands for all that a trial has
	open func(s *sink, encrypted bool) (session, error)
}

func (s *sink) tls() *tls.Config { return &tls.Config{RootCAs: s.roots, ServerName: "sink.example"} }

// each is a session that sends one letter after another.
type each struct {
	send func(l *letter) error
	end  func()
}

func (e each) stream(n int, l *letter) error {
	for range n {
		if err := e.send(l); err != nil {
			return err
		}
	}
	return nil
}

func (e each) close() { e.end() }

var netSMTP = sender{name: "net/smtp", open: func(s *sink, encrypted bool) (session, error) {
	c, err := netsmtp.Dial(s.addr)
	if err != nil {
		return nil, err
	}
	if encrypted {
		err = c.StartTLS(s.tls())
	}
	return classic(c, func() { c.Quit() }), err
}}

var goMail = sender{name: "go-mail", open: func(s *sink, encrypted bool) (session, error) {
	c, err := gomail.Dial(s.addr)
	if err != nil {
		return nil, err
	}
	if encrypted {
		err = c.StartTLS(s.tls())
	}
	return classic(c, func() { c.Quit() }), err
}}

// classic sends as net/smtp's documentation shows.
func classic(c interface {
	Mail(from string) error
	Rcpt(to string) error
	Data() (io.WriteCloser, error)
}, end func()) session {
	return each{func(l *letter) error {
		if err := c.Mail(l.from); err != nil {
			return err
		}
		for _, to := range l.to {
			if err := c.Rcpt(to); err != nil {
				return err
			}
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(l.body); err != nil {
			return err
		}
		return w.Close()
	}, end}
}

var goSMTP = sender{name: "go-smtp", open: func(s *sink, encrypted bool) (session, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	c := gosmtp.NewClient(conn)
	if encrypted {
		if c, err = gosmtp.NewClientStartTLS(conn, s.tls()); err != nil {
			return nil, err
		}
	}
	return each{func(l *letter) error { return c.SendMail(l.from, l.to, bytes.NewReader(l.body)) }, func() { c.Quit() }}, nil
}}

var moxClient = sender{name: "mox", open: func(s *sink, encrypted bool) (session, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	mode := mox.TLSSkip
	if encrypted {
		mode = mox.TLSRequiredStartTLS
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	c, err := mox.New(context.Background(), quiet, conn, mode, encrypted, moxdns.Domain{ASCII: "client.example"}, moxdns.Domain{ASCII: "sink.example"}, mox.Opts{RootCAs: s.roots})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	return each{func(l *letter) error {
		_, err := c.DeliverMultiple(ctx, l.from, l.to, int64(len(l.body)), bytes.NewReader(l.body), false, false, false)
		return err
	}, func() { c.Close() }}, nil
}}

func envelope(l *letter) smtpclient.Envelope {
	if l.env != nil {
		return *l.env
	}
	env := smtpclient.Envelope{From: l.from, To: make([]smtpclient.Recipient, len(l.to))}
	for i, to := range l.to {
		env.To[i].Address = to
	}
	l.env = &env
	return env
}

// level is that of the channel.
func (s *sink) policy(encrypted bool) tlspolicy.Policy {
	if !encrypted {
		return tlspolicy.Policy{Level: tlspolicy.None}
	}
	return tlspolicy.Policy{Level: tlspolicy.Verify, Roots: s.roots, Names: []string{"sink.example"}, ServerName: "sink.example"}
}

// asContent makes a letter's content.
type asContent func(l *letter) smtpclient.Content

// again is the same content for each message: it is scanned once.
func again() asContent {
	known := map[*letter]smtpclient.Content{}
	return func(l *letter) smtpclient.Content {
		if known[l] == nil {
			known[l] = smtpclient.Bytes(l.body)
		}
		return known[l]
	}
}

func fresh(l *letter) smtpclient.Content    { return smtpclient.Bytes(l.body) }
func fromFile(l *letter) smtpclient.Content { return smtpclient.File(l.file) }

// postriderSession is Session.Send with a ctx that can be cancelled.
func postriderSession(name string, chunking smtpclient.Chunking, content asContent) sender {
	return sender{name: name, open: func(s *sink, encrypted bool) (session, error) {
		d := &smtpclient.Dialer{LocalName: "client.example", Quirks: func(smtpclient.Target) smtpclient.Quirks { return smtpclient.Quirks{Chunking: chunking} }}
		c, err := d.Dial(context.Background(), smtpclient.Target{Addr: s.addr, Host: "sink.example", Policy: s.policy(encrypted)})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		return each{func(l *letter) error {
			_, err := c.Send(ctx, envelope(l), content(l))
			return err
		}, func() { cancel(); c.Quit(context.Background()) }}, nil
	}}
}

// postriderClient is Client.Deliver through a pool.
func postriderClient(name string) sender {
	content := again()
	return sender{name: name, open: func(s *sink, encrypted bool) (session, error) {
		client, pool := s.client(encrypted, 1)
		ctx, cancel := context.WithCancel(context.Background())
		return each{func(l *letter) error {
			_, err := client.Deliver(ctx, envelope(l), content(l))
			return err
		}, func() { cancel(); pool.Close(context.Background()) }}, nil
	}}
}

func (s *sink) client(encrypted bool, sessions int) (*smtpclient.Client, *smtpclient.Pool) {
	_, port, _ := net.SplitHostPort(s.addr)
	pool := &smtpclient.Pool{KeepAll: true, PerDestination: sessions, MaxUses: -1}
	return &smtpclient.Client{
		LocalName: "client.example",
		NextHops:  []string{"[sink.example]:" + port},
		Resolver:  resolve.Static{{Name: "sink.example", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, TTL: time.Hour}},
		TLS:       s.policy(encrypted),
		Cache:     &cache.Memory{},
		Dialer:    &smtpclient.Dialer{},
		Pool:      pool,
	}, pool
}

// postriderOverlapped is Client.Deliver from many goroutines, through a pool of so
// many sessions.
func postriderOverlapped(name string, goroutines, sessions int, quirks smtpclient.Quirks) sender {
	return sender{name: name, all: true, open: func(s *sink, encrypted bool) (session, error) {
		client, pool := s.client(encrypted, sessions)
		client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return quirks }
		return &overlapped{client, pool, goroutines, again()}, nil
	}}
}

type overlapped struct {
	client     *smtpclient.Client
	pool       *smtpclient.Pool
	goroutines int
	content    asContent
}

func (o *overlapped) stream(n int, l *letter) error {
	env, content := envelope(l), o.content(l)
	errs := make(chan error, o.goroutines)
	for i := range o.goroutines {
		share := n / o.goroutines
		if i < n%o.goroutines {
			share++
		}
		go func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for range share {
				if _, err := o.client.Deliver(ctx, env, content); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var failed error
	for range o.goroutines {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return failed
}

func (o *overlapped) close() { o.pool.Close(context.Background()) }
