package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Noop sends NOOP. The error is nil if the reply is positive; else it is an
// *Error that holds the reply.
func (s *Session) Noop(ctx context.Context) (Reply, error) {
	return s.simple(ctx, request{verb: "NOOP"})
}

// Rset sends RSET, as Noop sends NOOP. Send does so by itself where it is
// needed.
func (s *Session) Rset(ctx context.Context) (Reply, error) {
	return s.simple(ctx, request{verb: "RSET", done: func() *Error {
		s.dirty = false
		return nil
	}})
}

// Help sends HELP, with a topic unless that is "". The reply is 211 or 214;
// refusals are 502, 504 where the topic is not known, and 500 (RFC 5321,
// Section 4.3.2).
func (s *Session) Help(ctx context.Context, topic string) (Reply, error) {
	return s.simple(ctx, request{verb: "HELP", arg: topic, good: []int{211, 214}})
}

// Vrfy asks whether a mailbox exists (RFC 5321, Section 3.5.3). It need not be
// offered. The reply is
//
//	250  yes: its lines hold the full mailbox
//	251  not here, but mail for it would be forwarded
//	252  perhaps: the server does not tell, and would take mail for it
//
// and refusals are
//
//	550  no such mailbox
//	551  not here, and mail for it would be refused; the text says where it is
//	553  ambiguous: the lines may hold the possibilities
//	500, 502, 504  the server does not do this
func (s *Session) Vrfy(ctx context.Context, mailbox string) (Reply, error) {
	return s.simple(ctx, request{verb: "VRFY", arg: mailbox, needsArg: true})
}

// Expn asks for the members of a list (RFC 5321, Section 3.5). The reply is 250
// with a mailbox in each line, or 252 where the server does not tell. Refusals are
// 550, no such list, and 500, 502 or 504, the server does not do this.
func (s *Session) Expn(ctx context.Context, list string) (Reply, error) {
	return s.simple(ctx, request{verb: "EXPN", arg: list, needsArg: true})
}

// Etrn asks the server to send what it has for us (RFC 1985): for a domain, as
// "example.org", for it and its subdomains, as "@example.org", or for a queue, as
// "#name". Where ETRN is not offered it fails, and nothing is sent. The reply may
// take half an hour. It is
//
//	250  the queue runs
//	251  nothing is waiting
//	252  what is waiting is being sent
//	253  the same, and the text says how much it is
//
// and refusals are
//
//	458  the queue cannot be run now
//	459  this is not allowed to us; the text says why
//	452, 500, 501, 552  trouble, or a name that the server does not take
func (s *Session) Etrn(ctx context.Context, queue string) (Reply, error) {
	if _, offered := s.ext.lookup("ETRN"); !offered {
		return Reply{}, errNoETRN()
	}
	return s.simple(ctx, request{verb: "ETRN", arg: queue, needsArg: true, patience: etrnTime})
}

// Xclient tells the server on whose behalf we speak: Postfix's XCLIENT, for
// servers that trust us. Only what the server knows is sent. After it the session
// begins anew with the server's greeting and EHLO.
func (s *Session) Xclient(ctx context.Context, c ClientInfo) (Reply, error) {
	if err := c.check(); err != nil {
		return Reply{}, badCommand("XCLIENT", err)
	}
	known, _ := s.ext.lookup("XCLIENT")
	arg := ""
	for _, line := range c.attributes("", known) {
		arg += strings.TrimPrefix(line, " ") + " "
	}
	return s.simple(ctx, request{verb: "XCLIENT", arg: strings.TrimSpace(arg), needsArg: true, good: []int{220}, done: s.sayHello})
}

// request is a command outside of a transaction.
type request struct {
	verb, arg string
	needsArg  bool
	good      []int         // codes that say yes; nil: any that positive takes
	done      func() *Error // after a positive reply
	patience  time.Duration // the least time for the reply; zero: Timeouts.Command
}

func (s *Session) simple(ctx context.Context, q request) (reply Reply, err error) {
	defer s.contain(&err)
	if err := q.check(); err != nil {
		return Reply{}, badCommand(q.verb, err)
	}
	failure := s.enter(ctx)
	if failure != nil {
		return Reply{}, failure
	}
	defer s.leave()
	defer s.wait(q.patience)()
	line := q.verb
	if q.arg != "" {
		line += " " + q.arg
	}
	reply, failure = s.ask(StageCommand, line)
	switch {
	case failure != nil:
		return Reply{}, failure
	case !q.accepts(reply):
		return reply, s.judge(StageCommand, reply)
	}
	if q.done != nil {
		if failure := q.done(); failure != nil {
			return reply, failure
		}
	}
	return reply, nil
}

func (q *request) accepts(reply Reply) bool {
	for _, code := range q.good {
		if reply.Code == code {
			return true
		}
	}
	return q.good == nil && positive(reply)
}

// check refuses what cannot be an argument, before anything is sent.
func (q *request) check() error {
	switch {
	case q.needsArg && strings.TrimSpace(q.arg) == "":
		return errors.New("the argument is missing, or the server knows nothing of it")
	case len(q.arg) > 500 || !utf8.ValidString(q.arg) || strings.ContainsFunc(q.arg, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fmt.Errorf("the argument %.40q holds a control character, or more than 500 bytes", q.arg)
	}
	return nil
}

func badCommand(verb string, err error) *Error {
	return &Error{Status: Failed, Attempt: Attempt{Stage: StageInput, Enhanced: "5.5.4", Cause: fmt.Errorf("%s: %w", verb, err)}}
}
