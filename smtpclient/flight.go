package smtpclient

import (
	"context"
	"slices"
	"time"
)

// Flights. Where a small content goes with its envelope (ChunkingGrouped), nothing of
// it waits for a reply, and several deliveries can have theirs on the way:
//
//	O: MAIL RCPT BDAT, RSET MAIL RCPT BDAT of W, RSET MAIL RCPT BDAT of X
//	S: 250 250 250 of O                  read by O, who passes the session on
//	                W: RSET MAIL RCPT BDAT of Y     written before W reads its replies
//	S: 250 250 250 250 of W ...
//
// Each reads the replies to its own, in turn. Whoever gives up meanwhile is Unknown,
// since its last chunk may have arrived, and takes nobody with it: the replies that
// it is owed are read by the one behind (debt). RSET is in front of each, since after
// a refused chunk only RSET helps (RFC 3030, Section 2).

const (
	// maxFlight is how many transactions are on their way in one session, and
	// maxFlightSize how much of them: a server that reads nothing while it waits for
	// us to read its replies must have the room.
	maxFlight     = 8
	maxFlightSize = 32 << 10

	// maxGuests is how many are invited, and make their envelopes ready: when the
	// replies to a whole flight come at once, as many are. Where one follows at a time
	// there is always one that is, while others are still at it.
	maxGuests = maxFlight
)

// flies tells that small contents go with their envelopes.
func (s *Session) flies() bool {
	return s.quirks.Chunking == ChunkingGrouped && s.ext.chunking && s.ext.pipelining
}

// most is how many can follow the owner.
func (b *berth) most() int {
	if b.session.flies() {
		return maxFlight - 1
	}
	return 1
}

// pack makes the content ready behind the envelope. It is false for one that goes by
// itself.
func (t *transaction) pack() bool {
	if !t.fitsGroup() || t.mayBeShort() {
		return false
	}
	out := t.outgoing()
	defer out.leave()
	if t.body(out) != nil {
		return false // it is told when its turn has come
	}
	t.closeContent()
	t.group = slices.Concat(out.front, out.held, out.buf)
	return true
}

// land goes on with a transaction that was written whole by the one before.
func (t *transaction) land() {
	t.begun()
	t.topUp()
	if t.takeOwed() {
		t.verdicts()
	}
}

// topUp writes what has become ready meanwhile. Who has given up leaves that to the
// next one: a write that is cut is the last of a session.
func (t *transaction) topUp() {
	s := t.s
	if s.call.ctx.Err() != nil {
		return
	}
	added := s.berth.follow(len(t.group))
	if len(added) == 0 {
		return
	}
	var group []byte
	for _, w := range added {
		group = append(group, w.ahead.group...)
	}
	s.deadlineAt(after(time.Now(), s.limit(StageDataBlock)))
	n, err := s.write(group)
	s.wrote(added, n, err)
}

// wrote takes back those of a flight of whom n bytes are too few. Nothing can be
// written behind them.
func (s *Session) wrote(added []*waiter, n int, err error) {
	if err == nil || len(added) == 0 || !added[0].ahead.chunked {
		return
	}
	b := s.berth
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	s.mute = true // others look at it when they invite
	end := 0
	for i, w := range added {
		if end += len(w.ahead.group); n >= end {
			continue
		}
		b.flight = b.flight[:len(b.flight)-len(added)+i]
		for _, w := range slices.Backward(added[i:]) {
			b.pool.requeue(w)
		}
		return
	}
}

// behind tells that others are behind in the session, and that they are on their way
// with their contents.
func (s *Session) behind() (any, whole bool) {
	b := s.berth
	if b == nil {
		return false, false
	}
	whole = len(b.flight) > 0 && b.flight[0].ahead.committed
	return len(b.flight) > 0 || len(s.debts) > 0, whole
}

// debt is what the server owes to a delivery that has left.
type debt struct {
	steps    []step
	lmtp     bool
	refused  bool // MAIL was
	accepted int  // recipients
}

// debt is what is left to be read.
func (t *transaction) debt() debt {
	return debt{slices.Clone(t.owed), t.s.kind.protocol == LMTP, t.refused, len(t.accepted)}
}

// owe leaves the replies of a delivery that waits no more to the one behind it.
func (s *Session) owe(t *transaction) {
	if s.err == nil {
		s.debts = append(s.debts, t.debt())
		s.at.Reused++
	}
}

// unanswered settles all when a reply did not come. A session that is not broken by
// that is left to those behind.
func (t *transaction) unanswered(err *Error) {
	if t.s.err == nil {
		t.s.debts = append(t.s.debts, t.debt())
	}
	t.fail(err)
}

// settleDebts reads what is owed to those who have left. It is not told as part of
// this delivery, but for the time.
func (s *Session) settleDebts() (err *Error) {
	if len(s.debts) == 0 {
		return nil
	}
	start, times, trace, transcript := time.Now(), s.at.Times, s.call.trace, s.transcript
	s.call.trace, s.transcript = nil, TranscriptOff
	defer func() {
		s.call.trace, s.transcript = trace, transcript
		s.at.Times = times
		s.at.Times[StagePool] += time.Since(start)
	}()
	for len(s.debts) > 0 {
		if err := s.settleDebt(&s.debts[0]); err != nil {
			return err
		}
		s.debts = slices.Delete(s.debts, 0, 1)
	}
	return nil
}

// settleDebt reads what is owed to one, as far as it can: d is then the rest.
func (s *Session) settleDebt(d *debt) *Error {
	for len(d.steps) > 0 {
		st := d.steps[0]
		reply, err := s.answer(st)
		if err != nil {
			return err
		}
		d.steps = d.steps[1:]
		switch {
		case reply.Code == 421:
			return s.err
		case !positive(reply) && !negative(reply), st.stage == StageRcpt && d.refused && positive(reply):
			return s.misplaced(st.stage, reply)
		case st.stage == StageCommand && negative(reply) && !st.advice:
			e := s.refused(st.stage, reply)
			s.end(e)
			return e
		case st.stage == StageMail && negative(reply):
			d.refused = true
		case st.stage == StageRcpt && positive(reply):
			d.accepted++
		}
	}
	due := 1
	if d.lmtp {
		due = d.accepted
	}
	for range due { // one at most: see mayBeShort
		reply, err := s.reply(StageDataDone)
		switch {
		case err != nil:
			return err
		case reply.Code == 421:
			return s.err
		case !positive(reply) && !negative(reply):
			return s.misplaced(StageDataDone, reply)
		}
	}
	s.dirty, s.nobody = true, due == 0
	return nil
}

// answer reads the reply to a command of the envelope. In LMTP a last chunk for
// nobody has no reply (RFC 2033, Section 4.2), but some servers give one, and refuse
// it: that is not the reply to RSET.
func (s *Session) answer(st step) (Reply, *Error) {
	reply, err := s.reply(st.stage)
	if err == nil && st.stage == StageCommand && !st.advice && s.forNobody(reply) {
		return s.reply(st.stage)
	}
	s.nobody = false
	return reply, err
}

// forNobody tells that a reply which came before RSET was answered is about a last
// chunk for nobody. There is one at most.
func (s *Session) forNobody(reply Reply) bool {
	is := s.nobody && negative(reply) && reply.Code != 421
	if is {
		s.nobody = false
	}
	return is
}

// settleLost settles those whose session was lost before their turn came.
func (s *Session) settleLost(rcpts []*recipient, err *Error) {
	if s.ahead == nil || !s.ahead.committed {
		settleEach(rcpts, Deferred, err.Attempt)
		return
	}
	a := s.at
	a.Stage, a.Reply, a.Enhanced, a.Cause = StageDataDone, err.Reply, err.Enhanced, err.Cause
	a.Notes = append(slices.Clone(s.ahead.letter.notes), s.ahead.notes...)
	settleEach(rcpts, Unknown, a)
}

// flown is the error of a delivery that was given up while its content was on its
// way in a session of another one.
func (w *way) flown(ctx context.Context, t *Target, a *transaction) *Error {
	at := w.attempt(StageDataDone, t.Host, "4.4.2", cancelled(ctx))
	at.Addr, at.TLS, at.Login = t.Addr, a.peer.tls, a.peer.login
	at.Notes = append(slices.Clone(w.letter.notes), a.notes...)
	if w.permit != nil {
		w.permit.grant.report(Used)
	}
	return &Error{Status: Unknown, Attempt: at}
}
