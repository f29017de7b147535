package smtptest

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// errInterrupted ends a read that would block after Conn.interrupt.
var errInterrupted = errors.New("smtptest: the test is over")

// stream is one direction of a connection. Every wait gives mu away, so that no
// goroutine in a synctest bubble ever waits for a mutex that is held for long.
type stream struct {
	// These do not change.
	delay             time.Duration
	maxWrite, maxRead int

	mu      sync.Mutex    // guards all below
	changed chan struct{} // closed at the next change; nil: nobody waits

	queue  []segment
	queued int   // bytes in queue
	taken  int64 // bytes read since the start
	window int   // most bytes in queue; 0: the writer waits until it is empty

	// The writer's end.
	writing       bool // a Write is under way
	writeHurried  bool // fail with errInterrupted instead of blocking
	writeDeadline time.Time
	writeErr      error     // of writes after closeWriter; nil: open
	endErr        error     // what the reader gets at the end; nil: no end yet
	endAt         time.Time // when the end arrives

	// The reader's end.
	readDeadline time.Time
	readClosed   bool
	readHurried  bool      // fail with errInterrupted instead of blocking
	goneErr      error     // of writes after closeReader; nil: somebody reads
	goneAt       time.Time // when the writer can know
	lost         bool      // the write that goes nowhere was made
	need         int64     // least seen of a segment
	early        bool      // a segment had seen less
}

// segment is the rest of what one step of a Write put on the way.
type segment struct {
	data []byte
	at   time.Time // when it arrives
	seen int64     // what its writer had read of the other direction
}

// awaitLocked waits for a change, or until the earliest of the given times that
// is not zero. It gives mu away while it waits.
func (s *stream) awaitLocked(times ...time.Time) {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	var until time.Time
	for _, t := range times {
		if !t.IsZero() && (until.IsZero() || t.Before(until)) {
			until = t
		}
	}
	s.mu.Unlock()
	defer s.mu.Lock()
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

// wakeLocked ends the waits of all who wait.
func (s *stream) wakeLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// reached reports whether t is set and has come.
func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.maxRead > 0 && len(p) > s.maxRead {
		p = p[:s.maxRead]
	}
	for {
		now := time.Now()
		if s.readClosed {
			return 0, net.ErrClosed
		}
		if reached(s.readDeadline, now) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(p) == 0 {
			return 0, nil
		}
		if n := s.takeLocked(p, now); n > 0 {
			s.wakeLocked()
			return n, nil
		}
		if len(s.queue) > 0 {
			s.awaitLocked(s.readDeadline, s.queue[0].at)
			continue
		}
		if s.endErr != nil && reached(s.endAt, now) {
			return 0, s.endErr
		}
		if s.readHurried && s.endErr == nil {
			return 0, errInterrupted
		}
		s.awaitLocked(s.readDeadline, s.endAt)
	}
}

// takeLocked moves what has arrived into p. With maxWrite each Read gets one
// segment, so that a server meets every way in which its input can be cut.
func (s *stream) takeLocked(p []byte, now time.Time) int {
	n := 0
	for len(s.queue) > 0 && n < len(p) && !s.queue[0].at.After(now) {
		seg := &s.queue[0]
		if seg.seen < s.need {
			s.early = true
		}
		m := copy(p[n:], seg.data)
		n += m
		seg.data = seg.data[m:]
		if len(seg.data) == 0 {
			s.queue = s.queue[1:]
		}
		if s.maxWrite > 0 {
			break
		}
	}
	s.queued -= n
	s.taken += int64(n)
	return n
}

func (s *stream) write(p []byte, seen int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing && s.writeErrLocked() == nil {
		s.awaitLocked(s.writeDeadline, s.goneAt)
	}
	if s.losesLocked() {
		return len(p), nil
	}
	if err := s.writeErrLocked(); err != nil {
		return 0, err
	}
	s.writing = true
	defer func() {
		s.writing = false
		s.wakeLocked()
	}()
	n := 0
	for n < len(p) {
		step := p[n:]
		if s.maxWrite > 0 && len(step) > s.maxWrite {
			step = step[:s.maxWrite]
		}
		m, err := s.stepLocked(step, seen)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// losesLocked reports whether a write goes to an end that is closed while its
// writer cannot know it yet.
func (s *stream) losesLocked() bool {
	now := time.Now()
	lost := s.window > 0 && !s.lost && s.goneErr == syscall.EPIPE && reached(s.goneAt, now) &&
		s.writeErr == nil && !reached(s.writeDeadline, now)
	s.lost = s.lost || lost
	return lost
}

func (s *stream) writeErrLocked() error {
	now := time.Now()
	switch {
	case s.writeErr != nil:
		return s.writeErr
	case s.goneErr != nil && reached(s.goneAt, now):
		return s.goneErr
	case reached(s.writeDeadline, now):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// stepLocked puts p on the way, or as much of it as the window lets through.
func (s *stream) stepLocked(p []byte, seen int64) (int, error) {
	if s.window == 0 {
		return s.handOverLocked(p, seen)
	}
	for {
		if err := s.writeErrLocked(); err != nil {
			return 0, err
		}
		if s.queued < s.window {
			break
		}
		if s.writeHurried {
			return 0, errInterrupted
		}
		s.awaitLocked(s.writeDeadline, s.goneAt)
	}
	p = p[:min(len(p), s.window-s.queued)]
	s.pushLocked(append([]byte(nil), p...), seen)
	return len(p), nil
}

// handOverLocked waits until the reader has taken all of p, and takes back what
// it has not when there is an error. p is not copied: the caller is held.
func (s *stream) handOverLocked(p []byte, seen int64) (int, error) {
	if err := s.writeErrLocked(); err != nil {
		return 0, err
	}
	s.pushLocked(p, seen)
	for s.queued > 0 {
		if err := s.writeErrLocked(); err != nil {
			left := s.queued
			s.queue, s.queued = nil, 0
			return len(p) - left, err
		}
		s.awaitLocked(s.writeDeadline, s.goneAt)
	}
	return len(p), nil
}

func (s *stream) pushLocked(p []byte, seen int64) {
	s.queue = append(s.queue, segment{data: p, at: time.Now().Add(s.delay), seen: seen})
	s.queued += len(p)
	s.wakeLocked()
}

// closeWriter ends the stream: the reader gets reads behind what is under way,
// the writer gets writes. It reports false if the writer was closed before.
func (s *stream) closeWriter(reads, writes error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr == net.ErrClosed || s.writeErr == writes {
		return false
	}
	if s.endErr == nil || reads == syscall.ECONNRESET {
		s.endErr, s.endAt = reads, time.Now().Add(s.delay)
	}
	s.writeErr = writes
	s.wakeLocked()
	return true
}

// closeReader ends reading; the writer gets err when the news has travelled.
func (s *stream) closeReader(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readClosed = true
	s.goneErr, s.goneAt = err, time.Now().Add(s.delay)
	s.wakeLocked()
}

func (s *stream) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readClosed {
		return net.ErrClosed
	}
	s.readDeadline = t
	s.wakeLocked()
	return nil
}

func (s *stream) setWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr == net.ErrClosed {
		return net.ErrClosed
	}
	s.writeDeadline = t
	s.wakeLocked()
	return nil
}

func (s *stream) arrived() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, now := 0, time.Now()
	for _, seg := range s.queue {
		if !seg.at.After(now) {
			n += len(seg.data)
		}
	}
	return n
}

// takenSoFar is how many bytes were read.
func (s *stream) takenSoFar() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// sentSoFar is how many bytes were written.
func (s *stream) sentSoFar() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken + int64(s.queued)
}

func (s *stream) widen(window int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window = max(s.window, window)
	s.wakeLocked()
}

func (s *stream) require(seen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.need = seen
}

func (s *stream) wasEarly() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	early := s.early
	s.early = false
	return early
}

func (s *stream) hurryReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readHurried = true
	s.wakeLocked()
}

func (s *stream) hurryWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeHurried = true
	s.wakeLocked()
}

func (s *stream) awaitEnd() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.readClosed && !s.readHurried && !reached(s.endAt, time.Now()) {
		s.awaitLocked(s.endAt)
	}
}
