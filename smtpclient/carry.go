package smtpclient

import "errors"

// carry takes a letter to some of its recipients, in as many transactions as the
// server needs: one that takes no more recipients in a transaction (RFC 5321,
// Section 4.5.3.1.10), or says so beforehand (RFC 9422), gets the rest in
// another. Those for whom it takes another connection are left; everybody else is
// settled.
func (s *Session) carry(l *letter, rcpts []*recipient) (left []*recipient, began bool) {
	var own *transaction // made here, so that nobody else knows of it
	for len(rcpts) > 0 && s.mayMail() {
		t := s.ahead
		if s.ahead = nil; t == nil {
			if own == nil {
				own = l.newTransaction()
			} else {
				own.empty()
				s.rested = true // a server that answers twice is found out before its second word counts for MAIL
			}
			t = own
			s.fill(t, l, rcpts)
		}
		grant, refused := s.admit(t.rcpts)
		if refused != nil {
			settleRefused(rcpts, refused)
			rcpts = nil
			break
		}
		before := t.undecided()
		t.run()
		s.finish(grant, t)
		if s.stale { // who was turned away before MAIL is settled
			return append(t.rcpts, t.later...), false
		}
		if refused := before.again(s); len(refused) > 0 {
			s.stale = true
			s.leaveQuietly(errDone)
			return append(refused, append(t.overflow, t.later...)...), false
		}
		began = began || t.began
		rcpts = t.left()
		if others, _ := s.behind(); others && s.err == nil {
			return rcpts, began
		}
		if s.err != nil && !t.verified {
			s.disown(rcpts)
			return nil, began
		}
	}
	if s.single {
		s.leaveQuietly(errDone)
	}
	return rcpts, began
}

// left are those whom it takes another transaction for.
func (t *transaction) left() []*recipient {
	if len(t.overflow) == 0 {
		return t.later
	}
	return append(t.overflow, t.later...)
}

// empty leaves nothing but room of a transaction that is done with.
func (t *transaction) empty() {
	owed, accepted := t.owed[:0], t.accepted[:0]
	*t = transaction{}
	t.owed, t.accepted = owed, accepted
}

// fill makes t, which is empty, the next transaction for some recipients.
func (s *Session) fill(t *transaction, l *letter, rcpts []*recipient) {
	now, later := s.share(l, rcpts)
	t.s, t.env, t.from, t.rcpts, t.later, t.letter, t.message = s, l.env, l.from, now, later, l, l.message
}

// awaitQuit reads the reply to the QUIT after a transaction, as
// lmtp_skip_quit_response has it: a store on the same machine is there to be
// waited for, and closing before it has answered shows in its log. What the reply
// is changes nothing.
func (s *Session) awaitQuit() {
	if s.kind.protocol == LMTP && s.at.Reused > 0 && s.err == nil {
		s.reply(StageQuit)
	}
}

// mayMail tells that the session can take another transaction.
func (s *Session) mayMail() bool {
	return s.err == nil && (s.ext.mailMax == 0 || s.at.Reused < s.ext.mailMax)
}

// share splits off those who go in the next transaction.
func (s *Session) share(l *letter, rcpts []*recipient) (now, later []*recipient) {
	most := min(len(rcpts), s.perTransaction(l))
	if s.ext.rcptDomainMax == 0 {
		return rcpts[:most:most], rcpts[most:]
	}
	domains := make(map[string]bool)
	for _, r := range rcpts {
		if len(now) < most && (domains[r.domain] || len(domains) < s.ext.rcptDomainMax) {
			domains[r.domain] = true
			now = append(now, r)
		} else {
			later = append(later, r)
		}
	}
	return now, later
}

// disown settles those whose turn never came, because the session broke: by what
// the server said to them, else by what broke it.
func (s *Session) disown(rcpts []*recipient) {
	for _, r := range rcpts {
		if r.excess != nil {
			r.excess.Enhanced = enhancedFor(Deferred, r.excess.Reply)
			r.settle(Deferred, r.excess)
			continue
		}
		r.settle(Deferred, &s.err.Attempt)
	}
}

var errMailMax = errors.New("the server takes no more transactions on this connection (LIMITS MAILMAX)")
