package resolve

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/miekg/dns"
)

// Error is the error of DNS, System and Filter. It is always temporary: nothing is known
// about the records.
type Error struct {
	Question Question
	Server   string // "host:port", with tcp:// or tls:// where it is so; "" if none is to blame
	Kind     ErrorKind
	Err      error // what lies behind it; nil if the answer says it all
}

// ErrorKind says what went wrong with a server. Zero is Other.
type ErrorKind uint8

// The kinds of Error.
const (
	Other     ErrorKind = iota // no connection, no server to ask, ctx was cancelled; see Err
	ServFail                   // the server could not find out
	Refused                    // the server does not answer us
	Timeout                    // there was no answer in time
	Bogus                      // DNSSEC validation failed: extended errors 6 to 10 of RFC 8914
	Malformed                  // what came is no DNS message, or no answer
	Filtered                   // a Filter left out every record
)

var advice = [...]string{
	Other:     "could not be asked; check that it answers DNS queries by UDP and TCP",
	ServFail:  "could not find out (SERVFAIL); the name servers of the domain may be down, or its DNSSEC signatures wrong",
	Refused:   "refused; check that it does recursion for this machine",
	Timeout:   "did not answer in time; check that it is up, and that no firewall drops UDP or TCP",
	Bogus:     "found the DNSSEC signatures of the domain to be wrong; only the domain can mend them",
	Filtered:  "sent only records that a Filter leaves out",
	Malformed: "sent no valid DNS message; check that it is a name server",
}

// Error tells which server failed, and what to check.
func (e *Error) Error() string {
	text := fmt.Sprintf("DNS lookup of %s %v: ", quote(e.Question.Name), e.Question.Type)
	if e.Server == "" {
		return text + fmt.Sprint(e.Err)
	}
	text += "server " + e.Server + " "
	if int(e.Kind) < len(advice) {
		text += advice[e.Kind]
	}
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

// Unwrap gives Err: the error of ctx if that ended the lookup.
func (e *Error) Unwrap() error { return e.Err }

// Timeout is true if no answer came in time, or ctx had a deadline.
func (e *Error) Timeout() bool { return e.Kind == Timeout }

// Temporary is true: see Resolver, rule 4. With Timeout it makes a net.Error.
func (e *Error) Temporary() bool { return true }

// failure is for an exchange that brought no message.
func (x *exchange) failure(server nameServer, err error) *Error {
	e := &Error{Question: x.question, Server: server.text, Err: err}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Kind = Timeout
	case errors.Is(err, errForeign), errors.Is(err, errTruncated), errors.Is(err, errMalformed), errors.Is(err, io.ErrUnexpectedEOF):
		e.Kind = Malformed
	}
	return e
}

// refusal is the error in a message that tells nothing about the records; nil if
// it does tell.
func (x *exchange) refusal(msg *dns.Msg) *Error {
	switch msg.Rcode {
	case dns.RcodeNameError:
		return nil
	case dns.RcodeSuccess:
		if isReferral(msg) {
			return &Error{Kind: Refused, Err: errors.New("it only refers to other servers")}
		}
		return nil
	case dns.RcodeServerFailure:
		return servFail(msg)
	case dns.RcodeRefused:
		return &Error{Kind: Refused}
	}
	code, known := dns.RcodeToString[msg.Rcode]
	if !known {
		code = fmt.Sprint("RCODE ", msg.Rcode)
	}
	return &Error{Kind: Other, Err: errors.New(code)}
}

// isReferral tells the empty answer of a server without recursion from that
// about a name without records, which would let mail bounce.
func isReferral(msg *dns.Msg) bool {
	return len(msg.Answer) == 0 && !msg.Authoritative && !msg.RecursionAvailable && findSOA(msg.Ns) == nil
}

// servFail reads the extended error of RFC 8914 where the server gives one.
func servFail(msg *dns.Msg) *Error {
	e := &Error{Kind: ServFail}
	opt := msg.IsEdns0()
	if opt == nil {
		return e
	}
	for _, o := range opt.Option {
		ede, ok := o.(*dns.EDNS0_EDE)
		if !ok {
			continue
		}
		e.Err = fmt.Errorf("extended error %d %s", ede.InfoCode, quote(ede.ExtraText))
		if ede.InfoCode >= dns.ExtendedErrorCodeDNSBogus && ede.InfoCode <= dns.ExtendedErrorCodeRRSIGsMissing {
			e.Kind = Bogus
			return e
		}
	}
	return e
}
