package smtpclient

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/tlspolicy"
)

// Early pipelining (Exim's PIPECONNECT, draft-harris-early-pipe). What a server
// offered last is kept for each of its addresses, and where it offers PIPECONNECT
// nothing is waited for that is known already:
//
//	C: EHLO MAIL RCPT DATA                      S: 220, 250 of EHLO, 250 250 354
//
//	C: EHLO STARTTLS                            S: 220, 250 of EHLO, 220
//	   TLS handshake
//	C: EHLO MAIL RCPT DATA                      S: 250 of EHLO, 250 250 354
//
// If anything is not as it was, what was written decides nothing: the connection is
// closed, and a new one waits for each word. A server that did not offer it is never
// talked to before it has greeted.

// early is what a session has begun with before it was greeted. It is fixed but for
// pending.
type early struct {
	expects  extensions
	greeting bool        // it is owed, too
	pending  atomic.Bool // the reply to EHLO is owed
	changed  bool        // it was another one, and the content had gone with the envelope
}

// earlyError is the end of a session that began too early.
type earlyError struct{ err error }

func (e *earlyError) Error() string {
	return fmt.Sprintf("what the server offered before does not hold any more: %v", e.err)
}
func (e *earlyError) Unwrap() error { return e.err }

func isEarly(err *Error) bool {
	if err == nil {
		return false
	}
	_, is := errors.AsType[*earlyError](err.Cause)
	return is
}

var errOffersElse = errors.New("the reply to EHLO is not the one that is remembered")

// offersFor is how long an offer is remembered.
const offersFor = 24 * time.Hour

// offersKey is where the offers of this server in this phase are kept; "" if they
// are not.
func (s *Session) offersKey() string {
	t := s.target
	if !s.quirks.PipeConnect || t.memory == nil || t.memory == cache.None || t.Protocol != SMTP || t.Policy.Implicit ||
		t.helo || s.quirks.HELO || s.secret.of != nil {
		return ""
	}
	phase := "plain"
	if s.tls != nil {
		phase = "tls"
	}
	return s.offersKeyOf(phase)
}

func (s *Session) offersKeyOf(phase string) string {
	key := strings.ToLower("pipeconnect1/" + phase + "/" + s.target.Addr + "/" + s.name)
	if len(key) > 250 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return key
}

// noteOffers keeps what the server offers, or forgets what it does no more.
func (s *Session) noteOffers() {
	key := s.offersKey()
	if key == "" {
		return
	}
	if !s.earlyOffered() {
		s.forgetOffers()
		return
	}
	value := key + "\n" + strings.Join(s.hello.Lines, "\n")
	if len(value) <= 8<<10 {
		_ = s.target.memory.Set(s.call.ctx, key, []byte(value), offersFor)
	}
}

func (s *Session) forgetOffers() {
	if key := s.offersKey(); key != "" {
		_ = s.target.memory.Delete(s.call.ctx, key)
	}
}

func (s *Session) earlyOffered() bool { return s.ext.offersEarly() }

func (x *extensions) offersEarly() bool {
	_, ok := x.lookup("PIPECONNECT")
	return ok && x.pipelining
}

// remembered are the offers in a phase. An entry that is not of this key counts as
// missing.
func (s *Session) remembered(phase string) (x extensions, ok bool) {
	key := s.offersKeyOf(phase)
	value, ok, err := s.target.memory.Get(s.call.ctx, key)
	if err != nil || !ok || len(value) > 8<<10 {
		return x, false
	}
	lines := strings.Split(string(value), "\n")
	if lines[0] != key {
		return x, false
	}
	x = parseExtensions(lines[1:], s.quirks.Discard)
	return x, x.offersEarly()
}

// pipeConnect begins a session with what is remembered. begun tells that it did, and
// that the rest is up to the transaction.
func (s *Session) pipeConnect() (begun bool, err *Error) {
	if s.offersKey() == "" || s.target.late || s.lockstep() {
		return false, nil
	}
	plain, ok := s.remembered("plain")
	if !ok {
		return false, nil
	}
	level := s.target.Policy.Level
	if level == tlspolicy.None || level == tlspolicy.May && !plain.startTLS && s.target.Policy.Published.Type == "" {
		s.at.TLS.Reached = tlspolicy.None
		return true, s.beginEarly(plain, true)
	}
	inside, ok := s.remembered("tls")
	if !ok || !plain.startTLS {
		return false, nil
	}
	secured, err := s.startTLSEarly()
	if err == nil && secured {
		err = s.beginEarly(inside, false)
	}
	return true, err
}

// beginEarly puts EHLO in front of the envelope.
func (s *Session) beginEarly(expects extensions, greeting bool) *Error {
	s.ext = expects
	s.heed()
	s.early = &early{expects: expects, greeting: greeting}
	s.early.pending.Store(true)
	return s.command(StageHello, []byte("EHLO "+s.name))
}

// startTLSEarly writes EHLO and STARTTLS at once. What the server offers besides is
// void in TLS, and so may be anything.
func (s *Session) startTLSEarly() (secured bool, err *Error) {
	if err = s.command(StageHello, []byte("EHLO "+s.name)); err == nil {
		err = s.command(StageStartTLS, []byte("STARTTLS"))
	}
	if err == nil {
		err = s.flush(StageGreeting)
	}
	if err == nil {
		err = s.greetedEarly()
	}
	var reply Reply
	if err == nil {
		reply, err = s.helloEarly()
	}
	if err == nil {
		s.hello, s.ext = reply, parseExtensions(reply.Lines, s.quirks.Discard)
		if !s.ext.startTLS || !s.earlyOffered() {
			err = s.broke(StageHello, "4.5.0", errOffersElse)
		}
	}
	if err != nil {
		return false, s.retreat(err)
	}
	s.noteOffers()
	s.asked = true
	return s.startTLS()
}

// askTLS asks for TLS, unless that was done.
func (s *Session) askTLS() (Reply, *Error) {
	if s.asked {
		s.asked = false
		return s.reply(StageStartTLS)
	}
	return s.ask(StageStartTLS, "STARTTLS")
}

// greetedEarly and helloEarly read replies that were not waited for.
func (s *Session) greetedEarly() *Error {
	reply, err := s.reply(StageGreeting)
	switch {
	case err != nil:
		return err
	case reply.Code != 220:
		e := s.unwilling(StageGreeting, reply)
		s.end(e)
		return e
	}
	return nil
}

func (s *Session) helloEarly() (Reply, *Error) {
	reply, err := s.reply(StageHello)
	if err == nil && !positive(reply) {
		err = s.unwilling(StageHello, reply)
		s.end(err)
	}
	return reply, err
}

// retreat marks the end of a session that began too early. Where the server is
// silent, or the caller has given up, there is nothing to be had by another one.
func (s *Session) retreat(err *Error) *Error {
	s.forgetOffers()
	if !isTimeout(err.Cause) && !s.isCut() {
		e := *err
		e.Cause = &earlyError{errors.Join(err.Cause, replyError(err.Reply))}
		s.err = &e
		return s.err
	}
	return err
}

// replyError is a reply as an error; nil if there is none.
func replyError(reply Reply) error {
	if reply.Code == 0 {
		return nil
	}
	return errors.New(reply.String())
}

// unmet tells that a session which began early is owed its greeting and EHLO.
func (s *Session) unmet() bool { return s.early != nil && s.early.pending.Load() }

// meet reads what a session that began early is owed before the replies to its
// transaction, and holds it against what was expected.
func (t *transaction) meet() *Error {
	s := t.s
	if !s.unmet() {
		return nil
	}
	err := s.meet()
	if err == nil {
		return nil
	}
	if err.Reply.Code >= 400 && err.Cause == nil {
		t.committed = false // who does not serve us has taken nothing (RFC 5321, Section 3.1)
	}
	if err.Cause == errOffersElse && t.committed {
		// The content went with the envelope: the server decides. What it refuses goes
		// again.
		s.early.changed = true
		return nil
	}
	if !t.committed {
		err = s.retreat(err)
		s.stale = isEarly(err)
	}
	s.end(err)
	return err
}

// meet is meet for the session. A reply that is another one breaks nothing yet.
func (s *Session) meet() *Error {
	if s.early.greeting {
		if err := s.greetedEarly(); err != nil {
			return err
		}
	}
	reply, err := s.helloEarly()
	if err = s.settled(err); err != nil {
		return err
	}
	s.hello, s.ext = reply, parseExtensions(reply.Lines, s.quirks.Discard)
	s.heed()
	s.early.pending.Store(false)
	name, _, _ := strings.Cut(reply.Lines[0], " ")
	if !slices.Equal(s.ext.offers(), s.early.expects.offers()) || s.target.loops && strings.EqualFold(name, s.name) {
		s.noteOffers()
		return s.failure(StageHello, "4.5.0", errOffersElse)
	}
	return nil
}

// known tells that a transaction can be judged by what is remembered. One that does
// not fit is not refused for that: the server is asked first.
func (t *transaction) known() bool {
	s := t.s
	if !s.unmet() {
		return true
	}
	draft, notes := *t, s.at.Notes
	fits := draft.suitsAll()
	s.at.Notes = notes
	if fits {
		return true
	}
	err := s.flush(StageHello)
	if err == nil {
		err = t.meet()
	} else {
		err = s.retreat(err)
		s.stale = isEarly(err)
	}
	if err != nil {
		t.fail(err)
	}
	return err == nil
}

// undecided are recipients as they were before a transaction that began early.
type undecided struct {
	rcpts    []*recipient
	before   []recipient
	outcomes []Outcome
}

//go:noinline
func (t *transaction) undecided() (u undecided) {
	if !t.s.unmet() {
		return u
	}
	for _, r := range t.rcpts {
		u.rcpts, u.before, u.outcomes = append(u.rcpts, r), append(u.before, *r), append(u.outcomes, *r.outcome)
	}
	return u
}

// again gives those whom a server has refused that was not the one expected, as they
// were before.
func (u undecided) again(s *Session) (rcpts []*recipient) {
	if s.early == nil || !s.early.changed {
		return nil
	}
	for i, r := range u.rcpts {
		if r.outcome.Status == Deferred || r.outcome.Status == Failed {
			*r.outcome = u.outcomes[i]
			*r = u.before[i]
			rcpts = append(rcpts, r)
		}
	}
	return rcpts
}
