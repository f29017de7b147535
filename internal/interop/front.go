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
	backend, err := net.DialTimeout("tcp", server, time.Minute)
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
			c.goOn = func(s Step) bool {
				if s.Name == "." {
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

// Step is where the client of a session is.
type Step struct {
	// Name is a command's verb, "." for the final dot, "handshake" for the
	// first byte after STARTTLS, or "content" for what follows 64 KiB of it.
	Name string
	// More tells that the client has sent something behind it already.
	More bool
}

// Watch passes a session on and asks at each step whether to go on. If not,
// nothing of what the client says passes from there on, and the connection stays
// open; at "content" the client's bytes are not even read any more.
func Watch(server string, goOn func(Step) bool) func(net.Conn) {
	return func(client net.Conn) {
		between(client, server, func(backend net.Conn) {
			c := &conversation{client: bufio.NewReader(client), backend: backend}
			unread := false
			c.goOn = func(s Step) bool {
				ok := goOn(s)
				unread = s.Name == "content" && !ok
				return ok
			}
			c.run()
			if unread {
				untilClosed(client)
				return
			}
			io.Copy(io.Discard, client)
		}, io.Copy)
	}
}

// untilClosed waits, without reading, until this side is closed.
func untilClosed(conn net.Conn) {
	if raw, err := conn.(*net.TCPConn).SyscallConn(); err == nil {
		raw.Read(func(uintptr) (done bool) { return false })
	}
}

// conversation is the client's side of a session, taken apart into lines. DATA
// is taken to be accepted.
type conversation struct {
	client  *bufio.Reader
	backend io.Writer
	goOn    func(Step) bool
}

func (c *conversation) run() {
	for {
		line, err := c.client.ReadString('\n')
		verb := strings.ToUpper(strings.TrimRight(strings.SplitN(line, " ", 2)[0], "\r\n"))
		if err != nil || !c.at(verb) || !c.pass(line) {
			return
		}
		if verb == "STARTTLS" {
			c.opaque()
			return
		}
		if verb == "DATA" && !c.content() {
			return
		}
	}
}

// content passes the content and the final dot.
func (c *conversation) content() bool {
	const half = 64 << 10
	for passed := 0; ; {
		line, err := c.client.ReadString('\n')
		if err != nil || line == ".\r\n" && !c.at(".") || !c.pass(line) {
			return false
		}
		if line == ".\r\n" {
			return true
		}
		before := passed
		passed += len(line)
		if before <= half && passed > half && !c.at("content") {
			return false
		}
	}
}

// opaque passes what cannot be understood.
func (c *conversation) opaque() {
	if _, err := c.client.Peek(1); err == nil && c.at("handshake") {
		c.client.WriteTo(c.backend)
	}
}

func (c *conversation) at(step string) bool {
	return c.goOn(Step{Name: step, More: c.client.Buffered() > 0})
}

func (c *conversation) pass(text string) bool {
	_, err := io.WriteString(c.backend, text)
	return err == nil
}
