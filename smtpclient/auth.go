package smtpclient

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	sasl "github.com/emersion/go-sasl"
)

// Bounds of an exchange (RFC 4954, Section 4). No mechanism needs as many rounds;
// each has the time of Timeouts.Auth.
const (
	maxAuthLine   = 512   // the command with its CRLF, as any other
	maxAuthAnswer = 12288 // a response with its CRLF
	maxAuthRounds = 20
)

// authentication is AUTH on a session.
type authentication struct {
	s       *Session
	cred    *Credential
	token   string
	offered []string // in upper case
	secrets []string // that no text may have
}

// authenticate shows the credential of the target, if there is one. Only what the
// last EHLO has offered counts (RFC 4954, Section 4). A 534 is followed by a
// stronger mechanism, where there is one; a weaker one is never tried.
func (s *Session) authenticate() (failure *Error) {
	if s.secret.of == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			failure = s.broke(StageAuth, "4.3.0", s.discreetError(panicked(p)))
		}
	}()
	params, ok := s.ext.lookup("AUTH")
	a := &authentication{s: s, offered: mechanismNames(params)}
	a.cred, a.token = s.secret.of()
	s.secret.hide, s.secret.ends = a.hide, a.endsWithin
	defer func() { s.challenge = "" }() // with what was shown it could serve to guess the password
	a.noteSecrets(a.cred.Password, a.token)
	if !ok {
		return a.failed(&AuthError{Failure: AuthNotOffered})
	}
	chosen, err := a.choose(len(builtIns))
	if err != nil {
		return a.failed(err)
	}
	failure = a.exchange(chosen)
	if failure != nil && errors.Is(failure, AuthWeak) && s.err == nil && s.tls != nil && chosen.rank > 0 {
		if stronger, err := a.choose(chosen.rank); err == nil && stronger.rank >= 0 {
			failure = a.exchange(stronger)
		}
	}
	if failure == nil {
		s.at.Login = a.cred.login()
	}
	return failure
}

// mechanismNames reads the parameters of AUTH: names of RFC 4422, Section 3.1.
// What is none could not be sent as one.
func mechanismNames(params string) []string {
	var names []string
	for name := range strings.FieldsSeq(strings.ToUpper(params)) {
		if len(name) <= 20 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" {
			names = append(names, name)
		}
	}
	return names
}

// failed is a failure without a reply. It does not break the session.
func (a *authentication) failed(cause *AuthError) *Error {
	if cause.Err != nil {
		cause.Err = a.s.discreetError(cause.Err)
	}
	return a.s.failure(StageAuth, cause.Failure.enhanced(), cause)
}

// exchange carries a mechanism out:
//
//	C: AUTH mechanism [initial response]
//	S: 334 challenge
//	C: response
//	S: 235 text
func (a *authentication) exchange(m choice) *Error {
	name, held, err := m.client.Start()
	if err == nil && !strings.EqualFold(name, m.name) {
		err = fmt.Errorf("the client of this mechanism calls itself %.40q", name)
	}
	if err != nil {
		return a.failed(&AuthError{Failure: AuthBroken, Mechanism: m.name, Err: err})
	}
	command, initial := "AUTH "+m.name, ""
	if held != nil {
		if initial = encodeInitial(held); len(command)+1+len(initial)+2 <= maxAuthLine {
			held, command = nil, command+" "
		} else {
			initial = "" // goes as a response of its own
		}
	}
	reply, failure := a.say(command, initial)
	for rounds := 1; failure == nil && reply.Code == 334; rounds++ {
		var response []byte
		response, err = a.respond(m.client, &held)
		encoded := base64.StdEncoding.EncodeToString(response)
		switch {
		case err != nil:
		case rounds > maxAuthRounds:
			err = errEndless
		case len(encoded)+2 > maxAuthAnswer:
			err = fmt.Errorf("the response has more than %d bytes (RFC 4954, Section 4)", maxAuthAnswer)
		}
		if err != nil {
			return a.cancel(m, err)
		}
		reply, failure = a.say("", encoded)
	}
	if failure != nil {
		return failure
	}
	return a.finish(m, reply, held == nil)
}

// encodeInitial writes an initial response; an empty one is "=" (RFC 4954,
// Section 4).
func encodeInitial(response []byte) string {
	if len(response) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(response)
}

var errEarlyChallenge = errors.New("the server sent a challenge where it had to wait for the first response")

var errEndless = fmt.Errorf("no end after %d rounds", maxAuthRounds)

// respond answers the challenge that came last. An initial response that was held
// back answers an empty one.
func (a *authentication) respond(client sasl.Client, held *[]byte) ([]byte, error) {
	challenge, err := base64.StdEncoding.Strict().DecodeString(a.s.challenge)
	if err != nil {
		return nil, errors.New("the challenge is not base64 (RFC 4648, Section 4)")
	}
	if *held == nil {
		response, err := client.Next(challenge)
		a.noteMade(client)
		return response, err
	}
	if len(challenge) > 0 {
		return nil, errEarlyChallenge
	}
	response := *held
	*held = nil
	return response, nil
}

// say writes a line, whose end is secret, and reads the reply. Neither the trace
// nor an error gets to know the secret.
func (a *authentication) say(line, secret string) (Reply, *Error) {
	s := a.s
	a.noteSecrets(secret)
	s.out = append(append(append(s.out, line...), secret...), '\r', '\n')
	if secret != "" && secret != "=" && secret != "*" {
		secret = "***"
	}
	s.line("C: ", line+secret)
	failure := s.flush(StageAuth)
	clear(s.out[:cap(s.out)])
	if failure != nil {
		return Reply{}, failure
	}
	return s.reply(StageAuth)
}

// cancel ends an exchange that has gone wrong (RFC 4954, Section 4: the server
// answers 501), and gives the reason.
func (a *authentication) cancel(m choice, why error) *Error {
	e := a.failed(&AuthError{Failure: AuthBroken, Mechanism: m.name, Detail: a.detail(m), Err: why})
	if why == errEndless {
		e.Enhanced = "4.3.0"
	}
	if reply, failure := a.say("", "*"); failure == nil && !negative(reply) {
		a.s.end(e)
	}
	return e
}

// finish judges the last reply. The session is not believed where success is
// claimed too early, or without the proof that the mechanism asks for.
func (a *authentication) finish(m choice, reply Reply, said bool) *Error {
	s := a.s
	switch {
	case reply.Code == 235:
		err := unproven(m.client, said)
		if err == nil {
			return nil
		}
		e := a.failed(&AuthError{Failure: AuthUnproven, Mechanism: m.name, Detail: a.detail(m), Err: err})
		e.Reply = reply
		s.end(e)
		return e
	case !negative(reply):
		return s.misplaced(StageAuth, reply)
	}
	cause := &AuthError{Failure: authFailureOf(reply), Mechanism: m.name, Detail: a.detail(m)}
	e := s.refused(StageAuth, reply)
	e.Cause = cause
	if reply.Enhanced == "" {
		e.Enhanced = cause.Failure.enhanced()
	}
	if s.err != nil { // 421
		s.err = e
	}
	return e
}

// unproven is why success cannot be believed. A mechanism that can tell has a
// method Done.
func unproven(client sasl.Client, said bool) error {
	if !said {
		return errors.New("nothing was shown yet")
	}
	if c, ok := client.(interface{ Done() error }); ok {
		return c.Done()
	}
	return nil
}

// detail is what the mechanism heard of a failure.
func (a *authentication) detail(m choice) string {
	c, ok := m.client.(interface{ Detail() string })
	if !ok {
		return ""
	}
	return a.s.discreet(c.Detail())
}
