package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
// happens to the owner before leaves the next one free to go elsewhere. Where contents
// go with their envelopes that is different: see flight.go.

// ready makes the envelope of a letter ready for a session that another delivery
// owns. It touches nothing of the session that changes. nil tells that the letter
// needs the session to itself first.
func (s *Session) ready(ctx context.Context, l *letter, rcpts []*recipient) (ready *transaction) {
	draft := s.draft(ctx)
	flies := draft.flies()
	draft.dirty = flies // RSET comes first
	t := l.newTransaction()
	draft.fill(t, l, rcpts)
	t.draft = true
	defer func() {
		// A hook that fails here fails again where that can be told.
		if recover() != nil || ready == nil {
			t.drop()
			ready = nil
		}
	}()
	if l.env.Verify != VerifyNo || !t.suitsAll() || t.chunked != flies || t.pause() != 0 || !t.openContent() || !t.envelope() {
		return nil
	}
	if flies {
		if !t.pack() {
			return nil
		}
	} else {
		if !t.add(step{stage: StageDataInit}, data) {
			return nil
		}
		t.group = slices.Clone(draft.out)
	}
	t.notes = draft.at.Notes
	t.s, t.draft = s, false
	draft.wipe()
	work := draft.work
	*draft = Session{}
	draft.work = work
	drafts.Put(draft)
	return t
}

// drafts have nothing but room.
var drafts = sync.Pool{New: func() any { return &Session{work: new(work)} }}

// draft is a session of which only is what does not change.
func (s *Session) draft(ctx context.Context) *Session {
	draft := drafts.Get().(*Session)
	draft.dialer, draft.kind, draft.quirks, draft.rules, draft.filters = s.dialer, s.kind, s.quirks, s.rules, s.filters
	draft.name, draft.raw, draft.tls, draft.hello, draft.ext, draft.masked = s.name, s.raw, s.tls, s.hello, s.ext, s.masked
	draft.call.ctx = ctx
	return draft
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
	t.begun()
	return t.takeOwed() && t.ready
}

// begun tells what was written by the one before as if it were written now.
func (t *transaction) begun() {
	s := t.s
	s.at.Notes = append(s.at.Notes, t.notes...)
	s.budget = after(s.clock, s.dialer.Timeouts.budget(t.size()))
	s.rested = false
	t.began, s.dirty = true, true
	if !s.tracesLines() {
		return
	}
	commands := t.group
	if t.chunked {
		commands = commands[:int64(len(commands))-t.size()]
	}
	for line := range bytes.Lines(commands) {
		s.line("C: ", string(bytes.TrimSuffix(line, []byte("\r\n"))))
	}
	if t.chunked {
		s.line("C: ", fmt.Sprintf("<%d bytes>", t.size()))
	}
}

// follow adds the envelope of the delivery that comes next to the end of this one's
// content, if it is ready; those of several, where their contents go with them.
func (t *transaction) follow(out *outgoing) []*waiter {
	s := t.s
	if s.berth == nil || t.last || len(t.later) > 0 || t.chunked != s.flies() || len(t.overflow) > 0 || t.mayBeShort() ||
		!t.chunked && len(t.owed) > 0 {
		return nil
	}
	added := s.berth.follow(out.waiting())
	for _, w := range added {
		out.buf = append(out.buf, w.ahead.group...)
	}
	return added
}

// mayBeShort tells that the server owes more than one verdict for the content. Some
// that call themselves LMTP give one for all: a reply to what was sent behind the
// content would then be taken for the verdict on a recipient whose mail is lost.
func (t *transaction) mayBeShort() bool {
	n := len(t.accepted)
	if t.chunked && len(t.owed) > 0 { // nobody knows yet
		n = len(t.rcpts)
	}
	return t.s.kind.protocol == LMTP && n > 1
}

// drop closes the content of an envelope that is not needed. What panics there is
// no matter of a delivery that has not begun.
func (t *transaction) drop() {
	defer func() { _ = recover() }()
	t.closeContent()
}

// invite asks the next delivery that waits for such a session to make its envelope
// ready. It keeps its turn: if a place is free before the owner is done, it goes
// there. How old the session is by then is asked when it is written.
func (p *Pool) invite(b *berth) {
	for b.overlaps() && len(b.next) < maxGuests && p.hasUses(b, b.uses+len(b.next)+1) {
		w := p.turn(b)
		if w == nil {
			return
		}
		b.next = append(b.next, w)
		w.at, w.invited, w.peer = b, b.session, resting{b.session.at.TLS, b.session.at.Login}
		w.tell()
	}
}

// inviteTo has a session in use ask for the next delivery, now that w waits: the one
// with the fewest guests.
func (p *Pool) inviteTo(w *waiter) {
	var fewest *berth
	for _, b := range w.site.inUse {
		if (fewest == nil || len(b.next) < len(fewest.next)) && b.overlaps() && b.suits(w.wanted()) {
			fewest = b
		}
	}
	if fewest != nil {
		p.invite(fewest)
	}
}

// release takes the invitation of a delivery back, and asks another one.
func (p *Pool) release(w *waiter) {
	at := w.at
	w.at, w.invited, w.ahead = nil, nil, nil
	if at == nil {
		return
	}
	if i := slices.Index(at.next, w); i >= 0 {
		at.next = slices.Delete(at.next, i, i+1)
		p.invite(at)
	}
}

// disinvite is for a session that is of no use any more.
func (p *Pool) disinvite(b *berth) {
	for _, w := range b.next {
		w.at, w.invited, w.ahead = nil, nil, nil
	}
	b.next = nil
}

// overlaps tells that the session can take an envelope with the end of another
// one's content.
func (b *berth) overlaps() bool {
	s := b.session
	return s != nil && !s.unmet() && s.ext.pipelining && !s.quirks.NoOverlap && !s.once() && !s.mute
}

// hasUses tells that the bounds allow for so many transactions.
func (p *Pool) hasUses(b *berth, uses int) bool {
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
// another; of several, where own bytes that are on their way leave the room. The
// owner writes them.
func (b *berth) follow(own int) (added []*waiter) {
	p, s := b.pool, b.session
	p.mu.Lock()
	defer p.mu.Unlock()
	// The owner may have had several transactions.
	b.uses = s.at.Reused + 1 + len(b.flight)
	room := maxFlightSize - own
	old := p.old(b, s.clock)
	added = b.added[:0]
	for _, w := range b.flight {
		room -= len(w.ahead.group)
	}
next:
	for i := 0; i < len(b.next) && len(b.flight) < b.most() && !old && b.overlaps() && p.hasUses(b, b.uses+1); {
		w := b.next[i]
		switch {
		case w.ahead == nil && !w.overtaken():
			i++
			continue
		case w.ahead == nil, s.flies() && len(w.ahead.group) > room:
			break next
		}
		p.serve(w)
		b.next = slices.Delete(b.next, i, i+1)
		w.sent, w.ahead.committed = true, s.flies()
		b.flight, added = append(b.flight, w), append(added, w)
		b.uses++
		room -= len(w.ahead.group)
	}
	b.added = added
	p.invite(b)
	return added
}

// leaveOut takes out of a flight who is gone when his turn has come.
func (b *berth) leaveOut() {
	s := b.session
	for len(b.flight) > 0 && b.flight[0].left {
		f := b.flight[0]
		b.flight = slices.Delete(b.flight, 0, 1)
		if f.ahead.committed {
			s.owe(f.ahead)
		} else if s.err == nil {
			s.err = errGivenUp
		}
	}
	if s != nil && s.work != nil && len(s.debts) > 0 && len(b.flight) == 0 && s.err == nil {
		s.err = errGivenUp
	}
}

// passOn gives the session to who has his envelope in it, or else was invited. It
// is false if nobody gets it: who had his envelope in it waits on, and his turn is
// the next. One whose content may have arrived is told by a session that is broken.
func (p *Pool) passOn(b *berth, alive, good bool) bool {
	switch {
	case len(b.flight) > 0 && (alive || b.flight[0].ahead.committed):
		f := b.flight[0]
		b.flight = slices.Delete(b.flight, 0, 1)
		f.end(b, true)
	case len(b.flight) == 0 && len(b.next) > 0 && good:
		w := b.next[0]
		p.serve(w)
		b.next = slices.Delete(b.next, 0, 1)
		w.end(b, false)
	default:
		p.disinvite(b)
		for _, f := range b.flight {
			p.requeue(f)
		}
		b.flight = nil
		return false
	}
	p.use(b)
	p.stats.Reused++
	if !alive {
		p.disinvite(b)
		return true
	}
	p.invite(b)
	return true
}

// requeue lets a delivery wait on whose envelope was written in vain.
func (p *Pool) requeue(w *waiter) {
	w.at, w.invited, w.ahead, w.sent = nil, nil, nil, false
	if w.left {
		return
	}
	if p.closed {
		w.end(nil, false)
		return
	}
	p.enqueueFirst(w)
}

// errGivenUp ends a session that has the envelope of a delivery which is given up.
var errGivenUp = &Error{Status: Deferred, Attempt: Attempt{Stage: StagePool, Enhanced: "4.3.0", Cause: errors.New("the delivery whose envelope was written is given up")}}
