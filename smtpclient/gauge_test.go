package smtpclient_test

import (
	"context"
	"net"
	"sync"
)

// gauge counts connections.
type gauge struct {
	mu                         sync.Mutex
	now, most, mostAt, dialled int
	perAddr                    map[string]int
}

func (g *gauge) around(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		g.count(addr, 1)
		return &gauged{Conn: conn, done: sync.OnceFunc(func() { g.count(addr, -1) })}, nil
	}
}

func (g *gauge) count(addr string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
	if n > 0 {
		g.dialled++
	}
	if g.perAddr != nil {
		g.perAddr[addr] += n
		g.mostAt = max(g.mostAt, g.perAddr[addr])
	}
}

// gauged tells the gauge when it is closed.
type gauged struct {
	net.Conn
	done func()
}

func (c *gauged) Close() error {
	err := c.Conn.Close()
	c.done()
	return err
}

// Buffered is what the engine looks at; see Session.
func (c *gauged) Buffered() int { return c.Conn.(interface{ Buffered() int }).Buffered() }

// endings can end the last connection from the side of the server.
type endings struct {
	dial dialFunc
	mu   sync.Mutex
	conn *ended
}

func (e *endings) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := e.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = &ended{Conn: conn}
	return e.conn, nil
}

// end has the server say its last words and close.
func (e *endings) end(words string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn.end([]byte(words))
}

// ended is a connection whose peer may have gone.
type ended struct {
	net.Conn
	mu    sync.Mutex
	over  bool
	words []byte
}

func (c *ended) end(words []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.words = true, words
}

func (c *ended) Read(p []byte) (int, error) {
	c.mu.Lock()
	over, words := c.over, c.words
	if over {
		n := copy(p, words)
		c.words = words[n:]
		c.mu.Unlock()
		if n == 0 {
			return 0, net.ErrClosed
		}
		return n, nil
	}
	c.mu.Unlock()
	return c.Conn.Read(p)
}

func (c *ended) Write(p []byte) (int, error) {
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *ended) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return len(c.words)
	}
	return c.Conn.(interface{ Buffered() int }).Buffered()
}
