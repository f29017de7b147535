package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// Overlapped transactions. While a delivery sends its content, the next one that
// waits for the session is invited: it makes its envelope ready, and that is written
// with the end of the content before (RFC 2920, Section 3.1, lets DATA be followed
// by nothing, and the end of the data by anything). So a message costs one round
// trip in place of two.
//
//	O: content, dot, MAIL RCPT DATA of W        S: 250 of O, 250 250 354 of W
//	                W: content, dot, MAIL RCPT DATA of X ...
//
// Nothing of a delivery can be accepted before it owns the session itself: whatever
// happens to the owner before leaves the next one free to go elsewhere.

// ready makes the envelope of a letter ready for a session that another delivery
// owns. It touches nothing of the session that changes. nil tells that the letter
// needs the session to itself first.
func (s *Session) ready(ctx context.Context, l *letter, rcpts []*recipient) (ready *transaction) {
	draft := &Session{
		work: &work{}, dialer: s.dialer, target: s.target, kind: s.kind, quirks: s.quirks, rules: s.rules, filters: s.filters,
		name: s.name, raw: s.raw, tls: s.tls, hello: s.hello, ext: s.ext, masked: s.masked,
		call: call{ctx: ctx},
	}
	t := draft.transaction(l, rcpts)
	t.draft = true
	defer func() {
		// A hook that fails here fails again where that can be told.
		if recover() != nil || ready == nil {
			t.drop()
			ready = nil
		}
	}()
	if l.env.Verify != VerifyNo || !t.suitsAll() || t.chunked || t.pause() != 0 || !t.openContent() ||
		!t.envelope() || !t.add(step{stage: StageDataInit}, data) {
		return nil
	}
	t.group, t.notes = draft.out, draft.at.Notes
	t.s, t.draft = s, false
	return t
}

// suitsAll is suits for a draft, which settles nobody.
func (t *transaction) suitsAll() bool {
	if t.misfit() != nil {
		return false
	}
	if m, err := t.fit(); m != nil || err != nil {
		return false
	}
	if slices.ContainsFunc(t.rcpts, func(r *recipient) bool { return t.unfit(r) != nil }) {
		return false
	}
	t.turnAway()
	return true
}

// takeUp goes on with a transaction whose envelope was written already: its time
// begins now.
func (t *transaction) takeUp() bool {
	s := t.s
	s.at.Notes = append(s.at.Notes, t.notes...)
	s.budget = after(s.clock, s.dialer.Timeouts.budget(t.size()))
	s.rested = false
	t.began, s.dirty = true, true
	if s.tracesLines() {
		for line := range bytes.Lines(t.group) {
			s.line("C: ", string(bytes.TrimSuffix(line, []byte("\r\n"))))
		}
	}
	return t.takeOwed() && t.ready
}

// follow adds the envelope of the delivery that comes next to the end of this one's
// content, if it is ready, and tells whether it did.
func (t *transaction) follow(out *outgoing) bool {
	s := t.s
	if s.berth == nil || t.last || len(t.later) > 0 || t.chunked || len(t.owed) > 0 || len(t.overflow) > 0 || t.mayBeShort() {
		return false
	}
	group := s.berth.follow()
	out.buf = append(out.buf, group...)
	return group != nil
}

// mayBeShort tells that the server owes more than one verdict for the content. Some
// that call themselves LMTP give one for all: a reply to what was sent behind the
// content would then be taken for the verdict on a recipient whose mail is lost.
func (t *transaction) mayBeShort() bool {
	return t.s.kind.protocol == LMTP && len(t.accepted) > 1
}

// drop closes the content of an envelope that is not needed. What panics there is
// no matter of a delivery that has not begun.
func (t *transaction) drop() {
	defer func() { _ = recover() }()
	t.closeContent()
}

// invite asks the next delivery that waits for such a session to make its envelope
// ready. It keeps its turn: if a place is free before the owner is done, it goes
// there.
func (p *Pool) invite(b *berth) {
	if !b.overlaps() || b.next != nil || !p.mayFollow(b, b.uses+1) {
		return
	}
	if w := p.turn(b); w != nil && w.at == nil {
		b.next, w.at, w.invited = w, b, b.session
		w.tell()
	}
}

// inviteTo has a session in use ask for the next delivery, now that w waits.
func (p *Pool) inviteTo(w *waiter) {
	for _, b := range w.site.inUse {
		if b.next == nil && b.suits(w.wanted()) {
			p.invite(b)
		}
	}
}

// release takes the invitation of a delivery back, and asks another one.
func (p *Pool) release(w *waiter) {
	at := w.at
	w.at, w.invited, w.ahead = nil, nil, nil
	if at != nil && at.next == w {
		at.next = nil
		p.invite(at)
	}
}

// disinvite is for a session that is of no use any more.
func (p *Pool) disinvite(b *berth) {
	if w := b.next; w != nil {
		b.next = nil
		w.at, w.invited, w.ahead = nil, nil, nil
	}
}

// overlaps tells that the session can take an envelope with the end of another
// one's content.
func (b *berth) overlaps() bool {
	s := b.session
	return s != nil && (s.early == nil || !s.early.pending.Load()) && s.ext.pipelining && !s.quirks.NoOverlap && !s.once()
}

// mayFollow tells that the bounds allow for so many transactions.
func (p *Pool) mayFollow(b *berth, uses int) bool {
	most := b.session.ext.mailMax
	return !p.closed && (p.MaxUses < 0 || uses <= p.uses()) && (most == 0 || uses <= most)
}

// offer gives the berth where a delivery was invited its envelope.
func (p *Pool) offer(w *waiter, at *berth) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.at == at && w.invited == nil && !w.done {
		w.ahead = w.mine
	}
}

// follow takes the envelope of the next delivery, if it is ready, and invites
// another. The owner writes it.
func (b *berth) follow() []byte {
	p := b.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	b.uses = b.session.at.Reused + 2 // the owner may have had several transactions
	w := b.next
	if w == nil || w.ahead == nil || !p.mayFollow(b, b.uses) {
		return nil
	}
	p.serve(w)
	b.next, b.follower = nil, w
	p.invite(b)
	return w.ahead.group
}

// passOn gives the session to who has his envelope in it, or else was invited. It
// is false if nobody gets it: who had his envelope in it waits on, and his turn is
// the next.
func (p *Pool) passOn(b *berth, alive, good bool) bool {
	f, w := b.follower, b.next
	b.follower = nil
	switch {
	case f != nil && alive:
		f.end(b, true)
	case f == nil && w != nil && good:
		p.serve(w)
		b.next = nil
		w.end(b, false)
	default:
		p.disinvite(b)
		if f != nil {
			p.requeue(f)
		}
		return false
	}
	p.use(b)
	p.stats.Reused++
	p.invite(b)
	return true
}

// requeue lets a delivery wait on whose envelope was written in vain.
func (p *Pool) requeue(w *waiter) {
	w.at, w.invited, w.ahead = nil, nil, nil
	if p.closed {
		w.end(nil, false)
		return
	}
	p.enqueueFirst(w)
}

// errGivenUp ends a session that has the envelope of a delivery which is given up.
var errGivenUp = &Error{Status: Deferred, Attempt: Attempt{Stage: StagePool, Enhanced: "4.3.0", Cause: errors.New("the delivery whose envelope was written is given up")}}
