// Package mechanism has the client's side of SASL mechanisms, as sasl.Client: what
// go-sasl lacks, or does otherwise than servers need. It knows nothing of SMTP.
//
// A client of this package that can tell more has some of three further methods:
//
//	Done() error     asked when the server claims success: nil if it may be believed
//	Detail() string  what the server said about a failure within the exchange
//	Made() string    what its last response has that was made of the password, or ""
//
// No error of this package holds a password, a token or a response.
package mechanism

import "errors"

// Errors of an exchange.
var (
	errChallenge  = errors.New("the server sent a challenge that the mechanism has no place for")
	errUnfinished = errors.New("the server claims success before the mechanism has come to its end")
)

// refusal is what a server says about a failure within the exchange, before its
// final reply.
type refusal struct {
	detail string
	told   bool
}

// tell notes the server's words; the final reply has to come next.
func (r *refusal) tell(challenge []byte) error {
	if r.told {
		return errChallenge
	}
	r.told, r.detail = true, string(challenge[:min(len(challenge), 1<<10)])
	return nil
}

// Detail implements the further method of this package.
func (r *refusal) Detail() string { return r.detail }

// Done refuses a success after the server has told a failure.
func (r *refusal) Done() error {
	if r.told {
		return errors.New("the server claims success after it has told a failure")
	}
	return nil
}
