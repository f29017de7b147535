package interop

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Front is a TCP listener that gives each connection to a function of its own
// goroutine.
type Front struct {
	Connections atomic.Int64

	listener net.Listener
	handle   func(net.Conn)
	group    sync.WaitGroup

	mu   sync.Mutex // guards open
	open map[net.Conn]bool
}

// NewFront listens on addr. handle need not close the connection.
func NewFront(addr string, handle func(net.Conn)) (*Front, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	f := &Front{listener: l, handle: handle, open: map[net.Conn]bool{}}
	f.group.Go(f.accept)
	return f, nil
}

// Close ends the listener and all connections.
func (f *Front) Close() {
	f.listener.Close()
	f.mu.Lock()
	for conn := range f.open {
		conn.Close()
	}
	f.mu.Unlock()
	f.group.Wait()
}

func (f *Front) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.Connections.Add(1)
		f.mu.Lock()
		f.open[conn] = true
		f.mu.Unlock()
		f.group.Go(func() {
			f.handle(conn)
			conn.Close()
			f.mu.Lock()
			delete(f.open, conn)
			f.mu.Unlock()
		})
	}
}

// Silence takes everything and never says a word.
func Silence(conn net.Conn) { io.Copy(io.Discard, conn) }

// PassTo connects through to a server.
func PassTo(server string) func(net.Conn) {
	return func(client net.Conn) {
		between(client, server, func(backend net.Conn) { io.Copy(backend, client) }, io.Copy)
	}
}

// between passes a session on: up carries what the client says until it has no
// more, down the answers.
func between(client net.Conn, server string, up func(backend net.Conn), down func(io.Writer, io.Reader) (int64, error)) {
	backend, err := net.DialTimeout("tcp", server, 5*time.Second)
	if err != nil {
		return
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		down(client, backend)
		client.Close()
	})
	up(backend)
	backend.Close()
	answers.Wait()
}

// CutAfterDot passes a plaintext session on, but when the server has answered
// the final dot it closes the connection instead of passing the answer on. The
// message is then at the server, and the client cannot know.
func CutAfterDot(server string) func(net.Conn) {
	return func(client net.Conn) {
		var dot atomic.Bool
		between(client, server, func(backend net.Conn) {
			c := &conversation{client: bufio.NewReader(client), backend: backend}
			c.before = func(step string) bool {
				if step == "." {
					dot.Store(true)
				}
				return true
			}
			c.run()
		}, func(w io.Writer, r io.Reader) (int64, error) { return copyUntil(w, r, &dot) })
	}
}

// copyUntil copies what comes before stop is set.
func copyUntil(w io.Writer, r io.Reader, stop *atomic.Bool) (int64, error) {
	var sum int64
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		if err != nil || stop.Load() {
			return sum, err
		}
		n, err = w.Write(buf[:n])
		sum += int64(n)
		if err != nil {
			return sum, err
		}
	}
}

// StallAt passes a session on until the client comes to a step; from there on
// nothing passes any more, and the connection stays open. reached is told once.
//
// A step is a command's verb, "." for the final dot, "handshake" for the first
// byte after STARTTLS, or "content" for what follows 64 KiB of content, from
// where the client's bytes are not even read.
func StallAt(step, server string, reached func()) func(net.Conn) {
	return func(client net.Conn) {
		between(client, server, func(backend net.Conn) {
			c := &conversation{client: bufio.NewReader(client), backend: backend}
			c.before = func(at string) bool {
				if at == step {
					reached()
				}
				return at != step
			}
			c.run()
			if step == "content" {
				// The end of the session shows only at the other side.
				io.Copy(io.Discard, backend)
				return
			}
			io.Copy(io.Discard, client)
		}, io.Copy)
	}
}

// conversation is the client's side of a session, taken apart into lines.
type conversation struct {
	client  *bufio.Reader
	backend io.Writer
	before  func(step string) bool // whether to pass the step on
}

func (c *conversation) run() {
	for {
		line, err := c.client.ReadString('\n')
		verb := strings.ToUpper(strings.TrimRight(strings.SplitN(line, " ", 2)[0], "\r\n"))
		if err != nil || !c.before(verb) || !c.pass(line) {
			return
		}
		switch {
		case verb == "STARTTLS":
			c.opaque()
			return
		case verb == "DATA" && !c.content():
			return
		}
	}
}

// content passes the content and the final dot.
func (c *conversation) content() bool {
	passed, half := 0, false
	for {
		line, err := c.client.ReadString('\n')
		if err != nil || line == ".\r\n" && !c.before(".") || !c.pass(line) {
			return false
		}
		if line == ".\r\n" {
			return true
		}
		passed += len(line)
		if passed > 64<<10 && !half {
			half = true
			if !c.before("content") {
				return false
			}
		}
	}
}

// opaque passes what cannot be understood.
func (c *conversation) opaque() {
	if _, err := c.client.Peek(1); err != nil || !c.before("handshake") {
		return
	}
	io.Copy(c.backend, c.client)
}

func (c *conversation) pass(text string) bool {
	_, err := io.WriteString(c.backend, text)
	return err == nil
}
