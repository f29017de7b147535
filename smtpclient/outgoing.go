package smtpclient

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// maxBlock is how much content is written under one DataBlock timeout.
	maxBlock = 64 << 10
	// maxTail is how much of the content is held back to be written with the
	// end of the data: while it is here, the server cannot have the message.
	maxTail = 16 << 10
)

// outgoing is content on its way to the connection: at most a block and the tail.
type outgoing struct {
	t     *transaction
	buf   []byte        // not yet written
	piece []byte        // one piece of the message, encoded
	vec   net.Buffers   // pieces of one block, on their way from the caller's memory
	sent  int64         // bytes of content that were written
	spent time.Duration // on writing them: what a Content takes to read is not the server's time

	// Of BDAT.
	size  int64 // of the whole content
	came  int64 // of it by add
	added int64 // to chunks that were announced
	chunk int64 // what the chunk in work still takes
}

var outgoings = sync.Pool{New: func() any {
	return &outgoing{buf: make([]byte, 0, maxBlock+maxTail+2*scanChunk+maxGroup), piece: make([]byte, 0, 2*scanChunk)}
}}

// reset prepares for a transaction. Where the content goes with the envelope, the
// commands are in front of it.
func (o *outgoing) reset(t *transaction) {
	*o = outgoing{t: t, buf: o.buf[:0], piece: o.piece[:0], vec: o.vec[:0], size: t.size()}
	if t.chunked && len(t.owed) > 0 {
		o.buf = append(o.buf, t.s.out...)
		t.s.out = t.s.out[:0]
	}
}

// fitsGroup tells that the content goes in one flight with its envelope; see
// ChunkingGrouped.
func (t *transaction) fitsGroup() bool {
	return t.s.quirks.Chunking == ChunkingGrouped && t.s.ext.pipelining && t.size() <= maxTail
}

// single tells that BDAT takes all of the content in one chunk.
func (o *outgoing) single() bool {
	return o.t.s.quirks.ChunkSize <= 0 || o.size <= int64(o.chunkSize()) || len(o.t.owed) > 0
}

// chunkSize is never less than the tail, which has to be within one chunk.
func (o *outgoing) chunkSize() int { return max(o.t.s.quirks.ChunkSize, maxTail) }

// announce begins a chunk of n bytes (RFC 3030, Section 2).
func (o *outgoing) announce(n int64) {
	o.added += n
	o.chunk = n
	last := ""
	if o.added == o.size {
		last = " LAST"
	}
	line := fmt.Sprintf("BDAT %d%s", n, last)
	o.t.s.line("C: ", line)
	o.buf = append(append(o.buf, line...), '\r', '\n')
}

// errSettled ends the content after a refused chunk: the verdicts are in.
var errSettled = errors.New("a chunk was refused")

// add takes the next bytes, as they go over the wire. What goes beyond the chunks
// that were announced would be read as commands: the content is another one then.
func (o *outgoing) add(p []byte) error {
	if o.came += int64(len(p)); o.t.chunked && o.came > o.size {
		return o.t.message.changed()
	}
	if !o.t.chunked || o.single() {
		o.buf = append(o.buf, p...)
		return o.drain()
	}
	for len(p) > 0 {
		if o.chunk == 0 {
			if err := o.nextChunk(); err != nil {
				return err
			}
		}
		n := min(int64(len(p)), o.chunk)
		o.buf = append(o.buf, p[:n]...)
		o.chunk -= n
		p = p[n:]
		if err := o.drain(); err != nil {
			return err
		}
	}
	return nil
}

// nextChunk ends the chunk in work and begins another. The last one is never
// shorter than the tail.
func (o *outgoing) nextChunk() error {
	if o.added > 0 {
		if err := o.endChunk(); err != nil {
			return err
		}
	}
	n := int64(o.chunkSize())
	if left := o.size - o.added; left-n < maxTail {
		n = left
	}
	o.announce(n)
	return nil
}

// endChunk writes what is left of a chunk and reads the reply to it, which is one
// for all recipients also in LMTP.
func (o *outgoing) endChunk() error {
	t := o.t
	if err := o.block(o.buf); err != nil {
		return err
	}
	o.buf = o.buf[:0]
	reply, err := t.s.reply(StageDataBlock)
	if err == nil && !positive(reply) && !negative(reply) {
		err = t.s.misplaced(StageDataBlock, reply)
	}
	switch {
	case err != nil:
		t.fail(err)
		return errSettled
	case negative(reply):
		t.settleAll(t.judged(StageDataBlock, reply))
		return errSettled
	}
	return nil
}

// drain writes whole blocks and keeps what may be the tail.
func (o *outgoing) drain() error {
	done := 0
	for len(o.buf)-done >= maxBlock+maxTail {
		if err := o.block(o.buf[done : done+maxBlock]); err != nil {
			return err
		}
		done += maxBlock
	}
	if done > 0 {
		o.buf = o.buf[:copy(o.buf, o.buf[done:])]
	}
	return nil
}

// keepTail writes all but the tail. With its envelope all is in one write.
func (o *outgoing) keepTail() error {
	n := len(o.buf) - maxTail
	if n <= 0 || len(o.t.owed) > 0 {
		return nil
	}
	if err := o.block(o.buf[:n]); err != nil {
		return err
	}
	o.buf = o.buf[:copy(o.buf, o.buf[n:])]
	return nil
}

// writeError tells an error of the connection from one of the content.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// block writes one block within its time. More than one is for a socket: it takes all
// at once with half the work of the system, and a block at least in the time for one.
func (o *outgoing) block(p []byte) error {
	for {
		sent, err := o.timed(min(len(p), maxBlock), func() (int64, error) {
			n, err := o.t.s.write(p)
			return int64(n), err
		})
		if !isTimeout(err) || sent < maxBlock || sent == int64(len(p)) {
			return err
		}
		p = p[sent:]
	}
}

// timed writes a block of n bytes within its time, and tells how many went out.
func (o *outgoing) timed(n int, write func() (int64, error)) (int64, error) {
	start := o.allow(n)
	sent, err := write()
	o.sent += sent
	o.spent += time.Since(start)
	if err != nil {
		return sent, &writeError{err}
	}
	return sent, nil
}

// allow sets the deadline for the next n bytes, and tells when it did: DataBlock
// for the block, and the least rate for all so far.
func (o *outgoing) allow(n int) time.Time {
	s := o.t.s
	now := time.Now()
	grace := s.limit(StageDataBlock)
	deadline := after(now, grace)
	if all := s.dialer.Timeouts.atMinRate(o.sent + int64(n)); all > 0 && grace >= 0 {
		deadline = earlier(deadline, now.Add(grace+all-o.spent))
	}
	s.deadlineAt(deadline)
	return now
}
