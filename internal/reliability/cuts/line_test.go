package cuts

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// The ways in which a connection ends.
type ending byte

const (
	fin     ending = iota // in order, of one direction only: half-closed
	rst                   // by a reset
	silence               // nothing comes any more, nothing is taken any more
)

var endings = []string{fin: "FIN", rst: "RST", silence: "silence"}

// The directions, and where in them bytes are counted.
type direction byte

const (
	nowhere direction = iota
	up                // from the client
	down              // to the client
	inside            // to the client, inside TLS
)

var directions = []string{nowhere: "whole", up: "up", down: "down", inside: "inside"}

// cell is one run of a session: where the first connection is cut, and in which
// pieces its bytes come.
type cell struct {
	where  direction
	at     int
	how    ending
	split  int // no Read goes across this byte; 0: none
	record int // no TLS record goes across this byte of what the server says; 0: none
	most   int // bytes that a Read gives; 0: all that there are
}

// line is a connection in memory, with the server at its other end.
//
// A cut up, after n bytes: FIN: the server has seen n bytes, and closes; what we
// write then is taken once, and lost. RST: our connection takes n bytes, and fails.
// Silence: it takes n bytes, and waits.
//
// A cut down: FIN: the server says n bytes, and closes that direction only; it
// takes what we send. RST: nothing can be sent any more either. Silence: the rest of
// what it says is lost.
type line struct {
	cell  cell
	delay time.Duration // of what the server says

	mu      sync.Mutex // guards all below
	changed chan struct{}
	host    *host
	took    []byte   // what was accepted of us
	heard   int      // of it, by the server
	said    []byte   // by the server
	coming  []moment // when it arrives
	given   int      // of it, to us
	gone    bool     // the server has seen all up to the cut, and closed
	ended   bool     // the server has closed its direction
	lost    bool     // a write into the void was made
	failed  bool     // a write has failed
	closed  bool     // by us
	tls     bool     // the server's end is a tls.Conn
	rd, wd  time.Time

	// Without TLS: what was accepted, and what was said up to which byte of said.
	plainTook []byte
	plainSaid []byte
	seams     []seam
	tookClear int // where TLS begins
	saidClear int
	serving   sync.WaitGroup
}

// moment is when what was said up to a byte arrives.
type moment struct {
	end int
	at  time.Time
}

// seam is where a piece of plaintext ends on the wire.
type seam struct {
	plain, wire int
	sealed      bool // nothing can be made of a part of it
}

func (l *line) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// wait waits for a change, or for the earliest of the times that are set.
func (l *line) wait(times ...time.Time) {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	changed := l.changed
	var until time.Time
	for _, t := range times {
		if !t.IsZero() && (until.IsZero() || t.Before(until)) {
			until = t
		}
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	if until.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// limit is how much of what the server says can come.
func (l *line) limit() int {
	if l.cell.where == down && l.cell.at < len(l.said) {
		return l.cell.at
	}
	return len(l.said)
}

// isOver tells that a cut has happened.
func (l *line) isOver(where direction, how ending) bool {
	switch {
	case l.cell.where != where || l.cell.how != how:
		return false
	case where == up && how == fin:
		return l.gone
	case where == up:
		return len(l.took) >= l.cell.at
	}
	return len(l.said) >= l.cell.at
}

// arrived is how many bytes can be read now, and when more come.
func (l *line) arrived(now time.Time) (n int, next time.Time) {
	for _, m := range l.coming {
		if m.at.After(now) {
			next = m.at
			break
		}
		n = m.end
	}
	return min(n, l.limit()) - l.given, next
}

func (l *line) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		now := time.Now()
		if l.closed {
			return 0, fault("read", net.ErrClosed)
		}
		if !l.rd.IsZero() && !now.Before(l.rd) {
			return 0, fault("read", os.ErrDeadlineExceeded)
		}
		n, next := l.arrived(now)
		if n > 0 {
			n = copy(p, l.piece(n))
			l.given += n
			return n, nil
		}
		if err := l.endOfReads(); next.IsZero() && err != nil {
			return 0, err
		}
		l.wait(l.rd, next)
	}
}

// piece is what one Read may give of n bytes.
func (l *line) piece(n int) []byte {
	if l.cell.most > 0 {
		n = min(n, l.cell.most)
	}
	if left := l.cell.split - l.given; left > 0 {
		n = min(n, left)
	}
	return l.said[l.given : l.given+n]
}

func (l *line) endOfReads() error {
	switch {
	case l.isOver(down, silence):
		return nil
	case l.isOver(down, rst), l.isOver(up, rst) && l.failed:
		return fault("read", syscall.ECONNRESET)
	case l.isOver(down, fin), l.isOver(up, fin), l.ended:
		return io.EOF
	}
	return nil
}

func fault(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}

func (l *line) Write(p []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.failed = l.failed || err != nil }()
	room := len(p)
	switch {
	case l.closed:
		return 0, fault("write", net.ErrClosed)
	case !l.wd.IsZero() && !time.Now().Before(l.wd):
		return 0, fault("write", os.ErrDeadlineExceeded)
	case l.isOver(down, rst):
		return 0, fault("write", syscall.ECONNRESET)
	case l.lost && l.isOver(up, fin), l.lost && l.ended:
		return 0, fault("write", syscall.EPIPE)
	case l.isOver(up, fin), l.ended:
		l.lost = true
	case l.cell.where == up && l.cell.how != fin:
		room = min(room, l.cell.at-len(l.took))
	}
	l.accept(p[:room])
	if room == len(p) {
		return room, nil
	}
	if l.cell.how == rst {
		return room, fault("write", syscall.ECONNRESET)
	}
	for !l.closed && (l.wd.IsZero() || time.Now().Before(l.wd)) {
		l.wait(l.wd)
	}
	if l.closed {
		return room, fault("write", net.ErrClosed)
	}
	return room, fault("write", os.ErrDeadlineExceeded)
}

// accept takes bytes of the client to the server, as far as it hears them.
func (l *line) accept(p []byte) {
	l.took = append(l.took, p...)
	if l.tls {
		l.wake() // its end reads them
		return
	}
	l.plainTook = append(l.plainTook, p...)
	hears := len(l.took)
	if l.cell.where == up {
		hears = min(hears, l.cell.at)
	}
	if fresh := l.took[min(l.heard, hears):hears]; len(fresh) > 0 && !l.ended {
		l.heard = hears
		out, tls, end := l.host.hear(fresh)
		l.say(out)
		l.ended = end
		if tls {
			l.secure()
		}
	}
	l.gone = l.cell.where == up && !l.tls && len(l.took) >= l.cell.at
}

// say lets bytes of the server come, in plaintext.
func (l *line) say(out []byte) {
	l.send(out)
	l.noteSaid(out, false)
}

func (l *line) noteSaid(out []byte, sealed bool) {
	l.plainSaid = append(l.plainSaid, out...)
	l.seams = append(l.seams, seam{len(l.plainSaid), len(l.said), sealed})
}

func (l *line) send(out []byte) {
	if len(out) == 0 {
		return
	}
	l.said = append(l.said, out...)
	l.coming = append(l.coming, moment{len(l.said), time.Now().Add(l.delay)})
	l.wake()
}

// readable is the plaintext that could come to us.
func (l *line) readable() []byte {
	limit, last := l.limit(), seam{}
	for _, s := range l.seams {
		if s.wire > limit {
			if !s.sealed {
				last.plain += limit - last.wire
			}
			break
		}
		last = s
	}
	return l.plainSaid[:last.plain]
}

// Buffered is how much can be read at once.
func (l *line) Buffered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, _ := l.arrived(time.Now())
	return n
}

func (l *line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fault("close", net.ErrClosed)
	}
	l.closed = true
	l.wake()
	return nil
}

func (l *line) SetDeadline(t time.Time) error { return l.set(t, t, true, true) }

func (l *line) SetReadDeadline(t time.Time) error { return l.set(t, t, true, false) }

func (l *line) SetWriteDeadline(t time.Time) error { return l.set(t, t, false, true) }

func (l *line) set(rd, wd time.Time, reads, writes bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fault("set", net.ErrClosed)
	}
	if reads {
		l.rd = rd
	}
	if writes {
		l.wd = wd
	}
	l.wake()
	return nil
}

func (l *line) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 49152} }
func (l *line) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 10), Port: 25} }
