package smtpclient

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// Envelope says from whom, to whom and how. Only From and To are needed; zero
// elsewhere asks for nothing.
//
// What a server does not offer is either needed, and then it does not get the
// message: each host is tried, and at the end the recipients fail; or it is
// advice, and then it is left out and named in Attempt.Notes. Each field says
// which.
type Envelope struct {
	From     string      // reverse path, as "ann@example.org"; "<>" for notices; "" is a fault
	To       []Recipient // at least one
	NextHops []string    // instead of Client.NextHops; a Session ignores it

	// Body says how the content is coded. BodyAuto is what the scan finds. 8BITMIME
	// is needed for 8-bit content, else it is converted; see ContentRules.
	// BINARYMIME and CHUNKING are needed for BodyBinary (5.6.3).
	Body Body
	// UTF8 asks for SMTPUTF8 (RFC 6531) also if neither an address nor the header
	// needs it. Needed (5.6.7): for all if the sender or the header needs it, or
	// if it is asked for here; else for those recipients whose address does.
	UTF8 bool
	// EnvID is ENVID, and Return is RET (RFC 3461). Advice.
	EnvID  string
	Return Return
	// Priority is MT-PRIORITY (RFC 6710), from -9 to 9. Advice.
	Priority int
	// By is BY (RFC 2852). Needed if By.Return, else advice.
	By DeliverBy
	// HoldFor and HoldUntil are HOLDFOR and HOLDUNTIL (RFC 4865), in whole
	// seconds; not both. Needed (5.3.3). Tried only with smtptest, as no real
	// server at hand offers it.
	HoldFor   time.Duration
	HoldUntil time.Time
	// Auth is AUTH= of MAIL (RFC 4954): who gave us the message, or "<>". Advice.
	Auth string
	// XForward is sent as XFORWARD before MAIL, as far as the server knows its
	// attributes. Advice.
	XForward *ClientInfo
	// Arrival is when the message came to the caller: By counts from there, and
	// Quirks.PIXAge. Zero: now.
	Arrival time.Time
	// Verify only asks whether the server would take the message for each
	// recipient, in a transaction of its own. Delivered then means that it would.
	// The content may be nil.
	Verify Verify

	// TLS is what the sender asks of every channel on the way. EveryHop is
	// REQUIRETLS (RFC 8689). Needed, but for notices: a server that was found by
	// DNS without proof, or is not verified, or has no TLS (5.7.10), or that does not
	// offer REQUIRETLS inside TLS (5.7.30), does not get the message. A Client then
	// verifies as at tlspolicy.Verify where its policy asks for less. NotRequired
	// is TLS-Required: No: the message gets that header field, if it has none, and
	// Client.TLS is told.
	TLS tlspolicy.Requirement

	// Header is whole header lines that go before the content: one content that
	// was scanned once serves many deliveries, each with lines of its own. Every
	// line ends in CRLF or LF, the last one too, and has at most 998 bytes; there is
	// no empty line. A fault is one of the message (5.6.0).
	Header string
	// Stamps are header lines that are made for each delivery, in front of Header.
	// Zero: none.
	Stamps Stamps
}

// Recipient is one forward path. The same address twice is two recipients with
// two outcomes.
type Recipient struct {
	Address string // as "bob@example.net"; a quoted local part as in RFC 5321; "postmaster" may stand alone
	// Notify is NOTIFY, and ORCPT the original recipient as "type;address", as
	// "rfc822;bob@example.net" or "utf-8;bob@example.net" (RFC 3461, RFC 6533).
	// Advice.
	Notify Notify
	ORCPT  string
	// Since is RRVS (RFC 7293): the mailbox must have belonged to the same owner
	// since then. Needed: a mailbox of somebody else must not get the message
	// (5.7.19).
	Since time.Time
}

// To gives the recipients with these addresses, for Envelope.To where no recipient
// needs more than that.
func To(addresses ...string) []Recipient {
	to := make([]Recipient, len(addresses))
	for i, a := range addresses {
		to[i].Address = a
	}
	return to
}

// Body says how a content is coded.
type Body uint8

// The codings of a content.
const (
	BodyAuto   Body = iota // 8-bit if the scan finds it
	Body7Bit               // declared as such; 8-bit content is a fault
	Body8Bit               // declared as such where 8BITMIME is offered, whatever the scan finds
	BodyBinary             // sent byte by byte as it is, line ends, NUL and all (RFC 3030)
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

// DeliverBy is the wish for delivery within a time, counted from
// Envelope.Arrival (RFC 2852). Zero: no such wish.
type DeliverBy struct {
	Within time.Duration // in whole seconds
	// Return: after that time the message is of no use. It then fails (5.4.7), also
	// here, and it goes only to servers that offer DELIVERBY for a time as short.
	// Else the sender is only to be told that it is late.
	Return bool
	Trace  bool // the sender wants to hear of each relay
}

// ClientInfo is what XFORWARD and XCLIENT tell of an original client. Empty
// fields are not sent.
type ClientInfo struct {
	Name, Helo, Proto, Login, Ident, Source string
	Addr, DestAddr                          netip.AddrPort
}

// Verify says how to ask whether a server would take a message.
type Verify uint8

// The ways to ask. VerifyRcpt ends the transaction after the reply to RCPT;
// VerifyData also wants a 354 to DATA, and closes the connection then.
const (
	VerifyNo Verify = iota
	VerifyRcpt
	VerifyData
)
