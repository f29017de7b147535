package smtpclient

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/wire"
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
	env     *Envelope
	from    string // wire form of the reverse path, without angle brackets
	rcpts   []*recipient
	letter  *letter
	message *message     // of the letter, in the form in which this server gets it
	last    bool         // the session ends after this one: QUIT goes with the end of the data
	later   []*recipient // for whom it takes another one
	draft   bool         // only makes its envelope ready; see Session.ready
	group   []byte       // the envelope, if the transaction before has written it; with the content where that goes with it
	notes   []string     // that go with it
	peer    resting      // of the session it was made for

	chunked  bool          // BDAT in place of DATA
	straight bool          // from a file to the connection, without a look at it
	utf8     bool          // MAIL has SMTPUTF8
	noDSN    bool          // that DSN is not offered was noted
	reader   io.ReadCloser // of the content; nil if it is in memory

	owedRoom  [4]step
	owed      []step // commands that are written and not answered
	takenRoom [1]*recipient
	accepted  []*recipient // in the order of RCPT
	overflow  []*recipient // too many for one transaction: they go in another
	refused   bool         // MAIL was
	odd       bool         // the server accepted a recipient all the same
	ready     bool         // the server waits for content
	began     bool         // MAIL was written
	committed bool         // the end of the data may have left us
	verified  bool         // the server would take the message; the connection is closed for that
}

// step is a command whose reply is owed.
type step struct {
	stage  Stage
	rcpt   *recipient // of RCPT
	advice bool       // a refusal is only noted
}

// run carries the transaction out under the call that the session has entered,
// and settles every recipient but the overflow. A Deferred one may go on to the
// next host.
func (t *transaction) run() {
	defer t.contain()
	defer t.closeContent()
	t.prepare()
	switch {
	case t.group != nil && t.chunked:
		t.land()
	case t.group != nil && t.takeUp(), t.group == nil && t.suits() && t.openContent() && t.begin():
		t.content()
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
		t.s.resumed, t.s.stale = false, false // it is not the session that failed
		t.fail(t.s.broke(t.s.at.Stage, "4.3.0", panicked(p)))
	}
}

// prepare forgets what the session knew of the transaction before.
func (t *transaction) prepare() {
	s := t.s
	if s.at.Reused > 0 && !s.resumed {
		s.at.Times = StageTimes{}
		s.at.Transcript = nil
	}
	s.at.Notes = slices.Clone(t.letter.notes)
	for _, r := range t.rcpts {
		r.pending = true
	}
}

// suits tells whether the server can take this message for anybody.
func (t *transaction) suits() bool {
	if !t.known() {
		return false
	}
	m := t.misfit()
	if m == nil && t.env.Verify == VerifyNo {
		var err error
		if m, err = t.fit(); err != nil {
			return t.unreadable(err)
		}
	}
	if m != nil {
		for _, r := range t.rcpts {
			t.reject(r, m)
		}
		return false
	}
	t.turnAway()
	return len(t.rcpts) > 0
}

// reject settles a recipient before MAIL. Another host may do where only this one
// does not. Where only HELO got through, since the connection was lost at EHLO, nobody
// knows what the server offers.
func (t *transaction) reject(r *recipient, m *misfit) {
	status, enhanced := Failed, m.enhanced
	if m.here && t.s.kind.helo {
		status, enhanced = Deferred, "4"+m.enhanced[1:]
	}
	r.settle(status, &t.s.failure(StageMail, enhanced, m.cause).Attempt)
	r.open = r.open || m.here
}

// settleAll gives all who are pending one verdict.
func (t *transaction) settleAll(status Status, a *Attempt) {
	now := time.Now()
	for _, r := range t.rcpts {
		if r.pending {
			r.settleAt(status, a, now)
		}
	}
}

// fail settles all who are pending when the session broke: Unknown where the end
// of the data may have left us.
func (t *transaction) fail(err *Error) {
	if t.gone() {
		return
	}
	status := Deferred
	if t.committed {
		status = Unknown
	}
	t.settleAll(status, &err.Attempt)
}

// gone tells that the session was lost before the server said anything in this
// delivery, while nothing can have been accepted: idle sessions are closed without
// a word, and a new one can be opened as silently.
func (t *transaction) gone() bool {
	s := t.s
	if s.stale {
		return true
	}
	if !s.resumed || s.err == nil || t.committed || s.isCut() {
		return false
	}
	s.stale = true
	return true
}

// abandon fails without leaving the recipients to the next host: what is wrong
// is wrong with the content.
func (t *transaction) abandon(err *Error) {
	t.s.resumed = false
	t.fail(err)
	for _, r := range t.rcpts {
		if r.outcome.Status == Deferred {
			r.open = false
		}
	}
}

var data = []byte("DATA")

// begin sends the envelope and tells that the server waits for content. With
// PIPELINING the commands go in groups (RFC 2920, Section 3.1); without, a group
// is one command.
func (t *transaction) begin() bool {
	if !t.envelope() {
		return false
	}
	switch {
	case t.chunked && t.fitsGroup():
		// The content goes with the envelope, so that a session which is gone has to be
		// found now.
		if err := t.s.awaitsUs(StageMail); err != nil {
			t.fail(err)
			return false
		}
		t.ready = true
		return true
	case t.chunked, t.env.Verify == VerifyRcpt:
		t.ready = t.sync() && len(t.accepted) > 0
		return t.ready
	}
	return t.add(step{stage: StageDataInit}, data) && t.sync() && t.ready
}

// envelope adds RSET where another transaction may be open, XFORWARD, MAIL and
// RCPT.
func (t *transaction) envelope() bool {
	s := t.s
	if !t.draft {
		// What the content took to open is not the server's time.
		s.clock = time.Now()
		s.budget = after(s.clock, s.dialer.Timeouts.budget(t.size()))
	}
	if s.dirty && !t.add(step{stage: StageCommand}, []byte("RSET")) {
		return false
	}
	if t.env.XForward != nil {
		known, ok := s.ext.lookup("XFORWARD")
		if !ok {
			t.leftOut("XFORWARD", "XFORWARD")
		}
		for _, line := range t.env.XForward.attributes("XFORWARD", known) {
			if !t.add(step{stage: StageCommand, advice: true}, []byte(line)) {
				return false
			}
		}
	}
	if !t.add(step{stage: StageMail}, t.mail()) {
		return false
	}
	bare := s.ext.pipelining && !s.tracesLines() && !s.quirks.IgnoreQuota
	for _, r := range t.rcpts {
		if bare && t.addBare(r) {
			continue
		}
		if !t.add(step{stage: StageRcpt, rcpt: r}, t.rcpt(r)) {
			return false
		}
	}
	return true
}

// addBare is add for a recipient without parameters who finds room in the group and
// whom nobody wants to be told of: so most are.
func (t *transaction) addBare(r *recipient) bool {
	s := t.s
	if len(s.out)+len("RCPT TO:<>\r\n")+len(r.path) > maxGroup || r.to.ORCPT != "" || r.to.Notify != 0 || !r.to.Since.IsZero() {
		return false
	}
	out, ok := wire.AppendRcpt(s.out, r.path)
	if !ok {
		return false
	}
	s.out = out
	r.handed = false
	t.owed = append(t.owed, step{stage: StageRcpt, rcpt: r})
	return true
}

// add puts a command into the group. A group that is full is sent first; the
// replies may show that the command makes no sense any more.
func (t *transaction) add(st step, line []byte) bool {
	s := t.s
	if len(t.owed) > 0 && (!s.ext.pipelining || len(s.out)+len(line)+2 > maxGroup) {
		if t.draft || !t.sync() || t.refused || st.stage == StageDataInit && len(t.accepted) == 0 {
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
	if len(t.owed) == 0 && s.ext.pipelining {
		t.owed = slices.Grow(t.owed, len(t.rcpts)+3)
	}
	t.owed = append(t.owed, st)
	return true
}

// sync sends the group and reads its replies. It tells that the session is in
// step, whatever the replies say.
func (t *transaction) sync() bool {
	if err := t.s.flush(t.owed[0].stage); err != nil {
		t.fail(err)
		return false
	}
	return t.takeOwed()
}

// takeOwed reads the replies that are owed.
func (t *transaction) takeOwed() bool {
	err := t.meet()
	if err == nil {
		err = t.s.settleDebts()
	}
	if err != nil {
		t.unanswered(err)
		return false
	}
	for i := 0; i < len(t.owed); i++ {
		st := t.owed[i]
		reply, err := t.s.answer(st)
		if err != nil {
			t.groupEnded(err)
			t.owed = t.owed[i:]
			t.unanswered(err)
			return false
		}
		if reply.Code != 421 {
			t.s.resumed = false
		}
		if err = t.take(st, reply); err != nil {
			t.groupEnded(err)
			t.fail(err)
			return false
		}
		if st.stage == StageRcpt {
			i += t.takeSame(reply, t.owed[i+1:])
		}
	}
	t.groupEnded(nil)
	t.owed = t.owed[:0]
	return true
}

// take judges one reply of the envelope. An error is the end of the session.
func (t *transaction) take(st step, reply Reply) *Error {
	s := t.s
	if st.stage == StageMail || st.stage == StageCommand {
		s.mailRefused(reply)
	}
	switch {
	case reply.Code == 421:
		return s.err
	case st.stage == StageDataInit:
		return t.takeData(reply)
	case !positive(reply) && !negative(reply):
		return s.misplaced(st.stage, reply)
	case st.advice:
		if negative(reply) {
			s.at.Notes = append(s.at.Notes, "XFORWARD was refused: "+reply.String())
		}
	case st.stage == StageCommand && negative(reply):
		e := s.refused(st.stage, reply)
		s.end(e) // a server that cannot RSET may still hold the other transaction
		return e
	case st.stage == StageCommand:
		s.dirty = t.began // MAIL may stand in the same group
	case st.stage == StageMail && negative(reply):
		// What follows is about a transaction that does not exist: the
		// first cause counts, not the 503 behind it.
		t.refused = true
		t.settleAll(verdict(reply), t.decided(st.stage, reply))
	case st.stage == StageRcpt && t.refused && t.committed && positive(reply):
		// The content went with the envelope. Whether LMTP answers it for
		// this recipient nobody can tell.
		return s.misplaced(st.stage, reply)
	case st.stage == StageRcpt && t.refused:
		t.odd = t.odd || positive(reply)
	case st.stage == StageRcpt:
		t.takeRcpt(st.rcpt, reply)
	}
	return nil
}

// takeSame takes the replies to the next RCPT that have come already and are the last
// one over again: so most servers answer. It tells how many.
func (t *transaction) takeSame(reply Reply, owed []step) int {
	n := 0
	for n < len(owed) && owed[n].stage == StageRcpt {
		n++
	}
	if n = t.s.again(n); n == 0 || t.refused {
		return n
	}
	if !positive(reply) || t.env.Verify == VerifyRcpt {
		for _, st := range owed[:n] {
			t.takeRcpt(st.rcpt, reply)
		}
		return n
	}
	accepted := t.accepted
	for _, st := range owed[:n] {
		accepted = append(accepted, st.rcpt)
	}
	t.accepted = accepted
	return n
}

// takeRcpt judges the reply to RCPT.
func (t *transaction) takeRcpt(r *recipient, reply Reply) {
	switch {
	case negative(reply) && len(t.accepted) > 0 && tooMany(reply):
		r.pending = false
		r.excess = t.decided(StageRcpt, reply)
		t.overflow = append(t.overflow, r)
	case negative(reply):
		r.settle(verdict(reply), t.decided(StageRcpt, reply))
	case t.env.Verify == VerifyRcpt:
		r.settle(Delivered, t.decided(StageRcpt, reply))
	default:
		if len(t.accepted) == 0 {
			t.accepted = slices.Grow(t.accepted, len(t.rcpts))
		}
		t.accepted = append(t.accepted, r)
	}
}

// tooMany tells a server that takes no more recipients in this transaction from
// one that has no room in the mailbox (RFC 5321, Section 4.5.3.1.10): by the
// enhanced code, where there is one.
func tooMany(reply Reply) bool {
	if reply.Code != 452 && reply.Code != 552 {
		return false
	}
	e := reply.Enhanced
	// ZMailer's smtpserver says 452 4.5.2 (RcptLimitCount).
	return e == "" || e == "4.5.2" && reply.Code == 452 || len(e) > 2 && (e[2:] == "5.3" || e[2:] == "3.0")
}

// decided is the attempt of an outcome that a reply decided.
func (t *transaction) decided(stage Stage, reply Reply) *Attempt {
	a := t.letter.newAttempt()
	*a = t.s.at
	a.Stage, a.Reply, a.Cause = stage, reply, unauthenticated(reply)
	status := Delivered
	if negative(reply) {
		status = verdict(reply)
	} else if t.s.transcript != TranscriptAll {
		a.Transcript = nil
	}
	a.Enhanced = enhancedFor(status, reply)
	if a.Cause != nil && reply.Enhanced == "" {
		a.Enhanced = "4.7.0"
	}
	return a
}

// takeData judges the reply to DATA.
func (t *transaction) takeData(reply Reply) *Error {
	switch {
	case reply.Code == 354 && len(t.accepted) > 0 && t.env.Verify == VerifyData:
		t.settleAll(Delivered, t.decided(StageDataInit, reply))
		t.verified = true
		return errVerified(t.s)
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

// errVerified closes a connection that waits for content which there is not.
func errVerified(s *Session) *Error {
	return s.broke(StageDataInit, "4.3.0", errors.New("closed after the server said that it would take the message"))
}

// endNothing answers a 354 where no recipient was accepted: by a lone dot, whose
// reply says nothing about anybody (RFC 2920, Section 3.1). In LMTP no reply
// would follow (RFC 2033, Section 4.2), so only closing is left; likewise where
// an empty message would be for somebody.
func (t *transaction) endNothing() *Error {
	if t.s.kind.protocol == LMTP || t.odd {
		return t.s.broke(StageDataInit, "4.5.0", errors.New("protocol error: the server waits for content that is for nobody"))
	}
	reply, err := t.s.ask(StageDataDone, ".")
	if err == nil && !positive(reply) && !negative(reply) {
		err = t.s.misplaced(StageDataDone, reply)
	}
	return err
}

// pause is the time to wait before the final dot, for firewalls that lose a dot
// which is not in a packet of its own.
func (t *transaction) pause() time.Duration {
	q := t.s.quirks
	if !t.s.masked || q.PIX != 0 && q.PIX&PIXDelayDot == 0 || t.chunked || t.env.Arrival.IsZero() {
		return 0
	}
	if time.Since(t.env.Arrival) < orDefault(q.PIXAge, 500*time.Second) {
		return 0
	}
	return orDefault(q.PIXDelay, 10*time.Second)
}

func orDefault(d, usual time.Duration) time.Duration {
	if d == 0 {
		return usual
	}
	return d
}
