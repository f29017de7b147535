package trial

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// place is where a server runs: always at the same address, started again and again
// in another mood.
type place struct {
	number   int
	name     string
	addr     string // as it is dialled
	lmtp     bool
	password bool // it wants one

	mu     sync.Mutex
	starts int
	down   bool
	mood   mood
	server *smtptest.Server
	socket string // where the server listens, behind the proxy
	proxy  *proxy // nil: in memory
}

func newPlaces() (all []*place) {
	for i, name := range placeNames() {
		p := &place{number: i, name: name, lmtp: strings.HasPrefix(name, "store"), password: name == "relay.example"}
		port := 25
		switch {
		case p.lmtp:
			port = 24
		case p.password:
			port = 587
		}
		p.addr = fmt.Sprintf("192.0.2.%d:%d", 10+i, port)
		all = append(all, p)
	}
	return all
}

// start starts the server in a new mood.
func (p *place) start(t *Trial) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts++
	d := t.dice.about("mood", p.number, p.starts)
	p.mood = p.newMood(d, t.Beat)
	p.down = false
	p.server = &smtptest.Server{
		Name: p.name, Extensions: p.mood.extensions, TLSConfig: t.identities.trusted, Cuts: p.mood.cuts, Wire: p.mood.wire,
		Script: p.script(t.dice, p.starts, p.mood, t.Beat),
	}
	if p.mood.unknown {
		p.server.TLSConfig = t.identities.unknown
	}
	if p.lmtp {
		p.server.Mode = smtptest.LMTP
	}
	if p.password {
		p.server.Passwords = map[string]string{user: secret}
	}
	if !t.Sockets {
		return nil
	}
	addr, err := p.server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.socket = addr.String()
	return nil
}

// stop closes the server in the midst of what it does, and enters what it has in
// the books.
func (p *place) stop(l *Ledger) {
	p.mu.Lock()
	server, m := p.server, p.mood
	p.down, p.socket, p.server = true, "", nil
	p.mu.Unlock()
	server.Close()
	l.enter(p, server, m)
}

// dial opens a connection to the server in memory. Some are torn. What letters do at
// the same time is kept apart by some nanoseconds, so that a trial can be repeated.
func (p *place) dial(ctx context.Context, t *Trial, network string) (net.Conn, error) {
	d := t.dice.about("dial", p.number)
	if l, ok := ctx.Value(letterKey{}).(*letter); ok {
		d = t.dice.about("dial", p.number, l.id, l.dialled())
	}
	if !pause(ctx, 1+d.upTo(time.Millisecond)) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	p.mu.Lock()
	server, down := p.server, p.down
	p.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	conn, err := server.DialContext(ctx, network, p.addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn.(*smtptest.Conn), lag: 1 + d.upTo(time.Millisecond), left: -1}
	if d.oneIn(12) {
		w.left = d.IntN(4000)
	}
	return w, nil
}

// wire is a connection in memory. It can be torn: reset when the client has written
// so many bytes, in the midst of the handshake too.
type wire struct {
	*smtptest.Conn
	lag  time.Duration // how much later than others it notices that the server is gone
	left int           // negative: it is not torn
}

func (c *wire) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		time.Sleep(c.lag)
	}
	return n, err
}

func (c *wire) Write(p []byte) (int, error) {
	if c.left < 0 || len(p) <= c.left {
		if c.left >= 0 {
			c.left -= len(p)
		}
		n, err := c.Conn.Write(p)
		if err != nil {
			time.Sleep(c.lag)
		}
		return n, err
	}
	n, err := c.Conn.Write(p[:c.left])
	c.left = 0
	c.Conn.Reset()
	if err == nil {
		err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ECONNRESET)}
	}
	return n, err
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
