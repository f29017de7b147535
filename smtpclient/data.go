package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/content"
)

// content writes the message: all but the tail first, then the tail together
// with the end of the data.
func (t *transaction) content() {
	s := t.s
	if s.reader.Buffered() > 0 && !t.stillWanted() {
		return // it came with the 354
	}
	out := t.outgoing()
	defer out.leave()
	s.start(StageDataBlock)
	if out.size > maxTail {
		s.reader.Rest() // nothing is read for long
	}
	if err := s.call.ctx.Err(); err != nil {
		// The Trace may have cancelled; the deadline that follows comes too late for
		// a small message.
		t.stopBody(context.Cause(s.call.ctx))
		return
	}
	if err := t.body(out); err != nil {
		t.stopBody(err)
		return
	}
	t.finish(out)
}

// body writes all but the tail, which it leaves in out with the end of the data.
func (t *transaction) body(out *outgoing) error {
	m := t.message
	if t.chunked && out.single() {
		out.announce(t.size())
	}
	if t.s.tracesLines() {
		t.s.line("C: ", fmt.Sprintf("<%d bytes>", t.size()))
	}
	whole := !t.chunked || out.single()
	asIs := t.env.Body == BodyBinary || t.chunked && m.facts.Repaired() || m.facts.Clean()
	var err error
	switch {
	case asIs:
		if err = out.add(m.head); err != nil {
			break
		}
		switch {
		case t.straight && whole:
			err = out.writeFile()
		case m.memory != nil && whole:
			err = out.writeThrough(m.memory)
		case !t.chunked:
			err = t.copyClean(out)
		default:
			out.furnish()
			err = t.read(out, out.add)
		}
	case m.memory != nil && !t.chunked && m.facts.Repaired() && t.s.bare():
		err = out.writeDotted(m.memory)
	default:
		err = t.encode(out)
	}
	if err != nil {
		return err
	}
	if !t.chunked {
		out.buf = append(out.buf, content.EndOfData...)
	}
	return out.keepTail()
}

// encode writes a message that cannot go as it is.
func (t *transaction) encode(out *outgoing) error {
	out.furnish()
	enc := content.Encoder{Chunked: t.chunked}
	if err := out.encode(&enc, t.message.head); err != nil {
		return err
	}
	if err := t.read(out, func(p []byte) error { return out.encode(&enc, p) }); err != nil {
		return err
	}
	return out.add(enc.End(nil))
}

// encode adds the next bytes of the message.
func (o *outgoing) encode(enc *content.Encoder, p []byte) error {
	if o.t.chunked {
		o.piece = enc.Append(o.piece[:0], p)
		return o.add(o.piece)
	}
	o.buf = enc.Append(o.buf, p)
	return o.drain()
}

// read gives each piece of the message to use. What was not in memory when it was
// scanned must be the same now.
func (t *transaction) read(out *outgoing, use func(p []byte) error) error {
	if t.message.memory != nil {
		for p := range slices.Chunk(t.message.memory, len(out.room.in)) {
			if err := use(p); err != nil {
				return err
			}
		}
		return nil
	}
	again := rereading{m: t.message, in: reading{ctx: t.s.call.ctx, r: t.reader}}
	for {
		p, err := again.next(out.room.in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := use(p); err != nil {
			return err
		}
	}
}

// rereading holds a second reading of a message against the scan.
type rereading struct {
	m    *message
	in   reading
	sum  content.Sum
	size int64
}

// next is that of reading. What comes before io.EOF may still be another message.
func (r *rereading) next(buf []byte) ([]byte, error) {
	p, err := r.in.next(buf)
	r.sum.Write(p)
	r.size += int64(len(p))
	if r.size > r.m.size || err == io.EOF && (r.size != r.m.size || r.sum.Sum64() != r.m.sum) {
		return nil, r.m.changed()
	}
	return p, err
}

// marked tells whether there is a mark where the reading stands, and that all up to it
// is as it was.
func (r *rereading) marked() (is, same bool) {
	sum, is := r.m.marks.At(r.size)
	return is, is && sum == r.sum.Sum64()
}

// copyClean writes a message that could go as it was when it was scanned. Whether it
// still is that one shows at marks, if there is room up to the next one, and at its
// end; what goes out before that must not be one. The scan has said how long it is,
// and so where the tail begins.
func (t *transaction) copyClean(out *outgoing) error {
	out.furnish()
	out.buf = append(out.room.all[:0], out.buf...)
	again := rereading{m: t.message, in: reading{ctx: t.s.call.ctx, r: t.reader}}
	var dots content.DotWatch
	sure := len(out.buf) // up to here there is no end of the data
	for {
		free := out.buf[len(out.buf) : cap(out.buf)-len(content.EndOfData)]
		p, err := again.next(free[:min(len(free), content.UntilMark(again.size))])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		out.buf = out.buf[:len(out.buf)+len(p)]
		marked, same := again.marked()
		switch {
		case same:
			dots.Passes(out.buf[sure:])
		case !marked && len(p) < len(free):
			continue
		case marked || dots.Sees(out.buf[sure:]):
			return t.message.changed()
		}
		sure = len(out.buf)
		left := t.message.size - again.size // of the message, behind the buffer
		if n := sure - int(max(0, int64(out.tail())-left)); n > 0 {
			if err := out.writeFront(n); err != nil {
				return err
			}
			sure -= n
		}
	}
}

// stopBody ends a message midway: the end of the data is never written, so that
// no server takes what is there for the whole.
func (t *transaction) stopBody(err error) {
	if errors.Is(err, errSettled) {
		return
	}
	s := t.s
	s.done(StageDataBlock, Reply{}, err)
	var lost *writeError
	switch {
	case errors.As(err, &lost):
		t.lost(lost.err)
	case s.call.ctx.Err() != nil && errors.Is(err, context.Cause(s.call.ctx)):
		t.abandon(s.broke(StageDataBlock, "4.3.0", cancelled(s.call.ctx)))
	default:
		t.abandon(s.broke(StageDataBlock, "4.3.0", err))
	}
}

// finish writes the tail with the end of the data, and QUIT behind it where the
// session ends here, and reads the verdicts.
func (t *transaction) finish(out *outgoing) {
	s := t.s
	if !t.waitForFirewall(out) || len(t.owed) == 0 && !t.justAsked(out) && !t.stillWanted() {
		return
	}
	end := out.waiting()
	out.allow(end)
	if !t.chunked {
		s.line("C: ", ".")
	}
	t.last = len(t.later) == 0 && len(t.overflow) == 0 && s.leaves()
	if t.last && s.ext.pipelining && len(t.owed) == 0 && !t.mayBeShort() {
		out.buf = append(out.buf, "QUIT\r\n"...)
		s.line("C: ", "QUIT")
		s.quit = true
	}
	if s.flies() { // what its Close does must not be the neighbours' affair
		t.closeContent()
	}
	added := t.follow(out)
	// RFC 5321, Section 4.1.1.4: with the end of the data the server may take
	// responsibility. From here on nothing is certain until it answers, unless
	// the connection itself says that it took less.
	t.committed = true
	n, err := out.writeEnd()
	out.vacate()
	s.done(StageDataBlock, Reply{}, err)
	t.committed = n >= end
	s.wrote(added, n-end, err)
	if !t.committed {
		t.lost(err)
		return
	}
	// What is missing may be of QUIT, or of another envelope.
	if t.takeOwed() {
		t.verdicts()
	}
	if err != nil && len(added) > 0 && !s.mute && s.err == nil {
		s.broke(StageDataBlock, "4.4.2", s.explain(StageDataBlock, err))
	}
}

// waitForFirewall pauses before the final dot, where that helps; see Quirks.PIX.
func (t *transaction) waitForFirewall(out *outgoing) bool {
	pause := t.pause()
	if pause == 0 {
		return true
	}
	if err := out.writeAllBut(content.EndOfData); err != nil {
		t.stopBody(err)
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.s.call.ctx.Done():
		t.stopBody(context.Cause(t.s.call.ctx))
		return false
	}
}

// stillWanted looks for a reply that came before its time: while the tail is
// here, a refusal decides, and anything else shows that the session is out of
// step.
func (t *transaction) stillWanted() bool {
	s := t.s
	reply, found, err := s.look()
	switch {
	case !found:
		return true
	case err != nil:
		t.fail(s.broke(StageDataBlock, codeOf(err), s.explain(StageDataBlock, err)))
	case negative(reply):
		t.refuse(StageDataBlock, reply)
	default:
		t.fail(s.misplaced(StageDataBlock, reply))
	}
	return false
}

// lookAfter is how long ago a server asked for the content, for a look at the socket
// to be worth its while.
const lookAfter = time.Millisecond

// justAsked tells that nothing of the content has gone out, and that the server was
// read to the end when it asked for it, a moment ago. What it might say in between
// would be no answer to the content, and might as well come a moment later. A
// connection that knows by itself what has come is asked all the same.
func (t *transaction) justAsked(out *outgoing) bool {
	s := t.s
	_, knows := s.raw.(interface{ Buffered() int })
	return !knows && out.sent == 0 && s.reader.Buffered() == 0 && time.Since(s.heard) < lookAfter
}

// refuse settles all by a reply after which the session is of no use.
func (t *transaction) refuse(stage Stage, reply Reply) {
	t.settleAll(verdict(reply), t.decided(stage, reply))
	t.s.end(t.s.refused(stage, reply))
}

// lost settles all when a write of content failed, by the server's last words if
// there are any.
func (t *transaction) lost(err error) {
	s := t.s
	if reply, ok := s.lastWords(err); ok && negative(reply) {
		t.refuse(StageDataBlock, reply)
		return
	}
	t.fail(s.broke(StageDataBlock, "4.4.2", s.explain(StageDataBlock, err)))
}

// verdicts reads the reply to the end of the data; in LMTP one for each accepted
// recipient, in the order of RCPT (RFC 2033, Section 4.2).
func (t *transaction) verdicts() {
	groups := [][]*recipient{t.accepted}
	if t.s.kind.protocol == LMTP {
		groups = groups[:0]
		for i := range t.accepted {
			groups = append(groups, t.accepted[i:i+1])
		}
	}
	refused := false
	doubts := doubts{s: t.s}
	for i, rs := range groups {
		reply, err := t.s.reply(StageDataDone)
		if err == nil && !positive(reply) && !negative(reply) {
			err = t.s.misplaced(StageDataDone, reply)
		}
		if err != nil {
			t.unanswered(afterOne(i, err))
			return
		}
		status, a := t.judged(StageDataDone, reply)
		refused = refused || status != Delivered
		doubts.settle(rs, reply, status, a)
		if t.s.err != nil && i < len(groups)-1 { // a 421: about the others nothing was said
			t.fail(t.s.err)
			return
		}
	}
	doubts.release()
	if t.s.err != nil {
		return
	}
	// After a refused chunk only RSET helps (RFC 3030, Section 2), and after one for
	// nobody, which has no reply in LMTP, the transaction may be open.
	t.s.dirty = t.chunked && (refused || len(t.accepted) == 0)
	t.s.nobody = t.chunked && len(groups) == 0
}

// errOneVerdict explains why only the first recipient has a verdict.
var errOneVerdict = errors.New("one reply came for several recipients: perhaps the server speaks SMTP, where LMTP is wanted")

// afterOne adds that to an error in place of verdict i.
func afterOne(i int, err *Error) *Error {
	if i != 1 || err.Cause == nil {
		return err
	}
	e := *err
	e.Cause = fmt.Errorf("%w (%w)", err.Cause, errOneVerdict)
	return &e
}

// openContent opens the content for this attempt, before anything is written.
func (t *transaction) openContent() bool {
	if t.message.memory != nil || t.env.Verify != VerifyNo {
		return true
	}
	r, err := t.message.source.Open()
	if err == nil && r == nil {
		err = errors.New("it gave a nil reader")
	}
	if err != nil {
		return t.unreadable(fmt.Errorf("content cannot be opened: %w", err))
	}
	t.reader = r
	if !t.message.unchanged(r) {
		t.closeContent()
		return t.unreadable(t.message.changed())
	}
	return true
}

// unreadable settles all because of the content, before MAIL. It gives false.
func (t *transaction) unreadable(err error) bool {
	a := t.s.at
	a.Stage, a.Enhanced, a.Cause = StageInput, "4.3.0", err
	t.abandon(&Error{Status: Deferred, Attempt: a})
	return false
}

func (t *transaction) closeContent() {
	if r := t.reader; r != nil {
		t.reader = nil
		r.Close()
	}
}
