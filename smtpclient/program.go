package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Program is a command that speaks SMTP or LMTP on its standard input and output,
// in place of a server on the network: a local "sendmail -bs", or an SMTP server
// behind ssh. Its DialContext is for Dialer.DialContext:
//
//	sendmail := &smtpclient.Program{Args: []string{"/usr/sbin/sendmail", "-bs"}}
//	dialer := &smtpclient.Dialer{DialContext: sendmail.DialContext}
//	session, err := dialer.Dial(ctx, smtpclient.Target{Addr: "unix:sendmail"})
//
// Each connection is a process of its own. No shell is involved, and nothing of a
// message or an address becomes an argument. A Program must not change after its
// first use; it is safe for many goroutines. On Windows, where a pipe has no
// deadlines, a session is bounded by ctx only.
type Program struct {
	// Args are the program, by its path or as it is found in PATH, and its
	// arguments. They are needed.
	Args []string
	Dir  string   // where it runs; "": where this process does
	Env  []string // as "NAME=value"; nil: the environment of this process
	// Stderr is where its messages go. nil: nowhere.
	Stderr *os.File
	// Echoes takes lines out of its output that repeat a line of its input and are
	// no replies, as "smtpserver -i -v" of ZMailer writes them. Without it such a
	// line is a protocol error. It does not reach into TLS.
	Echoes bool
}

var errNoArgs = errors.New("Program.Args: the program is missing")

// DialContext starts the program. The network and the address are not used. ctx
// bounds only the start. An error is that of os/exec.
func (p *Program) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(p.Args) == 0 || p.Args[0] == "" {
		return nil, errNoArgs
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		theirIn.Close()
		ourOut.Close()
		return nil, err
	}
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout = p.Dir, p.Env, theirIn, theirOut
	if p.Stderr != nil {
		cmd.Stderr = p.Stderr
	}
	err = cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		ourIn.Close()
		ourOut.Close()
		return nil, fmt.Errorf("starting the program: %w", err)
	}
	c := &programConn{in: ourIn, out: ourOut, name: programAddr(p.Args[0]), cmd: cmd}
	if p.Echoes {
		c.echoes = &echoes{}
	}
	return c, nil
}

// programConn is the connection to a process.
type programConn struct {
	in, out *os.File
	name    programAddr
	cmd     *exec.Cmd
	echoes  *echoes // nil: none are expected

	closing sync.Once
	closed  error
}

// Read reads what the program has written.
func (c *programConn) Read(p []byte) (int, error) {
	if c.echoes == nil {
		return c.in.Read(p)
	}
	for {
		if n := c.echoes.take(p); n > 0 {
			return n, nil
		}
		n, err := c.in.Read(p)
		c.echoes.got(p[:n])
		if err != nil {
			return c.echoes.rest(p), err
		}
	}
}

// Write writes to the program's input.
func (c *programConn) Write(p []byte) (int, error) {
	if c.echoes != nil {
		c.echoes.sent(p)
	}
	return c.out.Write(p)
}

// patience is how long a program has to end by itself when its input has ended.
// A call that is cut off has to return soon.
const patience = 50 * time.Millisecond

// Close ends the program's input and output, and then the program, if it goes on.
// What it has accepted it is answerable for.
func (c *programConn) Close() error {
	c.closing.Do(func() {
		c.closed = errors.Join(c.out.Close(), c.in.Close())
		kill := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() }) // fails if it has ended
		// How it ended is no part of the dialogue.
		_ = c.cmd.Wait()
		kill.Stop()
	})
	return c.closed
}

func (c *programConn) LocalAddr() net.Addr  { return c.name }
func (c *programConn) RemoteAddr() net.Addr { return c.name }

func (c *programConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
func (c *programConn) SetReadDeadline(t time.Time) error  { return c.in.SetReadDeadline(t) }
func (c *programConn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }

// programAddr is the program's path.
type programAddr string

func (a programAddr) Network() string { return "program" }
func (a programAddr) String() string  { return string(a) }

// echoes takes echoed lines out of a stream of replies. It is guarded by mu, since
// a Write may come while a Read waits.
type echoes struct {
	mu      sync.Mutex
	written []byte // the end of what was written
	raw     []byte // a line that is not whole
	ready   []byte // what can be read
	tls     bool   // TLS has begun: there are no lines any more
}

// tlsHandshake begins the first record of a TLS client, and no command.
const tlsHandshake = 22

// maxEcho is how much of what was written is remembered.
const maxEcho = 64 << 10

func (e *echoes) sent(p []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tls = e.tls || len(p) > 0 && p[0] == tlsHandshake
	e.written = append(e.written, p...)
	if over := len(e.written) - maxEcho; over > 0 {
		e.written = e.written[over:]
	}
}

// got takes in what was read. A line that is too long to be an echo passes, so
// that the reader's own limit holds.
func (e *echoes) got(p []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tls {
		e.ready, e.raw = append(append(e.ready, e.raw...), p...), nil
		return
	}
	e.raw = append(e.raw, p...)
	for {
		line, rest, whole := bytes.Cut(e.raw, []byte("\n"))
		if !whole && len(e.raw) < maxEcho {
			return
		}
		if whole {
			line = e.raw[:len(line)+1]
		}
		e.raw = rest
		if !e.echo(line) {
			e.ready = append(e.ready, line...)
		}
		if !whole {
			return
		}
	}
}

// echo reports whether a line is no reply and has been written before.
func (e *echoes) echo(line []byte) bool {
	text := bytes.TrimRight(line, "\r\n")
	reply := len(text) >= 3 && len(bytes.Trim(text[:3], "0123456789")) == 0
	return !reply && len(text) > 0 && bytes.Contains(append([]byte("\n"), e.written...), append(append([]byte("\n"), text...), "\r\n"...))
}

func (e *echoes) take(p []byte) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := copy(p, e.ready)
	e.ready = e.ready[n:]
	return n
}

// rest gives what is left at the end of the stream.
func (e *echoes) rest(p []byte) int {
	e.mu.Lock()
	e.ready, e.raw = append(e.ready, e.raw...), nil
	e.mu.Unlock()
	return e.take(p)
}
