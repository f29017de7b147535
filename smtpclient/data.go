package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/content"
)

const (
	// maxBlock is how much content is written under one DataBlock timeout.
	maxBlock = 64 << 10
	// maxTail is how much of the content is held back to be written with the
	// end of the data: while it is here, the server cannot have the message.
	maxTail = 16 << 10
)

// outgoing is what is between a message and its connection: a block, the tail,
// and one piece of the message in which every byte has doubled.
type outgoing struct {
	buf   []byte
	began time.Time
	sent  int64
}

var outgoings = sync.Pool{New: func() any { return &outgoing{buf: make([]byte, 0, maxBlock+maxTail+2*scanChunk+64)} }}

// content writes the message: all but the tail first, then the tail together
// with the end of the data.
func (t *transaction) content() {
	s := t.s
	if s.reader.Buffered() > 0 {
		t.early()
		return
	}
	out := outgoings.Get().(*outgoing)
	defer outgoings.Put(out)
	s.start(StageDataBlock)
	out.buf, out.sent, out.began = out.buf[:0], 0, s.clock
	if !t.body(out) {
		return
	}
	t.finish(out)
}

// early settles all by a reply that came together with the 354. A refusal
// decides; after anything else no reply can be matched any more. The end of the
// data is not written: its reply could not be told from this one.
func (t *transaction) early() {
	s := t.s
	reply, err := s.reply(StageDataBlock)
	switch {
	case err != nil:
		t.fail(err)
	case negative(reply):
		t.settleAll(verdict(reply), t.decided(StageDataBlock, reply))
		s.end(s.refused(StageDataBlock, reply))
	default:
		t.fail(s.misplaced(StageDataBlock, reply))
	}
}

// body writes all but the tail, which it leaves in out.
func (t *transaction) body(out *outgoing) bool {
	facts := &t.message.facts
	if t.s.tracesLines() {
		t.s.line("C: ", fmt.Sprintf("<%d bytes>", facts.WireSize))
	}
	if t.message.memory != nil && facts.Clean() {
		return t.cleanBody(out)
	}
	var enc content.Encoder
	var sum content.Sum
	var size int64
	encode := func(p []byte) error {
		out.buf = enc.Append(out.buf, p)
		return t.drain(out)
	}
	var err error
	if t.message.memory != nil {
		err = t.encodeMemory(encode)
	} else {
		err = readFrom(t.s.call.ctx, t.reader, func(p []byte) error {
			sum.Write(p)
			size += int64(len(p))
			return encode(p)
		})
		if err == nil && (size != facts.Size || sum.Sum64() != facts.Sum) {
			err = errChanged
		}
	}
	if err == nil {
		out.buf = enc.End(out.buf)
		err = t.shorten(out)
	}
	if err != nil {
		t.stopBody(err)
		return false
	}
	return true
}

// shorten writes what is in out beyond the tail, which ends with the end of the
// data.
func (t *transaction) shorten(out *outgoing) error {
	n := len(out.buf) - maxTail
	if n <= 0 {
		return nil
	}
	if err := t.block(out, out.buf[:n]); err != nil {
		return err
	}
	out.buf = out.buf[:copy(out.buf, out.buf[n:])]
	return nil
}

var errChanged = errors.New("content has changed since it was scanned; a Content must give the same bytes each time")

// encodeMemory gives a message in memory to encode, piece by piece.
func (t *transaction) encodeMemory(encode func([]byte) error) error {
	for b := t.message.memory; len(b) > 0; {
		n := min(len(b), scanChunk)
		if err := encode(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// cleanBody writes from the caller's memory without a copy, but for the tail.
func (t *transaction) cleanBody(out *outgoing) bool {
	b := t.message.memory
	for len(b) > maxTail {
		n := min(len(b)-maxTail, maxBlock)
		if err := t.block(out, b[:n]); err != nil {
			t.stopBody(err)
			return false
		}
		b = b[n:]
	}
	out.buf = append(out.buf, b...)
	out.buf = append(out.buf, content.EndOfData...)
	return true
}

// drain writes whole blocks from out and keeps what may be the tail.
func (t *transaction) drain(out *outgoing) error {
	done := 0
	for len(out.buf)-done >= maxBlock+maxTail {
		if err := t.block(out, out.buf[done:done+maxBlock]); err != nil {
			return err
		}
		done += maxBlock
	}
	out.buf = out.buf[:copy(out.buf, out.buf[done:])]
	return nil
}

// writeError tells an error of the connection from one of the content.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// block writes one block within its time.
func (t *transaction) block(out *outgoing, p []byte) error {
	t.allow(out, len(p))
	n, err := t.s.write(p)
	out.sent += int64(n)
	if err != nil {
		return &writeError{err}
	}
	return nil
}

// allow sets the deadline for the next n bytes: DataBlock for the block, and the
// least rate for all so far.
func (t *transaction) allow(out *outgoing, n int) {
	s := t.s
	now := time.Now()
	grace := s.limits[StageDataBlock]
	deadline := after(now, grace)
	if all := s.rates.atMinRate(out.sent + int64(n)); all > 0 && grace >= 0 {
		deadline = earlier(deadline, out.began.Add(grace+all))
	}
	s.deadlineAt(deadline)
}

// stopBody ends a message midway: the end of the data is never written, so that
// no server takes what is there for the whole.
func (t *transaction) stopBody(err error) {
	s := t.s
	s.done(StageDataBlock, Reply{}, err)
	var lost *writeError
	if !errors.As(err, &lost) {
		cause := err
		if s.call.ctx.Err() != nil && errors.Is(err, context.Cause(s.call.ctx)) {
			cause = cancelled(s.call.ctx)
		}
		t.abandon(s.broke(StageDataBlock, "4.3.0", cause))
		return
	}
	t.lost(lost.err)
}

// finish writes the tail with the end of the data, and QUIT behind it where the
// session ends here, and reads the verdicts.
func (t *transaction) finish(out *outgoing) {
	s := t.s
	end := len(out.buf)
	t.allow(out, end)
	s.line("C: ", ".")
	if t.last && s.ext.pipelining {
		out.buf = append(out.buf, "QUIT\r\n"...)
		s.line("C: ", "QUIT")
		s.quit = true
	}
	// RFC 5321, Section 4.1.1.4: with the end of the data the server may take
	// responsibility. From here on nothing is certain until it answers, unless
	// the connection itself says that it took less.
	t.committed = true
	n, err := s.write(out.buf)
	s.done(StageDataBlock, Reply{}, err)
	t.committed = n >= end
	if t.committed { // what is missing may be of QUIT
		t.verdicts()
		return
	}
	t.lost(err)
}

// lost settles all when a write of content failed, by the server's last words if
// there are any.
func (t *transaction) lost(err error) {
	s := t.s
	if reply, ok := s.lastWords(err); ok && negative(reply) {
		t.settleAll(verdict(reply), t.decided(StageDataBlock, reply))
		s.end(s.refused(StageDataBlock, reply))
		return
	}
	t.fail(s.broke(StageDataBlock, "4.4.2", s.explain(StageDataBlock, err)))
}

// verdicts reads the reply to the end of the data; in LMTP one for each accepted
// recipient, in the order of RCPT (RFC 2033, Section 4.2).
func (t *transaction) verdicts() {
	groups := [][]*recipient{t.accepted}
	if t.s.target.Protocol == LMTP {
		groups = groups[:0]
		for i := range t.accepted {
			groups = append(groups, t.accepted[i:i+1])
		}
	}
	for _, rs := range groups {
		reply, err := t.s.reply(StageDataDone)
		if err == nil && !positive(reply) && !negative(reply) {
			err = t.s.misplaced(StageDataDone, reply)
		}
		if err != nil {
			t.fail(err)
			return
		}
		status := Delivered
		if negative(reply) {
			status = verdict(reply)
		}
		for _, r := range rs {
			r.settle(status, t.decided(StageDataDone, reply))
		}
		if t.s.err != nil { // a 421: about the others nothing was said
			t.fail(t.s.err)
			return
		}
	}
	t.s.dirty = false
}

// openContent opens the content for this attempt, before anything is written.
func (t *transaction) openContent() bool {
	if t.message.memory != nil {
		return true
	}
	r, err := t.message.source.Open()
	if err == nil && r == nil {
		err = errors.New("it gave a nil reader")
	}
	if err != nil {
		a := t.unsuited("4.3.0", fmt.Errorf("content cannot be opened: %w", err))
		a.Stage = StageInput
		t.abandon(&Error{Status: Deferred, Attempt: a})
		return false
	}
	t.reader = r
	return true
}

func (t *transaction) closeContent() {
	if t.reader != nil {
		t.reader.Close()
	}
}
