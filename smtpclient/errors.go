package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// Error is the error of every call in this package. It reads
//
//	smtp mx1.example.net rcpt: 550 5.1.1 no such user
type Error struct {
	Status Status // Deferred, Failed or Unknown
	Attempt
	Others int // further recipients that were not delivered
}

// Error says where and why, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("smtp ")
	if at := e.Host; at != "" || e.Addr != "" {
		if at == "" {
			at = e.Addr
		}
		b.WriteString(at)
		b.WriteByte(' ')
	}
	b.WriteString(e.Stage.String())
	b.WriteString(": ")
	switch {
	case e.Cause != nil && e.Reply.Code != 0:
		fmt.Fprintf(&b, "%v: %v", e.Cause, e.Reply)
	case e.Cause != nil:
		b.WriteString(e.Cause.Error())
	default:
		b.WriteString(e.Reply.String())
	}
	if e.Others > 0 {
		fmt.Fprintf(&b, " (and %d more)", e.Others)
	}
	return b.String()
}

// Unwrap gives Cause, which is nil if a reply decided.
func (e *Error) Unwrap() error { return e.Cause }

// Temporary is true for Deferred and for Unknown: RFC 5321, Section 3.8 has a
// client act as after a 4yz reply when the connection is lost. A queue that
// tries an Unknown again may deliver twice.
func (e *Error) Temporary() bool { return e.Status != Failed }

// Timeout is true if the cause was a deadline: a stage's, the transaction's or
// that of ctx.
func (e *Error) Timeout() bool {
	var ne net.Error
	return errors.Is(e.Cause, os.ErrDeadlineExceeded) || errors.Is(e.Cause, context.DeadlineExceeded) ||
		errors.As(e.Cause, &ne) && ne.Timeout()
}
