package smtpclient

import (
	"errors"
	"time"
)

// errNoETRN is the error of Etrn where it is not offered (RFC 1985, Section 2).
func errNoETRN() *Error {
	return &Error{Status: Failed, Attempt: Attempt{Stage: StageCommand, Enhanced: "5.5.1", Cause: errors.New("the server does not offer ETRN")}}
}

// etrnTime is how long the reply to ETRN may take: a ZMailer with etrn-cluster
// asks each of its nodes before the last line, and writes one line for each.
const etrnTime = 30 * time.Minute

// wait gives commands at least the time d for their replies, where there is a
// limit, until the function that it returns is called.
func (s *Session) wait(d time.Duration) (restore func()) {
	if usual := s.limit(StageCommand); usual > 0 {
		s.patience = max(usual, d)
	}
	return func() { s.patience = 0 }
}
