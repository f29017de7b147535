package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// maxOut is how many bytes of replies are held while there is input. bufio's
// 4096 is the same for input: a group of commands that fits into it never gets
// stuck, however long the replies are.
const maxOut = 4 << 10

// maxLine is where a command line that does not end ends the session.
const maxLine = 1 << 20

// errEnd ends a session in order.
var errEnd = errors.New("smtptest: session ended")

// session is one connection. All but transcript belongs to its goroutine.
type session struct {
	server     *Server
	profile    *Profile
	id         int
	all, near  int     // connections that were open when it came: all, and those from its address
	transcript []Chunk // guarded by server.mu

	// The channel.
	raw      net.Conn // the connection itself
	conn     net.Conn // raw, or TLS over it
	in       *bufio.Reader
	out      []byte // replies that are not written yet
	tlsState *tls.ConnectionState
	waits    string // the last thing whose reply had to be waited for
	received int64  // bytes read
	written  int64  // bytes written
	cuts     []pendingCut

	// What was said so far.
	refused  bool // the greeting was a refusal
	greeted  bool // one of them was accepted
	offered  extensions
	login    string
	mails    int // MAIL commands
	tx       *transaction
	mailSent bool     // MAIL came since the last RSET or end of data
	bdatDead bool     // a chunk was refused and no RSET came
	mayEarly [2]bool  // PIPECONNECT was offered before this session: in plaintext, in TLS
	once     []string // kinds of violations that were recorded for this message
	client   string   // its name in EHLO
	esmtp    bool     // it said EHLO
	atHello  bool     // EHLO, HELO or LHLO is being answered
	unknowns int      // unknown commands
	faults   int      // commands that got a reply from 500 to 509
	failures int      // refused logins
	sent     int      // messages
	tar      time.Duration
	mixed    bool // the last reply had an enhanced code
	slow     bool // a content is being read
}

func newSession(server *Server, profile *Profile, id int, conn net.Conn) *session {
	s := &session{server: server, profile: profile, id: id, raw: conn, conn: conn, cuts: pendingCuts(server.Cuts, id)}
	s.in = bufio.NewReader(input{s})
	s.mayEarly = server.offersEarly
	return s
}

// serve holds the conversation, in the order of RFC 5321, Section 3.
func (s *session) serve() {
	defer s.leave()
	implicit := s.server.ImplicitTLS || s.profile.ImplicitTLS
	if _, silently := s.crowded(); silently || implicit && s.startTLS() != nil {
		return
	}
	err := s.greet()
	for err == nil {
		err = s.command()
	}
	if err == errEnd {
		s.flush()
		s.conn.Close()
	}
}

func (s *session) greet() error {
	protocol := " ESMTP"
	if s.server.Mode == LMTP {
		protocol = " LMTP"
	}
	usual := "220 " + s.server.name() + protocol
	turnedAway, _ := s.crowded()
	if turnedAway {
		usual = s.answer(TooManyConnections, "too many connections")
	}
	d := s.decide(Command{Verb: Connect}, usual)
	s.refused = !d.accepts()
	if turnedAway {
		d.Fault = DropAfter
	}
	return s.reply(d, s.unlessEarly("the greeting"))
}

// input is what s.in reads from: the connection, recorded.
type input struct{ s *session }

// Read writes the replies that are due before it waits for more input: when the
// local input buffer is empty, as RFC 2920, Section 3.2 has it.
func (r input) Read(p []byte) (int, error) {
	s := r.s
	if !s.moreArrived() {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	room, err := s.room(true)
	if err != nil {
		return 0, err
	}
	if rate := s.profile.Limits.Rate; s.slow && rate > 0 {
		if !s.pause(time.Second) {
			return 0, net.ErrClosed
		}
		room = min(room, int64(rate))
	}
	n, err := s.conn.Read(p[:min(int64(len(p)), room)])
	s.received += int64(n)
	s.record(true, p[:n])
	if mem, ok := s.raw.(*Conn); ok && mem.early() && n > 0 { // else it was the end of TLS
		s.violate("did not wait for the reply to %s: sent %q", s.waits, head(p[:n]))
	}
	return n, err
}

// moreArrived reports whether input is known to wait below s.in.
func (s *session) moreArrived() bool {
	mem, ok := s.raw.(*Conn)
	return ok && mem.Buffered() > 0
}

func (s *session) record(fromClient bool, data []byte) {
	if len(data) == 0 {
		return
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.transcript = append(s.transcript, Chunk{FromClient: fromClient, Data: bytes.Clone(data), At: time.Now()})
}

func (s *session) violate(format string, args ...any) { s.server.violate(s.id, format, args...) }

// head is the beginning of b, for messages.
func head(b []byte) []byte { return b[:min(len(b), 40)] }

// flush writes the replies that are due.
func (s *session) flush() error {
	out := s.out
	s.out = nil
	return s.write(out)
}

// write writes p, unless a cut comes first.
func (s *session) write(p []byte) error {
	for len(p) > 0 {
		room, err := s.room(false)
		if err != nil {
			return err
		}
		n := min(int64(len(p)), room)
		if err := s.put(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// put writes p as it is.
func (s *session) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	// Recorded first: who has read a reply finds it in the transcript.
	s.record(false, p)
	n, err := s.conn.Write(p)
	s.written += int64(n)
	if n < len(p) {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		last := &s.transcript[len(s.transcript)-1]
		last.Data = last.Data[:n]
	}
	return err
}

// reply carries out what was decided. what is not "" if the client has to wait
// for the reply; it says to what, as `"EHLO c.example"`. An error ends the
// session.
func (s *session) reply(d decision, what string) error {
	if s.profile.Tarpit.Initial > 0 && !d.accepts() {
		d.Delay += s.tarpit()
	}
	if d.Delay > 0 || d.Fault != None {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if err := s.stumble(d); err != nil {
		return err
	}
	if d.Fault != Drip && d.Fault != Trickle {
		s.out = append(s.out, d.wire()...)
	}
	switch {
	case strings.HasPrefix(d.text, "421") || strings.HasPrefix(d.text, "521") || d.Fault == DropAfter || s.tooFaulty(d):
		return errEnd
	case d.Fault == ResetAfter:
		err := s.flush()
		reset(s.raw)
		return errors.Join(err, io.EOF)
	}
	if err := s.due(d, what); err != nil || d.After <= 0 {
		return err
	}
	if err := s.flush(); err != nil || !s.pause(d.After) {
		return net.ErrClosed
	}
	return nil
}

// tooFaulty counts faults.
func (s *session) tooFaulty(d decision) bool {
	if d.is("50") {
		s.faults++
	}
	limit := s.profile.Limits.Faults
	return limit > 0 && s.faults-s.unknowns >= limit
}

// due writes the replies if it is time.
func (s *session) due(d decision, what string) error {
	switch {
	case s.profile.Pipelining == DropInput && !d.accepts():
		// Buffered says how much there is to throw away.
		_, _ = s.in.Discard(s.in.Buffered())
	case s.closesEarly() && what != "" && s.in.Buffered() > 0:
		s.noteEarly(what)
		return s.drop()
	}
	switch {
	case what != "":
		return s.await(what, d.surplus())
	case len(s.out) > maxOut || s.profile.Pipelining == Singly:
		return s.flush()
	}
	return nil
}

// closesEarly reports whether input before the reply that is due now is fatal.
func (s *session) closesEarly() bool {
	switch s.profile.Pipelining {
	case CloseEarly:
		return true
	case CloseAtHello:
		return s.atHello || s.greeted && !s.esmtp
	}
	return false
}

// stumble carries out the delay and the faults that need no reply, or write it
// in their own way.
func (s *session) stumble(d decision) error {
	switch d.Fault {
	case Drip:
		return s.drip(d)
	case Trickle:
		return s.trickle(d)
	}
	if !s.pause(d.Delay) {
		return net.ErrClosed
	}
	switch d.Fault {
	case Drop:
		return s.drop()
	case Reset:
		reset(s.raw)
		return io.EOF
	case Stall:
		s.stall()
		return io.EOF
	}
	return nil
}

// drop closes the connection, in TLS without a word.
func (s *session) drop() error {
	s.raw.Close()
	return io.EOF
}

// await writes the replies and notes that the client had to wait for them, but
// for the surplus, of which it cannot know. On a Conn it is known of each later
// byte what its writer had read; elsewhere it is only seen when bytes are here
// already.
func (s *session) await(what string, surplus int) error {
	early := s.noteEarly(what)
	if err := s.flush(); err != nil {
		return err
	}
	if mem, ok := s.raw.(*Conn); ok && early == 0 {
		mem.mark(surplus)
	}
	return nil
}

// noteEarly records input that came before its time, and says how much there is.
func (s *session) noteEarly(what string) int {
	s.waits = what
	early := s.in.Buffered()
	if early > 0 {
		p, _ := s.in.Peek(early)
		s.violate("did not wait for the reply to %s: sent %q", what, head(p))
	}
	return early
}

// pause waits for d; it reports false if the server was closed meanwhile.
func (s *session) pause(d time.Duration) bool { return s.server.pause(d) }

func (s *session) drip(d decision) error {
	interval := d.Delay
	if interval <= 0 {
		interval = time.Second
	}
	for _, b := range d.wire() {
		if !s.pause(interval) {
			return net.ErrClosed
		}
		if err := s.write([]byte{b}); err != nil {
			return err
		}
	}
	return nil
}

// stall reads nothing and writes nothing until the client or the server closes.
// With a socket only the latter can be noticed.
func (s *session) stall() {
	if mem, ok := s.raw.(*Conn); ok {
		mem.awaitEnd()
		return
	}
	<-s.server.done
}

// reset closes a connection so that the other end gets an RST.
func reset(conn net.Conn) {
	switch c := conn.(type) {
	case *Conn:
		c.Reset()
	case *net.TCPConn:
		c.SetLinger(0)
		c.Close()
	default:
		c.Close()
	}
}

// startTLS takes the server's part in a handshake. Plaintext that the client
// sent too early goes into it, and breaks it.
func (s *session) startTLS() error {
	if _, err := s.room(true); err != nil {
		return err
	}
	early, _ := s.in.Peek(s.in.Buffered())
	conn := serverTLS(s.raw, early, s.server.tlsConfig())
	if err := conn.Handshake(); err != nil {
		return err
	}
	if mem, ok := s.raw.(*Conn); ok && mem.early() {
		s.violate("did not wait for the reply to %s: began TLS", s.waits)
	}
	state := conn.ConnectionState()
	s.conn, s.tlsState = conn, &state
	s.in = bufio.NewReaderSize(input{s}, tlsBuffer)
	return nil
}
