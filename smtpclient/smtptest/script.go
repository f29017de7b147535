package smtptest

import (
	"bytes"
	"net"
	"strings"
	"time"
)

// Mode is the protocol that a Server speaks.
type Mode uint8

// The protocols.
const (
	SMTP Mode = iota // RFC 5321
	LMTP             // RFC 2033
)

// The pseudo verbs of a Command. Real verbs are in upper case, so no client can
// send one of these.
const (
	// Connect comes before the greeting, which is the reply to it.
	Connect = "Connect"
	// AuthResponse is a line that the client sends after a reply 334 to AUTH.
	// Args is the line, still in base64.
	AuthResponse = "AuthResponse"
	// EndOfData comes when a whole message was read: after CRLF.CRLF or the
	// last chunk, for which then no BDAT comes. Message is set. In LMTP it
	// comes once for each accepted recipient, who is in Args.
	EndOfData = "EndOfData"
)

// Command is what a Script is asked about.
type Command struct {
	Session int      // 0 for the first connection
	Verb    string   // in upper case, as "RCPT"; or Connect, AuthResponse, EndOfData
	Args    string   // what follows the verb and one space, as "TO:<bob@example.net>"
	TLS     bool     // the channel is encrypted
	Message *Message // at EndOfData; nil elsewhere
	Remote  net.Addr // of the client
}

// Action is what the server does about a Command. The zero Action is the usual
// reply.
type Action struct {
	// Reply is what is answered instead of the usual: a line, or several with
	// "\n" between them, as "550-5.1.1 no\n550 5.1.1 such user". A reply that
	// begins with 4 or 5 refuses the command; 421 and 521 also end the session. One
	// that begins with 2 or 3 lets the command have its effect, so that "251
	// ok" accepts a recipient; DATA goes on only after 3, and STARTTLS only
	// after 220.
	Reply string
	// Raw is written instead of Reply, as it is, if it is not nil: garbage,
	// half a reply, several replies, or nothing. It counts as a Reply if it
	// begins with a digit from 2 to 5, else as the usual one.
	Raw []byte
	// Delay is how long the server waits before it replies, or, with Drip,
	// before each byte, and with Trickle before each line.
	Delay time.Duration
	// After is how long the server does nothing behind its reply.
	After time.Duration
	// Fault is what goes wrong. Zero: nothing.
	Fault Fault
}

// Fault is something that goes wrong in place of a reply, or with it. At
// EndOfData the message has been stored before.
type Fault uint8

// The faults.
const (
	None       Fault = iota
	Drop             // the connection is closed, with no reply
	Reset            // the connection is reset, with no reply
	Stall            // no reply, and nothing is read any more, until Close or (in memory) until the client closes
	Drip             // the reply comes one byte every Delay (zero: every second)
	Garbage          // a line that is no reply comes in place of the reply
	Twice            // the reply comes twice
	DropAfter        // the reply comes, then the connection is closed
	ResetAfter       // the reply comes, then the connection is reset
	Trickle          // the reply comes one line every Delay (zero: every second)

	Lines        // the reply has two lines more, one of them without a text
	Huge         // the reply has more than a MiB
	Unterminated // the reply has no last line: behind its last code is a hyphen
	EmptyLine    // an empty line comes before the reply
	BareLF       // lines end in LF
	MixedCodes   // a line with another code comes first
	EightBit     // the text has octets over 127
	NUL          // the text has a NUL

	// At STARTTLS, behind the reply:
	BreakTLS  // the connection is reset when the handshake has begun
	IgnoreTLS // the server goes on in plaintext
)

// garbage is the line of Garbage: it has no code, and no digit where one would
// be looked for.
const garbage = "?SYNTAX ERROR IN 10"

// decision is an Action with the usual filled in.
type decision struct {
	Action
	text   string // the reply, lines separated by "\n"; "" if there is none
	effect string // class and code that count: "2..."
}

// decide asks the Script about c. usual is what a server would say.
func (s *session) decide(c Command, usual string) decision {
	c.Session, c.TLS, c.Remote = s.id, s.tlsState != nil, s.peer()
	s.armCuts(c.Verb)
	var a Action
	if s.server.Script != nil {
		a = s.server.Script(c)
	}
	if a.nothing() {
		a = s.act(c, usual)
	}
	if usual == "" { // a fault was overlooked
		usual = s.course(c)
	}
	usual = s.careted(c, usual)
	d := decision{Action: a, text: usual, effect: usual}
	if a.Reply != "" {
		d.text, d.effect = a.Reply, a.Reply
	}
	if a.Raw != nil {
		d.text, d.effect = string(a.Raw), usual
		if len(a.Raw) > 0 && a.Raw[0] >= '2' && a.Raw[0] <= '5' {
			d.effect = d.text
		}
	}
	switch a.Fault {
	case Drop, Reset, Stall:
		d.text, d.effect = "", usual
	case Garbage:
		d.text, d.effect = garbage, usual
	}
	return d
}

// course is the reply to a command that takes its course.
func (s *session) course(c Command) string {
	if c.Verb == "DATA" {
		return "354 go ahead"
	}
	return s.text("250", "2.0.0", "ok")
}

// scripted reports whether the Script chose the answer.
func (d decision) scripted() bool { return d.Reply != "" || d.Raw != nil || d.Fault != None }

// accepts reports whether the command has its effect.
func (d decision) accepts() bool { return d.is("2") || d.is("3") }

// is reports whether the answer begins with the digits of code.
func (d decision) is(code string) bool { return strings.HasPrefix(d.effect, code) }

// wire is the answer as it is written.
func (d decision) wire() []byte {
	if d.Raw != nil && d.Fault != Garbage {
		return d.Fault.shaped(d.Raw)
	}
	return d.Fault.shaped([]byte(strings.ReplaceAll(d.text, "\n", "\r\n") + "\r\n"))
}

// surplus is how many bytes of wire come behind the first reply, whose last line
// has no hyphen behind its code: RFC 5321, Section 4.2.1.
func (d decision) surplus() int {
	rest := d.wire()
	for {
		line, after, found := bytes.Cut(rest, crlf)
		if !found {
			return 0
		}
		rest = after
		if len(line) < 4 || line[3] != '-' {
			return len(rest)
		}
	}
}
