package smtptest

import (
	"cmp"
	"encoding/base64"
	"strings"
)

// auth is AUTH (RFC 4954). A Script can carry on any mechanism that is not in
// mechanisms.go: as long as it answers 334, it is asked about the client's next
// line.
func (s *session) auth(c Command) error {
	name, initial, _ := strings.Cut(c.Args, " ")
	a := &exchange{mechanism: strings.ToUpper(name), passwords: s.server.Passwords, tls: s.tlsState, prompts: s.profile.Prompts}
	usual := s.checkAuth(c, a.mechanism)
	if usual == "" {
		usual = a.start(initial)
	}
	for {
		if usual == authRefused {
			usual = s.wrongPassword()
		}
		d := s.decide(c, usual)
		if d.is("2") {
			s.login = a.user
		}
		if limit := s.profile.Limits.AuthFailures; limit > 0 && s.failures >= limit {
			d.Fault = DropAfter
		}
		if err := s.reply(d, s.waitsFor(c)); err != nil || !d.is("3") {
			return err
		}
		line, err := s.readCommand()
		if err != nil {
			return err
		}
		c = Command{Verb: AuthResponse, Args: line}
		if usual = s.checkLine(c, line); usual == "" {
			usual = a.next(line)
		}
	}
}

// wrongPassword counts a login that failed, and is the reply to it.
func (s *session) wrongPassword() string {
	s.failures++
	if reply, ok := s.profile.Replies[BadPassword]; ok {
		return reply
	}
	return authRefused
}

func (s *session) checkAuth(c Command, mechanism string) string {
	switch {
	case s.profile.AuthNeedsTLS && s.tlsState == nil:
		return s.fault(c, AuthWithoutTLS, "AUTH without TLS")
	case !s.offered.has("AUTH"):
		return s.fault(c, AuthNotOffered, "AUTH was not offered")
	case !s.offered.hasParam("AUTH", mechanism):
		return s.fault(c, BadMechanism, "mechanism was not offered")
	case s.login != "":
		return s.fault(c, SecondAuth, "second AUTH")
	case s.tx != nil:
		return s.fault(c, AuthInMail, "AUTH in a transaction")
	}
	return ""
}

const (
	authAccepted = "235 2.7.0 welcome"
	authRefused  = "535 5.7.8 wrong user name or password"
	authBroken   = "501 5.5.2 bad response"
)

// start is the reply to AUTH with an initial response, "" if there is none.
func (a *exchange) start(initial string) string {
	if initial != "" {
		return a.next(initial)
	}
	switch a.mechanism {
	case "LOGIN":
		return challenge(cmp.Or(a.prompts[0], "Username:"))
	case "CRAM-MD5":
		a.sent = "<1896.697170952@mx.example.net>"
		return challenge(a.sent)
	}
	return challenge("")
}

// challenge is a reply that asks for more.
func challenge(text string) string {
	return "334 " + base64.StdEncoding.EncodeToString([]byte(text))
}

// next is the reply to a response.
func (a *exchange) next(line string) string {
	if line == "*" {
		return "501 5.7.0 cancelled"
	}
	if line == "=" {
		line = ""
	}
	response, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return authBroken
	}
	take, ok := mechanisms[a.mechanism]
	if !ok {
		return authBroken
	}
	return take(a, string(response))
}
