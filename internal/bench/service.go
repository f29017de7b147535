package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// service is what the sink does at a listener.
type service struct {
	config  *tls.Config
	in, out int     // sizes of the buffers
	hold    *holder // nil: never holds
}

func (s service) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go s.serve(conn)
	}
}

// serve speaks as much SMTP as the senders need.
func (s service) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	r, w := bufio.NewReaderSize(conn, s.in), bufio.NewWriterSize(conn, s.out)
	w.WriteString("220 sink.example ESMTP\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) < 6 {
			return
		}
		switch verb := string(bytes.ToUpper(line[:4])); verb {
		case "EHLO":
			w.WriteString("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n")
			if _, ok := conn.(*tls.Conn); !ok {
				w.WriteString("250-STARTTLS\r\n")
			}
			w.WriteString("250 CHUNKING\r\n")
		case "STAR":
			w.WriteString("220 2.0.0 go\r\n")
			w.Flush()
			conn = tls.Server(conn, s.config)
			r.Reset(conn)
			w.Reset(conn)
		case "DATA":
			w.WriteString("354 go ahead\r\n")
			if w.Flush() != nil || s.hold.atBody() != nil || skipToDot(r) != nil || s.hold.atReply() != nil {
				return
			}
			w.WriteString("250 2.0.0 taken\r\n")
		case "BDAT":
			n, _, _ := strings.Cut(strings.TrimSpace(string(line[5:])), " ")
			size, err := strconv.Atoi(n)
			if err != nil {
				return
			}
			if _, err := r.Discard(size); err != nil {
				return
			}
			w.WriteString("250 2.0.0 taken\r\n")
		case "QUIT":
			w.WriteString("221 2.0.0 bye\r\n")
			w.Flush()
			return
		case "HOLD":
			s.hold.set(strings.TrimSpace(string(line[4:])))
			w.WriteString("250 2.0.0 ok\r\n")
		case "HELD":
			fmt.Fprintf(w, "250 2.0.0 %d\r\n", s.hold.count())
		case "MAIL", "RCPT", "RSET", "NOOP", "HELO":
			w.WriteString("250 2.0.0 ok\r\n")
		default:
			w.WriteString("500 5.5.1 what?\r\n")
		}
	}
}

// holder stops transactions where it was told to, until it is told otherwise.
// Then their sessions end.
type holder struct {
	mu    sync.Mutex
	where string // "BODY", "REPLY" or "": nowhere
	held  int
	free  chan struct{}
}

var errFreed = errors.New("held, and then let go")

func newHolder() *holder { return &holder{free: make(chan struct{})} }

func (h *holder) atBody() error  { return h.at("BODY") }
func (h *holder) atReply() error { return h.at("REPLY") }

func (h *holder) at(where string) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	if h.where != where {
		h.mu.Unlock()
		return nil
	}
	h.held++
	free := h.free
	h.mu.Unlock()
	<-free
	return errFreed
}

func (h *holder) set(where string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.free)
	h.where, h.held, h.free = where, 0, make(chan struct{})
}

func (h *holder) count() int {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// control is the way to tell the sink.
type control struct{ conn *raw }

func (s *sink) control() (control, error) {
	c, err := dialRaw(s.at(s.wide), false)
	return control{c}, err
}

// holdAt has transactions wait in the "BODY", before the "REPLY" to it, or nowhere.
func (c control) holdAt(where string) error { return c.conn.ask("HOLD "+where+"\r\n", 1) }

// waitFor returns when n transactions are held and this process has nothing to do.
func (c control) waitFor(n int) error {
	const rest = 50 * time.Millisecond
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		used := cpuTime(0)
		time.Sleep(rest)
		held, err := c.held()
		if err != nil {
			return err
		}
		if held == n && cpuTime(0)-used < rest/10 {
			return nil
		}
	}
	return fmt.Errorf("less than %d transactions are held", n)
}

func (c control) held() (n int, err error) {
	if _, err := c.conn.conn.Write([]byte("HELD\r\n")); err != nil {
		return 0, err
	}
	line, err := c.conn.r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(line, "250 2.0.0 %d", &n)
	return n, err
}
