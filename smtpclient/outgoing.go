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

// outgoing is content on its way to the connection: a block and the tail.
type outgoing struct {
	t     *transaction
	room  *room         // nil: what goes straight from the caller's memory needs none
	own   [64]byte      // in place of a room
	front []byte        // not yet written, in front of held
	held  []byte        // the caller's memory, in front of buf; empty: there is none
	buf   []byte        // not yet written; in the room
	piece []byte        // one piece of the message, encoded for chunks
	vec   net.Buffers   // pieces of one block, on their way from the caller's memory
	sent  int64         // bytes of content that were written
	spent time.Duration // on writing them: what a Content takes to read is not the server's time

	// Of BDAT.
	size  int64 // of the whole content
	came  int64 // of it by add
	added int64 // to chunks that were announced
	chunk int64 // what the chunk in work still takes
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// outgoing prepares for a transaction. Where the content goes with the envelope, the
// commands are in front of it.
func (t *transaction) outgoing() *outgoing {
	o := outgoings.Get().(*outgoing)
	o.t, o.size = t, t.size() // all else is empty
	o.buf = o.own[:0]
	if t.chunked && len(t.owed) > 0 {
		o.furnish()
		o.buf = append(o.buf, t.s.out...)
		t.s.out = t.s.out[:0]
	}
	return o
}

// furnish takes a room, if there is none yet.
func (o *outgoing) furnish() {
	if o.room == nil {
		o.room = roomFor(o.size + int64(len(o.buf)))
		o.buf = append(o.room.out, o.buf...)
	}
}

// tail is how much of the content is held back.
func (o *outgoing) tail() int {
	if o.room == nil {
		return maxTail
	}
	return o.room.tail
}

// vacate gives the room back when all is written: nobody needs it to wait for a reply.
func (o *outgoing) vacate() {
	if o.room != nil {
		o.room.leave()
		o.room = nil
	}
	o.front, o.held, o.buf = nil, nil, nil
}

// leave gives back what the content was sent with.
func (o *outgoing) leave() {
	o.vacate()
	vec := o.vec[:0]
	*o = outgoing{}
	o.vec = vec
	outgoings.Put(o)
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
	if err := o.flush(); err != nil {
		return err
	}
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

// drain writes all but what may be the tail, if that is worth a write.
func (o *outgoing) drain() error {
	worthwhile := 1
	if o.room != nil {
		worthwhile = len(o.room.in)
	}
	if n := len(o.buf) - o.tail(); n >= worthwhile {
		return o.writeFront(n)
	}
	return nil
}

// writeFront writes the first n bytes of the buffer.
func (o *outgoing) writeFront(n int) error {
	if err := o.send(o.buf[:n]); err != nil {
		return err
	}
	o.buf = o.buf[:copy(o.buf, o.buf[n:])]
	return nil
}

// keepTail writes all but the tail. With its envelope all is in one write.
func (o *outgoing) keepTail() error {
	n := len(o.buf) - o.tail()
	if n <= 0 || len(o.held) > 0 || len(o.t.owed) > 0 {
		return nil
	}
	return o.writeFront(n)
}

// hold keeps a tail in the caller's memory back, behind what is in the buffer.
func (o *outgoing) hold(p []byte) {
	o.front, o.held, o.buf = o.buf, p, o.buf[len(o.buf):]
}

// waiting is how much is held back, with all that goes out with it.
func (o *outgoing) waiting() int { return len(o.front) + len(o.held) + len(o.buf) }

// writeAllBut writes what is held back but for the end of the data.
func (o *outgoing) writeAllBut(end string) error {
	if len(o.held) == 0 {
		return o.writeFront(len(o.buf) - len(end))
	}
	start := o.allow(o.waiting())
	n, err := o.writePieces(append(o.vec[:0], o.front, o.held))
	o.front, o.held = nil, nil
	return o.wrote(n, start, err)
}

// writeEnd writes all that is held back, and tells how much of it went out.
func (o *outgoing) writeEnd() (int, error) {
	if len(o.held) == 0 {
		return o.t.s.write(o.buf)
	}
	n, err := o.writePieces(append(o.vec[:0], o.front, o.held, o.buf))
	return int(n), err
}

// writeError tells an error of the connection from one of the content.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// send writes content. A socket takes all at once, which is half the work for the
// system, and has to take a block at least in the time for one.
func (o *outgoing) send(p []byte) error {
	for len(p) > 0 {
		n := len(p)
		if !o.t.s.bare() {
			n = min(n, maxBlock)
		}
		start := o.allow(n)
		sent, err := o.t.s.write(p[:n])
		if err = o.wrote(int64(sent), start, err); err != nil {
			return err
		}
		p = p[sent:]
	}
	return nil
}

// wrote counts what was written of content since start. A timeout is none where it
// was a block or more, and there is more to come.
func (o *outgoing) wrote(n int64, start time.Time, err error) error {
	o.sent += n
	o.spent += time.Since(start)
	if err == nil || n >= maxBlock && isTimeout(err) && o.t.s.bare() {
		return nil
	}
	return &writeError{err}
}

// allow sets the deadline for the next n bytes, or a block of them, and tells when it
// did: DataBlock for the block, and the least rate for all so far.
func (o *outgoing) allow(n int) time.Time {
	s := o.t.s
	n = min(n, maxBlock)
	now := time.Now()
	grace := s.limit(StageDataBlock)
	deadline := after(now, grace)
	if all := s.dialer.Timeouts.atMinRate(o.sent + int64(n)); all > 0 && grace >= 0 {
		deadline = earlier(deadline, now.Add(grace+all-o.spent))
	}
	if o.sent > 0 || len(o.t.owed) > 0 {
		s.deadlineAt(deadline)
	} else {
		s.deadlineToWrite(n, deadline)
	}
	return now
}
