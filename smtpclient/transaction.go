package smtpclient

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxGroup bounds what is written before replies are read, so that neither side
// can block the other (RFC 2920, Section 3.1).
const maxGroup = 4 << 10

// maxTextLine is the longest line of a message, without its CRLF (RFC 5321,
// Section 4.5.3.1.6).
const maxTextLine = 998

// transaction is one mail transaction on a session: begin, content, finish. The
// three are apart so that the envelope of another transaction can be written
// with the end of this one's content.
type transaction struct {
	s       *Session
	from    string // wire form of the reverse path, without angle brackets
	rcpts   []*recipient
	message *message
	last    bool // the session ends after this one: QUIT goes with the end of the data

	reader    io.ReadCloser // of the content; nil if it is in memory
	owed      []step        // commands that are written and not answered
	accepted  []*recipient  // in the order of RCPT
	refused   bool          // MAIL was
	odd       bool          // the server accepted a recipient all the same
	ready     bool          // the server waits for content
	began     bool          // MAIL was written
	committed bool          // the end of the data may have left us
}

// step is a command whose reply is owed.
type step struct {
	stage Stage
	rcpt  *recipient // of RCPT
}

// run carries the transaction out under the call that the session has entered,
// and settles every recipient. A Deferred one may go on to the next host.
func (t *transaction) run() {
	defer t.contain()
	t.prepare()
	if t.suits() && t.openContent() {
		defer t.closeContent()
		if t.begin() {
			t.content()
		}
	}
	if t.began {
		t.s.at.Reused++
	}
	if t.last {
		t.s.leaveQuietly(errDone)
	}
}

var errDone = &Error{Status: Deferred, Attempt: Attempt{Stage: StageQuit, Enhanced: "4.3.5", Cause: errors.New("the session is over")}}

// contain settles what a panic in a hook left open, as far as the commit point
// lets it be known.
func (t *transaction) contain() {
	if p := recover(); p != nil {
		t.fail(t.s.broke(t.s.at.Stage, "4.3.0", panicked(p)))
	}
}

// prepare forgets what the session knew of the transaction before.
func (t *transaction) prepare() {
	s := t.s
	if s.at.Reused > 0 {
		s.at.Times = StageTimes{}
	}
	s.at.Notes = nil
	for _, r := range t.rcpts {
		r.pending = true
	}
	if n := t.message.facts.LongestLine; n > maxTextLine {
		s.at.Notes = append(s.at.Notes, fmt.Sprintf("a line of %d bytes was sent as it is; RFC 5321 has at most %d", n, maxTextLine))
	}
}

// suits tells whether the server can take this message at all, before MAIL.
func (t *transaction) suits() bool {
	facts, ext := &t.message.facts, &t.s.ext
	switch {
	case ext.size > 0 && facts.WireSize > ext.size:
		// RFC 1870, Section 4: to try is to be refused.
		t.settleAll(Failed, t.unsuited("5.3.4", fmt.Errorf("the message has %d bytes, but the server takes %d at most", facts.WireSize, ext.size)))
		return false
	case facts.EightBit && !ext.eightBitMIME:
		// RFC 6152. Another host may offer it.
		t.settleAll(Failed, t.unsuited("5.6.3", errors.New("the message is 8-bit, but the server does not offer 8BITMIME")))
		for _, r := range t.rcpts {
			r.open = true
		}
		return false
	}
	return true
}

func (t *transaction) unsuited(enhanced string, cause error) Attempt {
	a := t.s.at
	a.Stage, a.Enhanced, a.Cause = StageMail, enhanced, cause
	return a
}

// settleAll gives all who are pending one verdict.
func (t *transaction) settleAll(status Status, a Attempt) {
	for _, r := range t.rcpts {
		if r.pending {
			r.settle(status, a)
		}
	}
}

// fail settles all who are pending when the session broke: Unknown where the end
// of the data may have left us.
func (t *transaction) fail(err *Error) {
	status := Deferred
	if t.committed {
		status = Unknown
	}
	t.settleAll(status, err.Attempt)
}

// abandon fails without leaving the recipients to the next host: what is wrong
// is wrong with the content.
func (t *transaction) abandon(err *Error) {
	t.fail(err)
	for _, r := range t.rcpts {
		if r.outcome.Status == Deferred {
			r.open = false
		}
	}
}

// begin sends the envelope and tells that the server waits for content. With
// PIPELINING the commands go in groups (RFC 2920, Section 3.1); without, a group
// is one command.
func (t *transaction) begin() bool {
	s := t.s
	// What the content took to open is not the server's time.
	s.clock = time.Now()
	s.budget = after(s.clock, s.rates.budget(t.message.facts.WireSize))
	if s.dirty && !t.add(step{stage: StageCommand}, "RSET") {
		return false
	}
	if !t.add(step{stage: StageMail}, t.mail()) {
		return false
	}
	for _, r := range t.rcpts {
		if !t.add(step{stage: StageRcpt, rcpt: r}, "RCPT TO:<"+r.path+">") {
			return false
		}
	}
	return t.add(step{stage: StageDataInit}, "DATA") && t.sync() && t.ready
}

// mail is the MAIL command with its parameters, in Postfix's order.
func (t *transaction) mail() string {
	line := "MAIL FROM:<" + t.from + ">"
	if _, ok := t.s.ext.lookup("SIZE"); ok {
		line += " SIZE=" + strconv.FormatInt(t.message.facts.WireSize, 10)
	}
	if t.message.facts.EightBit {
		line += " BODY=8BITMIME"
	}
	return line
}

// add puts a command into the group. A group that is full is sent first; the
// replies may show that the command makes no sense any more.
func (t *transaction) add(st step, line string) bool {
	s := t.s
	if len(t.owed) > 0 && (!s.ext.pipelining || len(s.out)+len(line)+2 > maxGroup) {
		hopeless := func() bool { return t.refused || st.stage == StageDataInit && len(t.accepted) == 0 }
		if !t.sync() || hopeless() {
			return false
		}
	}
	if err := s.command(st.stage, line); err != nil {
		t.fail(err)
		return false
	}
	if st.stage == StageMail {
		t.began, s.dirty = true, true
	}
	t.owed = append(t.owed, st)
	return true
}

// sync sends the group and reads its replies. It tells that the session is in
// step, whatever the replies say.
func (t *transaction) sync() bool {
	s := t.s
	if err := s.flush(t.owed[0].stage); err != nil {
		t.fail(err)
		return false
	}
	for _, st := range t.owed {
		reply, err := s.reply(st.stage)
		if err == nil {
			err = t.take(st, reply)
		}
		if err != nil {
			t.fail(err)
			return false
		}
	}
	t.owed = t.owed[:0]
	return true
}

// take judges one reply of the envelope. An error is the end of the session.
func (t *transaction) take(st step, reply Reply) *Error {
	s := t.s
	if reply.Code == 421 {
		return s.err
	}
	if st.stage == StageDataInit {
		return t.takeData(reply)
	}
	if !positive(reply) && !negative(reply) {
		return s.misplaced(st.stage, reply)
	}
	switch {
	case st.stage == StageCommand && negative(reply):
		e := s.refused(st.stage, reply)
		s.end(e) // a server that cannot RSET may still hold the other transaction
		return e
	case st.stage == StageCommand: // MAIL went with it: the session stays dirty
	case st.stage == StageMail && negative(reply):
		// What follows is about a transaction that does not exist: the
		// first cause counts, not the 503 behind it.
		t.refused = true
		t.settleAll(verdict(reply), t.decided(st.stage, reply))
	case st.stage == StageRcpt && t.refused:
		t.odd = t.odd || positive(reply)
	case st.stage == StageRcpt && negative(reply):
		st.rcpt.settle(verdict(reply), t.decided(st.stage, reply))
	case st.stage == StageRcpt:
		t.accepted = append(t.accepted, st.rcpt)
	}
	return nil
}

// decided is the attempt of an outcome that a reply decided.
func (t *transaction) decided(stage Stage, reply Reply) Attempt {
	a := t.s.at
	a.Stage, a.Reply = stage, reply
	status := Delivered
	if negative(reply) {
		status = verdict(reply)
	}
	a.Enhanced = enhancedFor(status, reply)
	return a
}

// takeData judges the reply to DATA.
func (t *transaction) takeData(reply Reply) *Error {
	switch {
	case reply.Code == 354 && len(t.accepted) > 0:
		t.ready = true
		return nil
	case reply.Code == 354:
		return t.endNothing()
	case negative(reply):
		t.settleAll(verdict(reply), t.decided(StageDataInit, reply))
		return nil
	}
	return t.s.misplaced(StageDataInit, reply)
}

// endNothing answers a 354 where no recipient was accepted: by a lone dot, whose
// reply says nothing about anybody (RFC 2920, Section 3.1). In LMTP no reply
// would follow (RFC 2033, Section 4.2), so only closing is left; likewise where
// an empty message would be for somebody.
func (t *transaction) endNothing() *Error {
	if t.s.target.Protocol == LMTP || t.odd {
		return t.s.broke(StageDataInit, "4.5.0", errors.New("protocol error: the server waits for content that is for nobody"))
	}
	reply, err := t.s.ask(StageDataDone, ".")
	if err == nil && !positive(reply) && !negative(reply) {
		err = t.s.misplaced(StageDataDone, reply)
	}
	return err
}
