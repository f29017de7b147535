package smtpclient

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Limits bound what one call of Client.Deliver tries, and how much of it at the
// same time. Zero is the default in brackets; a negative number is no limit.
type Limits struct {
	// Addresses is how many are dialled for each next hop (5, Postfix's
	// smtp_mx_address_limit). A second connection to an address because of a
	// failed handshake does not count.
	Addresses int
	// Sessions is how many reach MAIL for each next hop (2, Postfix's
	// smtp_mx_session_limit). One that breaks before does not count.
	Sessions int
	// Recipients is how many go in one transaction. The others follow in another
	// on the same session. Zero: as many as the server says (RFC 9422, RCPTMAX),
	// else 50, Postfix's smtp_destination_recipient_limit; but 1 for notices,
	// whose sender is "<>", since some servers refuse those to several. What the
	// server says is never exceeded.
	Recipients int
	// Destinations is how many of the recipients' domains are delivered to at the
	// same time (10). Each has one connection at a time. With 1 they come one
	// after another, in the order of Envelope.To.
	Destinations int
	// Stagger is how long the first address of a host is waited for before the
	// next one of the same host is dialled beside it; the first connection that
	// comes about is used, and the others are closed without a word. Zero or
	// negative: one address after another.
	Stagger time.Duration
	// Call is the time for the whole call, beside the deadline of ctx. Who is not
	// decided by then is Deferred, or Unknown. Zero or negative: only ctx counts.
	Call time.Duration
	// Final says where a 5yz reply fails the recipients. Zero: nowhere before
	// MAIL, since it says nothing about the message.
	Final Final
}

// resolved puts the defaults in.
func (l Limits) resolved() Limits {
	if l.Addresses == 0 {
		l.Addresses = 5
	}
	if l.Sessions == 0 {
		l.Sessions = 2
	}
	if l.Destinations == 0 {
		l.Destinations = 10
	}
	return l
}

// Final is a set of stages before MAIL. A 5yz reply there fails the recipients at
// once, and no other host is asked. Without it the next host is tried, and at the
// end the recipients are deferred.
type Final uint8

// The stages of Final.
const (
	FinalGreeting Final = 1 << iota // Postfix's smtp_skip_5xx_greeting = no
	FinalHello                      // HELO after EHLO, or LHLO
	FinalStartTLS                   // where the policy requires TLS
	FinalAuth                       // Postfix's smtp_sasl_auth_soft_bounce = no
)

// decides tells that err is a refusal for good.
func (f Final) decides(err *Error) bool {
	stages := map[Stage]Final{StageGreeting: FinalGreeting, StageHello: FinalHello, StageStartTLS: FinalStartTLS, StageAuth: FinalAuth}
	return err.Reply.Code >= 500 && (err.Cause == nil || err.Stage == StageAuth) && f&stages[err.Stage] != 0
}

// usualRecipients is how many go in a transaction where nobody says otherwise.
const usualRecipients = 50

// perTransaction is how many recipients go in one transaction on s.
func (s *Session) perTransaction(l *letter) int {
	most, server := l.most, s.ext.rcptMax
	switch {
	case l.env.Verify != VerifyNo || l.env.Stamps.single():
		return 1
	case most < 0:
		most = math.MaxInt
	case most > 0:
	case l.from == "" && s.kind.protocol == SMTP:
		// ZMailer's smtpserver counts the recipients of a notice, and refuses DATA
		// for all of them if there are too many.
		most = 1
	case server > 0:
		return server
	default:
		most = usualRecipients
	}
	if server > 0 {
		most = min(most, server)
	}
	return most
}

// errCallTime ends a call that has used up Limits.Call.
var errCallTime = fmt.Errorf("the time for the whole call (Limits.Call) is used up: %w", context.DeadlineExceeded)

// within gives ctx the time for the whole call.
func (l Limits) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.Call <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, l.Call, errCallTime)
}
