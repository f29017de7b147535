package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/postrider/postrider/internal/address"
)

// letter is an envelope that was checked, with what is written of it, and the
// report that grows with it.
type letter struct {
	from    string // wire form of the reverse path, without angle brackets
	rcpts   []recipient
	message *message
	report  Report
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

func (e *inputError) attempt() Attempt {
	return Attempt{Stage: StageInput, Enhanced: e.enhanced, Cause: e.cause}
}

// newLetter makes room for an outcome for every recipient.
func newLetter(to []Recipient) *letter {
	l := &letter{
		rcpts:  make([]recipient, len(to)),
		report: Report{Outcomes: make([]Outcome, len(to))},
	}
	for i := range to {
		l.report.Outcomes[i].Address = to[i].Address
		l.rcpts[i] = recipient{outcome: &l.report.Outcomes[i], open: true}
	}
	return l
}

// check reads envelope and content. A fault of the message or its sender
// settles all recipients, a fault of a recipient that one. Nothing has been
// looked up or written by then.
func (l *letter) check(ctx context.Context, env *Envelope, c Content) {
	fault := l.checkMessage(ctx, env, c)
	if fault != nil {
		l.settleOpen(fault.status, fault.attempt())
		return
	}
	for i := range env.To {
		if err := l.rcpts[i].check(&env.To[i], fmt.Sprintf("Envelope.To[%d]", i)); err != nil {
			e := badInput("5.1.3", err.field, err.cause)
			l.rcpts[i].settle(e.status, e.attempt())
		}
	}
}

func (l *letter) checkMessage(ctx context.Context, env *Envelope, c Content) *inputError {
	if err := env.notYet(); err != nil {
		return badInput("5.3.3", "Envelope."+err.field, err.cause)
	}
	var err error
	if l.from, err = reversePath(env.From); err != nil {
		return badInput("5.1.7", "Envelope.From", err)
	}
	if c == nil {
		return badInput("5.6.0", "Content", errNoContent)
	}
	if l.message, err = scan(ctx, c); err != nil {
		return &inputError{status: Deferred, enhanced: "4.3.0", cause: err}
	}
	if l.message.facts.NUL {
		return badInput("5.6.0", "Content", errors.New("it holds a NUL byte, which SMTP cannot carry (RFC 5322, Section 4)"))
	}
	return nil
}

// settleOpen gives all who are still open one verdict.
func (l *letter) settleOpen(status Status, a Attempt) {
	for i := range l.rcpts {
		if l.rcpts[i].open {
			l.rcpts[i].settle(status, a)
			l.rcpts[i].open = false
		}
	}
}

// pair makes each recipient whose path came before a twin of the first: SMTP
// sends one RCPT for both. It gives those who are to be sent.
func (l *letter) pair(protocol Protocol) []*recipient {
	first := make(map[string]*recipient, len(l.rcpts))
	sent := make([]*recipient, 0, len(l.rcpts))
	for i := range l.rcpts {
		r := &l.rcpts[i]
		if !r.open {
			continue
		}
		if twin := first[r.path]; twin != nil && protocol == SMTP {
			r.twin = twin
			continue
		}
		first[r.path] = r
		sent = append(sent, r)
	}
	return sent
}

var errUntried = errors.New("no server could be tried")

// finish completes the report: twins share, and nobody is left without a
// verdict.
func (l *letter) finish() {
	for i := range l.rcpts {
		r := &l.rcpts[i]
		if r.twin != nil {
			r.share()
		} else if !r.tried {
			r.settle(Deferred, Attempt{Stage: StageResolve, Enhanced: "4.3.0", Cause: errUntried})
		}
	}
}

// fieldError names a field within a struct.
type fieldError struct {
	field string
	cause error
}

var errNotYet = errors.New("this version cannot carry it out; leave it zero")

// notYet refuses what is asked for and not built, so that nothing is ignored.
func (env *Envelope) notYet() *fieldError {
	v := reflect.ValueOf(env).Elem()
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Name; name {
		case "From", "To", "NextHops":
		default:
			if !v.Field(i).IsZero() {
				return &fieldError{name, errNotYet}
			}
		}
	}
	return nil
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
	return m.String(), err
}

// check reads one recipient.
func (r *recipient) check(to *Recipient, field string) *fieldError {
	if to.Notify != 0 {
		return &fieldError{field + ".Notify", errNotYet}
	}
	if to.ORCPT != "" {
		return &fieldError{field + ".ORCPT", errNotYet}
	}
	m, err := address.ParseRecipient(to.Address)
	if err != nil {
		return &fieldError{field + ".Address", err}
	}
	r.path, r.domain = m.String(), m.Domain
	return nil
}
