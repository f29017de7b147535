package smtptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Server is a mail server. The zero Server speaks SMTP, offers the usual
// extensions and STARTTLS, and accepts everything. Its fields must not change
// after the first connection; its methods may be called by many goroutines.
//
// Replies to commands that were pipelined are written together. The server
// answers before it reads on only when it has nothing left to read or holds
// more than 4 KiB of replies, so that over a Wire without a window a client
// which writes much more than that in one group, and reads late, gets stuck, as
// RFC 2920, Section 3.1 warns.
type Server struct {
	// Mode is the protocol. Zero: SMTP.
	Mode Mode
	// Name is the server's name in its greeting. "": "mx.example.net".
	Name string
	// Extensions are the lines of the reply to EHLO or LHLO, as "SIZE 1000".
	// nil: PIPELINING, SIZE 10485760, 8BITMIME, ENHANCEDSTATUSCODES, DSN,
	// SMTPUTF8, CHUNKING and STARTTLS. Empty but not nil: none. STARTTLS is
	// left out where TLS is on. What the reply really offers, also one from a
	// Script, is what the server then does.
	Extensions []string
	// ImplicitTLS starts TLS before the greeting, as on port 465.
	ImplicitTLS bool
	// Certificate is what the server shows in TLS. Zero: a good one for
	// whatever name the client asks for.
	Certificate Certificate
	// TLSConfig replaces Certificate. If it brings no certificate, it is only
	// the rest of it that counts. nil: Go's defaults.
	TLSConfig *tls.Config
	// Passwords by user name turn on AUTH, with PLAIN and LOGIN. A line of
	// Extensions can offer others: CRAM-MD5, SCRAM-SHA-1 and SCRAM-SHA-256, both
	// also with -PLUS (bound by tls-exporter), XOAUTH2 and OAUTHBEARER, where the
	// password is the token, EXTERNAL and ANONYMOUS. Empty: no AUTH.
	Passwords map[string]string
	// Script is asked about each command. It is called by the goroutine of the
	// session, which waits for it; sessions run side by side. nil: every
	// command gets the usual reply.
	Script func(c Command) Action
	// Cuts are what happens at certain bytes of certain sessions.
	Cuts []Cut
	// Profile is how this kind of server behaves. Zero: strictly.
	Profile Profile
	// FakePeerAddr is whom the server takes every client for: in Command.Remote,
	// and where its limits count. nil: who it is.
	FakePeerAddr net.Addr
	// Wire is that of the connections from DialContext. Of those on sockets it is
	// only the Window, as a wish for the size of the kernel's buffers.
	Wire Wire

	ca        authority // makes its keys when they are needed
	tlsOnce   sync.Once // guards tlsShared
	tlsShared *tls.Config

	mu         sync.Mutex // guards all below
	closed     bool
	done       chan struct{} // closed by Close
	listeners  []net.Listener
	sessions   []*session
	messages   []*Message
	refused    []Refusal
	violations []string
	open       map[string]int // connections that count for Limits, by the client's host; "": all
	// PIPECONNECT was offered: in plaintext, in TLS.
	offersEarly [2]bool

	running sync.WaitGroup // the goroutines of listeners and sessions
}

// Message is one that was read to its end, whatever was answered.
type Message struct {
	Session     int                  // 0 for the first connection
	Transaction int                  // 0 for the first MAIL of the session
	From        string               // reverse path as written, without <>
	FromArgs    string               // parameters of MAIL, as "SIZE=100 BODY=8BITMIME"
	Login       string               // who had authenticated; "": nobody
	To          []string             // accepted recipients in order, as written, without <>
	ToArgs      []string             // the parameters of each
	Data        []byte               // the content, with CRLF, without what dot-stuffing added
	BDAT        bool                 // it came in chunks
	Wire        []byte               // the content as it came, dots still doubled, without the final one
	Chunks      []int                // sizes of the chunks
	BareCR      int                  // CRs in Data without a LF behind
	BareLF      int                  // LFs in Data without a CR before
	LongestLine int                  // octets of the longest line of Data, without its CRLF
	EightBit    bool                 // Data has octets over 127
	Client      string               // its name in EHLO
	With        string               // the protocol, as in a trace line: SMTP, ESMTPSA, LMTP (RFC 3848)
	TLS         *tls.ConnectionState // nil: in plaintext
	// Replies is what was answered to the end of data: one, or in LMTP one for
	// each of To. Lines have "\n" between them; a Raw reply is as it is. It is
	// "" where no reply was made. Whether a reply reached the client is another
	// matter.
	Replies []string
}

// Refusal is a MAIL or RCPT that was refused.
type Refusal struct {
	Session     int    // 0 for the first connection
	Transaction int    // 0 for the first MAIL of the session
	Verb        string // "MAIL" or "RCPT"
	Path        string // as written, without <>
	Reply       string // with "\n" between lines
}

// Chunk is a piece of a conversation.
type Chunk struct {
	FromClient bool
	Data       []byte
	At         time.Time // when it was read, or when its writing began
}

// DialContext opens a connection in memory. It accepts any address, which then
// is the connection's remote address, and takes one round trip of Wire.Delay and
// Profile.AcceptDelay. It fails with ECONNREFUSED after Close, and when ctx ends.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	remote := address(network, addr)
	if err := sleep(ctx, 2*s.Wire.Delay+s.Profile.AcceptDelay); err != nil {
		return nil, dialError(network, remote, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, dialError(network, remote, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	client, server := pipe(s.Wire, s.clientAddrLocked(remote), remote)
	s.running.Go(s.startLocked(server, &s.Profile).serve)
	return client, nil
}

// clientAddrLocked gives each client a port of its own.
func (s *Server) clientAddrLocked(remote net.Addr) net.Addr {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return &net.UnixAddr{Net: "unix"}
	}
	ip := net.IPv4(192, 0, 2, 1)
	if tcp.IP.To4() == nil {
		ip = net.ParseIP("2001:db8::1")
	}
	return &net.TCPAddr{IP: ip, Port: 49152 + len(s.sessions)%16384}
}

// dialError is what a net.Dialer would return.
func dialError(network string, addr net.Addr, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: addr, Err: err}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Listen serves a socket until Close. network is "tcp", "tcp4", "tcp6" or
// "unix"; addr is as for net.Listen, so "127.0.0.1:0" chooses a port. It returns
// the address to dial.
func (s *Server) Listen(network, addr string) (net.Addr, error) {
	return s.ListenAs(network, addr, s.Profile)
}

// ListenAs is Listen with another Profile for those who come this way, as a
// server has another face on its port for submission.
func (s *Server) ListenAs(network, addr string, p Profile) (net.Addr, error) {
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	if err := s.serveOn(l, p); err != nil {
		return nil, err
	}
	return l.Addr(), nil
}

func (s *Server) serveOn(l net.Listener, p Profile) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Close()
		return net.ErrClosed
	}
	s.beginLocked()
	s.listeners = append(s.listeners, l)
	s.running.Go(func() { s.accept(l, &p) })
	return nil
}

func (s *Server) accept(l net.Listener, p *Profile) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		awake := s.pause(p.AcceptDelay)
		s.mu.Lock()
		if s.closed || !awake {
			conn.Close()
		} else {
			s.narrow(conn)
			s.running.Go(s.startLocked(conn, p).serve)
		}
		s.mu.Unlock()
	}
}

// ServeConn holds one session over conn, as over the standard input and output of
// a program, and returns when it is over. Network addresses are of conn if it is a
// net.Conn. It returns net.ErrClosed after Close.
func (s *Server) ServeConn(conn io.ReadWriteCloser) error {
	c, ok := conn.(net.Conn)
	if !ok {
		c = stdio{conn}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	session := s.startLocked(c, &s.Profile)
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	session.serve()
	return nil
}

// narrow asks for small buffers of a socket.
func (s *Server) narrow(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok && s.Wire.Window > 0 {
		// A wish that the kernel may round up; no test can rely on more.
		_ = tcp.SetReadBuffer(s.Wire.Window)
		_ = tcp.SetWriteBuffer(s.Wire.Window)
	}
}

// beginLocked makes ready for the first pause.
func (s *Server) beginLocked() {
	if s.done == nil {
		s.done = make(chan struct{})
	}
}

// pause waits for d; it reports false if the server was closed meanwhile.
func (s *Server) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done:
		return false
	}
}

func (s *Server) startLocked(conn net.Conn, p *Profile) *session {
	s.beginLocked()
	session := newSession(s, p, len(s.sessions), conn)
	s.sessions = append(s.sessions, session)
	if s.open == nil {
		s.open = map[string]int{}
	}
	s.open[session.host()]++
	s.open[""]++
	session.all, session.near = s.open[""], s.open[session.host()]
	return session
}

// Close closes all listeners and connections and waits until nothing runs any
// more. What was recorded stays. It returns nil, also when called again.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.done != nil {
			close(s.done)
		}
		for _, l := range s.listeners {
			l.Close()
		}
		for _, session := range s.sessions {
			session.raw.Close()
		}
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// Sessions is the number of connections so far.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Messages are those that were read to their end, in that order, also if they
// were refused then.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := make([]Message, len(s.messages))
	for i, m := range s.messages {
		messages[i] = *m
		messages[i].Replies = slices.Clone(m.Replies)
	}
	return messages
}

// Refused lists each MAIL and RCPT that was refused, in order.
func (s *Server) Refused() []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Transcript is what went over a session, both ways in the order in which the
// server read and wrote it; with TLS it is the plaintext. It is nil for a
// session that there was not.
func (s *Server) Transcript(session int) []Chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session < 0 || session >= len(s.sessions) {
		return nil
	}
	return slices.Clone(s.sessions[session].transcript)
}

// Violations lists what clients did that they must not, as
//
//	session 0: MAIL before EHLO: "MAIL FROM:<ann@example.org>"
//
// It is empty for a client that keeps to the standards. Among the violations
// are: a bare CR or LF outside of BDAT, NUL, and octets over 127 that were not
// announced; a line that begins with a dot that was not doubled; commands that
// are too long, end in a blank, are unknown, malformed, out of order or not
// offered, and parameters likewise; bytes sent before the reply that they had
// to wait for, which is any reply where PIPELINING was not offered.
//
// That a client did not
// wait for a reply is always found on connections in memory; on sockets only
// when its bytes come together with the command.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// Roots holds the authority that has signed the server's certificates. Each
// Server has its own.
func (s *Server) Roots() *x509.CertPool { return s.ca.roots() }

// tlsConfig is one for all sessions, so that clients can resume them.
func (s *Server) tlsConfig() *tls.Config {
	s.tlsOnce.Do(func() { s.tlsShared = s.ca.tlsConfig(s.TLSConfig, s.Certificate, s.name()) })
	return s.tlsShared
}

func (s *Server) name() string {
	if s.Name == "" {
		return "mx.example.net"
	}
	return s.Name
}

func (s *Server) violate(session int, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, fmt.Sprintf("session %d: ", session)+fmt.Sprintf(format, args...))
}
