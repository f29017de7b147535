package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/internal/ascii"
)

// letter is an envelope that was checked, with what is written of it, and the
// report that grows with it.
type letter struct {
	env     *Envelope
	from    string // wire form of the reverse path, without angle brackets
	rcpts   []recipient
	message *message // behind the header lines of the envelope
	forms   forms    // of message
	filters *Filters
	notes   []string // of the filters, for every attempt
	report  Report
	sent    []*recipient // what pair gives
	most    int          // recipients in a transaction; see Limits.Recipients

	// Room, so that a message is a few pieces of memory.
	envelope Envelope
	one      [1]recipient
	oneSent  [1]*recipient
	attempts []Attempt   // room for the next
	own      transaction // the first one
	alone    bool        // nobody else makes one of this letter meanwhile
	kept     bool        // the owner of a session may have a transaction of it that was given up
}

// inputError is a fault of the input: the field's name, and what is wrong.
type inputError struct {
	status   Status
	enhanced string
	cause    error
}

func badInput(enhanced, field string, err error) *inputError {
	return &inputError{status: Failed, enhanced: enhanced, cause: fmt.Errorf("%s: %w", field, err)}
}

// badConfig is a fault that is not the message's: mail waits until it is mended.
func badConfig(err error) *inputError {
	return &inputError{status: Deferred, enhanced: "4.3.5", cause: err}
}

func (e *inputError) attempt() *Attempt {
	return &Attempt{Stage: StageInput, Enhanced: e.enhanced, Cause: e.cause}
}

// letters are done with, and were seen by no hook.
var letters = sync.Pool{New: func() any { return new(letter) }}

// address makes room for the recipients of env in a letter that is empty.
func (l *letter) address(env *Envelope) {
	l.envelope = *env
	l.env = &l.envelope
	to := env.To
	if len(to) == 1 {
		room := new(struct {
			outcomes [1]Outcome
			attempts [1]Attempt
		})
		l.report.Outcomes, l.attempts = room.outcomes[:], room.attempts[:]
		l.rcpts, l.sent = l.one[:], l.oneSent[:0]
	} else {
		l.report.Outcomes = make([]Outcome, len(to))
		l.rcpts = slices.Grow(l.rcpts, len(to))[:len(to)]
	}
	for i := range to {
		o, r := &l.report.Outcomes[i], &l.rcpts[i] // both are empty
		o.Address = to[i].Address
		r.outcome, r.to, r.open = o, &to[i], true
	}
}

// release keeps the room of a letter for another one. The report has none of it.
func (l *letter) release() {
	t := &l.own
	clear(l.rcpts)
	clear(l.sent)
	clear(t.owed)
	clear(t.accepted)
	rcpts, sent, owed, accepted := l.rcpts[:0], l.sent[:0], t.owed[:0], t.accepted[:0]
	*l = letter{} // with fields in it, it would be made elsewhere and copied
	l.rcpts, l.sent, t.owed, t.accepted = rcpts, sent, owed, accepted
	letters.Put(l)
}

// newAttempt gives room for an attempt that the report will keep.
func (l *letter) newAttempt() *Attempt {
	if !l.alone {
		return new(Attempt)
	}
	if len(l.attempts) == 0 {
		l.attempts = make([]Attempt, 1+(len(l.rcpts)-1)/usualRecipients)
	}
	a := &l.attempts[0]
	l.attempts = l.attempts[1:]
	return a
}

// newTransaction gives room for a transaction of this letter.
func (l *letter) newTransaction() *transaction {
	t := &l.own
	if !l.alone || t.letter != nil {
		t = new(transaction)
	}
	if cap(t.owed) == 0 {
		t.owed, t.accepted = t.owedRoom[:0], t.takenRoom[:0]
	}
	return t
}

// check reads envelope and content. A fault of the message or its sender
// settles all recipients, a fault of a recipient that one. Nothing has been
// looked up or written by then.
func (l *letter) check(ctx context.Context, c Content, rules ContentRules) {
	fault := l.checkMessage(ctx, c, rules)
	if fault != nil {
		l.settleOpen(fault.status, fault.attempt())
		return
	}
	domain := "" // of the one before
	for i := range l.rcpts {
		if err := l.rcpts[i].check(domain); err != nil {
			e := badInput("5.1.3", fmt.Sprintf("Envelope.To[%d].%s", i, err.field), err.cause)
			l.rcpts[i].settle(e.status, e.attempt())
		}
		domain = l.rcpts[i].domain
	}
	l.rewriteRecipients()
	l.checkLoops(ctx)
}

func (l *letter) checkMessage(ctx context.Context, c Content, rules ContentRules) *inputError {
	env := l.env
	if err := env.checkParams(); err != nil {
		return badInput("5.5.4", "Envelope."+err.field, err.cause)
	}
	var err error
	if l.from, err = reversePath(env.From); err != nil {
		return badInput("5.1.7", "Envelope.From", err)
	}
	if l.from, err = l.filters.rewritten(l.from); err != nil {
		return &inputError{status: Deferred, enhanced: "4.3.0", cause: err}
	}
	if c == nil && env.Verify != VerifyNo {
		l.message = &message{}
		return nil
	}
	if c == nil {
		return badInput("5.6.0", "Content", errNoContent)
	}
	head, err := headerLines(env.Header)
	if err != nil {
		return badInput("5.6.0", "Envelope.Header", err)
	}
	if l.message, err = l.scanFiltered(ctx, c); err == nil {
		l.message = l.message.under(head)
		err = l.tagTLS(ctx)
	}
	if err != nil {
		return contentFault(err)
	}
	if err := rules.refuse(env.Body, &l.message.facts); err != nil {
		return badInput("5.6.0", "Content", err)
	}
	return nil
}

// settleOpen gives all who are still open one verdict.
func (l *letter) settleOpen(status Status, a *Attempt) {
	for i := range l.rcpts {
		if l.rcpts[i].open {
			l.rcpts[i].settle(status, a)
			l.rcpts[i].open = false
		}
	}
}

// classifyBy has verdicts judged by Client.Classify.
func (l *letter) classifyBy(classify func(Attempt, Status) Status) {
	for i := range l.rcpts {
		l.rcpts[i].classify = classify
	}
}

// pair makes each recipient who came before, with the same wishes, a twin of the
// first: SMTP sends one RCPT for both. It gives those who are to be sent.
func (l *letter) pair(protocol Protocol) []*recipient {
	sent := slices.Grow(l.sent, len(l.rcpts))
	alone := protocol != SMTP || len(l.rcpts) == 1
	var known index
	if !alone {
		known = newIndex(l.rcpts)
		defer known.release()
	}
	for i := range l.rcpts {
		r := &l.rcpts[i]
		if !r.open {
			continue
		}
		if !alone {
			if r.twin = known.twin(i); r.twin != nil {
				continue
			}
		}
		sent = append(sent, r)
	}
	l.sent = sent
	return sent
}

var errUntried = errors.New("no server could be tried")

// finish completes the report: twins share, nobody is left without a verdict, and
// the filter has its say.
func (l *letter) finish() {
	defer l.filterStatus()
	for i := range l.rcpts {
		r := &l.rcpts[i]
		if r.twin != nil { // it came before
			r.share()
		} else {
			if !r.tried {
				r.settle(Deferred, &Attempt{Stage: StageResolve, Enhanced: "4.3.0", Cause: errUntried})
			}
			r.judge()
		}
		r.outcome.Owed = l.owed(r)
	}
}

// fieldError names a field within a struct.
type fieldError struct {
	field string
	cause error
}

var errNoSender = errors.New(`it is empty; write "<>" for the null reverse path`)

// reversePath is the wire form of Envelope.From.
func reversePath(s string) (string, error) {
	switch s {
	case "":
		return "", errNoSender
	case "<>":
		return "", nil
	}
	m, err := address.Parse(s)
	return m.Written(s), err
}

// check reads one recipient. The one before may have the same domain.
func (r *recipient) check(domain string) *fieldError {
	if err := r.to.checkParams(); err != nil {
		return err
	}
	m, path, err := address.NextRecipient(domain, r.to.Address)
	if err != nil {
		return &fieldError{"Address", err}
	}
	r.domain = m.Domain
	r.setPath(path)
	return nil
}

func (r *recipient) setPath(path string) { r.path, r.utf8 = path, !ascii.Is(path) }
