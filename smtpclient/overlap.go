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
		dialer: s.dialer, target: s.target, limits: s.limits, rates: s.rates, quirks: s.quirks, rules: s.rules, filters: s.filters,
		name: s.name, raw: s.raw, tls: s.tls, hello: s.hello, ext: s.ext, masked: s.masked,
		call: call{ctx: ctx},
	}
	t := draft.transaction(l, rcpts)
	t.draft = true
	defer func() {
		// A hook that fails here fails again where that can be told.
		if recover() != nil || ready == nil {
			t.closeContent()
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
	s.budget = after(s.clock, s.rates.budget(t.size()))
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
	if s.berth == nil || t.last || len(t.later) > 0 || t.chunked || len(t.owed) > 0 || len(t.overflow) > 0 {
		return false
	}
	group := s.berth.follow()
	out.buf = append(out.buf, group...)
	return group != nil
}

// invite reserves a session for a delivery that waits, if there is one it suits.
func (p *Pool) invite(b *berth) {
	if b.overlaps() && b.next == nil && p.mayFollow(b, b.uses+1) {
		if w := p.pick(b); w != nil {
			p.reserve(b, w)
		}
	}
}

// inviteTo finds a session in use that can be reserved for w.
func (p *Pool) inviteTo(w *waiter) {
	for _, b := range w.site.inUse {
		if b.overlaps() && b.next == nil && b.suits(w.wanted()) && p.mayFollow(b, b.uses+1) {
			p.dequeue(w)
			p.reserve(b, w)
			return
		}
	}
}

func (p *Pool) reserve(b *berth, w *waiter) {
	b.next, w.at, w.invited = w, b, b.session
	w.tell()
}

// overlaps tells that the session can take an envelope with the end of another
// one's content.
func (b *berth) overlaps() bool {
	s := b.session
	return s != nil && s.ext.pipelining && !s.quirks.NoOverlap && !s.target.Policy.NoReuse
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
	b.next, b.follower = nil, w
	p.invite(b)
	return w.ahead.group
}

// passOn gives the session to who was invited. Where it is of no use any more, he
// waits on, and his turn is the next. It is false if the session is left.
func (p *Pool) passOn(b *berth, alive, good bool) bool {
	if f := b.follower; f != nil && alive {
		b.follower = nil
		p.use(b)
		p.stats.Reused++
		f.end(b, true)
		p.invite(b)
		return true
	}
	if w := b.next; w != nil && b.follower == nil && good {
		b.next = nil
		p.use(b)
		p.stats.Reused++
		w.end(b, false)
		p.invite(b)
		return true
	}
	for _, w := range []*waiter{b.next, b.follower} {
		if w != nil {
			p.requeue(w)
		}
	}
	b.next, b.follower = nil, nil
	return false
}

// requeue lets a delivery wait on that was invited in vain.
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
