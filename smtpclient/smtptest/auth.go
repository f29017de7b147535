package smtptest

import (
	"encoding/base64"
	"strings"
)

// auth is AUTH (RFC 4954) with PLAIN (RFC 4616) and LOGIN. A Script can carry on
// any other mechanism: as long as it answers 334, it is asked about the
// client's next line.
func (s *session) auth(c Command) error {
	mechanism, initial, _ := strings.Cut(c.Args, " ")
	a := &exchange{mechanism: strings.ToUpper(mechanism), passwords: s.server.Passwords}
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
		usual = a.next(line)
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

// exchange is the server's part in PLAIN or LOGIN.
type exchange struct {
	mechanism string
	passwords map[string]string
	user      string
	asked     int // challenges so far
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
	a.asked++
	if a.mechanism == "LOGIN" {
		return "334 " + base64.StdEncoding.EncodeToString([]byte("Username:"))
	}
	return "334 "
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
	switch {
	case a.mechanism == "PLAIN":
		parts := strings.Split(string(response), "\x00")
		if len(parts) != 3 {
			return authBroken
		}
		a.user = parts[1]
		return a.check(parts[2])
	case a.mechanism != "LOGIN":
		return authBroken
	case a.user == "":
		a.user = string(response)
		return "334 " + base64.StdEncoding.EncodeToString([]byte("Password:"))
	}
	return a.check(string(response))
}

func (a *exchange) check(password string) string {
	want, ok := a.passwords[a.user]
	if !ok || want != password {
		return authRefused
	}
	return authAccepted
}
