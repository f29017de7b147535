package smtpclient

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// Envelope says from whom, to whom and how. Only From and To are needed; zero
// elsewhere asks for nothing.
//
// This version carries out From, To and NextHops. A field that is documented as
// not there yet must be zero: otherwise the message is refused as input and
// nothing of it is sent.
type Envelope struct {
	From     string      // reverse path, as "ann@example.org"; "<>" for notices; "" is a fault
	To       []Recipient // at least one
	NextHops []string    // instead of Client.NextHops; a Session ignores it

	Header    string                // not there yet: header lines put before the content
	Body      Body                  // not there yet, but BodyAuto
	UTF8      bool                  // not there yet: SMTPUTF8
	EnvID     string                // not there yet: ENVID
	Return    Return                // not there yet: RET
	TLS       tlspolicy.Requirement // not there yet: REQUIRETLS, TLS-Required
	Priority  int                   // not there yet: MT-PRIORITY
	By        DeliverBy             // not there yet: DELIVERBY
	HoldFor   time.Duration         // not there yet: FUTURERELEASE
	HoldUntil time.Time             // not there yet: FUTURERELEASE
	Auth      string                // not there yet: AUTH=
	XForward  *ClientInfo           // not there yet: XFORWARD
	Arrival   time.Time             // not there yet
	Verify    bool                  // not there yet: ask only
}

// Recipient is one forward path. The same address twice is two recipients with
// two outcomes.
type Recipient struct {
	Address string // as "bob@example.net"; a quoted local part as in RFC 5321, "postmaster" may stand alone
	Notify  Notify // not there yet: NOTIFY
	ORCPT   string // not there yet: ORCPT
}

// Body says how the content is coded.
type Body uint8

// BodyAuto takes what the scan of the content finds. The others are not there
// yet.
const (
	BodyAuto Body = iota
	Body7Bit
	Body8Bit
	BodyBinary
)

// Return says how much of the message a notice gives back (RFC 3461, RET).
type Return uint8

// The values of RET.
const (
	ReturnUnset Return = iota
	ReturnFull
	ReturnHeaders
)

// Notify is a set of the events the sender wants to hear of (RFC 3461, NOTIFY).
// Zero leaves it to the server.
type Notify uint8

// The values of NOTIFY. NotifyNever stands alone.
const (
	NotifySuccess Notify = 1 << iota
	NotifyFailure
	NotifyDelay
	NotifyNever
)

// DeliverBy is the wish for delivery within a time (RFC 2852).
type DeliverBy struct {
	Within        time.Duration
	Return, Trace bool
}

// ClientInfo is what XFORWARD tells of an original client.
type ClientInfo struct {
	Name, Helo, Proto, Login, Ident, Source string
	Addr, DestAddr                          netip.AddrPort
}
