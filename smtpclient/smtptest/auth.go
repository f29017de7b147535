package smtptest

import (
	"encoding/base64"
	"strings"
)

// auth is AUTH (RFC 4954). A Script can carry on any mechanism that is not in
// mechanisms.go: as long as it answers 334, it is asked about the client's next
// line.
func (s *session) auth(c Command) error {
	name, initial, _ := strings.Cut(c.Args, " ")
	a := &exchange{mechanism: strings.ToUpper(name), passwords: s.server.Passwords, tls: s.tlsState}
	usual := s.checkAuth(c, a.mechanism)
	if usual == "" {
		usual = a.start(initial)
	}
	for {
		d := s.decide(c, usual)
		if d.is("2") {
			s.login = a.user
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

func (s *session) checkAuth(c Command, mechanism string) string {
	switch {
	case !s.offered.has("AUTH"):
		return s.fault(c, "502", "5.5.1", "AUTH was not offered")
	case !s.offered.hasParam("AUTH", mechanism):
		return s.fault(c, "504", "5.5.4", "mechanism was not offered")
	case s.login != "":
		return s.fault(c, "503", "5.5.1", "second AUTH")
	case s.tx != nil:
		return s.fault(c, "503", "5.5.1", "AUTH in a transaction")
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
		return challenge("Username:")
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
