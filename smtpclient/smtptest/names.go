package smtptest

import "strconv"

// String gives "smtp" or "lmtp".
func (m Mode) String() string { return nameOf("Mode", int(m), "smtp", "lmtp") }

// String gives "none", "drop" and so on.
func (f Fault) String() string { return nameOf("Fault", int(f), faultNames[:]...) }

// String gives "together", "singly", "drop input", "close early" or "close at hello".
func (p Pipelining) String() string {
	return nameOf("Pipelining", int(p), "together", "singly", "drop input", "close early", "close at hello")
}

// String gives "as offered", "always", "never", "mixed" or "wrong class".
func (e Enhanced) String() string {
	return nameOf("Enhanced", int(e), "as offered", "always", "never", "mixed", "wrong class")
}

// String says what it is in few words, as "long command".
func (s Situation) String() string { return nameOf("Situation", int(s), situationNames[:]...) }

// nameOf is one of the names, or "Kind(99)" for a value that there is not. What other
// packages have for that is not there for this one: it imports none of them.
func nameOf(kind string, i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return kind + "(" + strconv.Itoa(i) + ")"
}

var faultNames = [...]string{
	None:         "none",
	Drop:         "drop",
	Reset:        "reset",
	Stall:        "stall",
	Drip:         "drip",
	Garbage:      "garbage",
	Twice:        "twice",
	DropAfter:    "drop after",
	ResetAfter:   "reset after",
	Trickle:      "trickle",
	Lines:        "lines",
	Huge:         "huge",
	Unterminated: "unterminated",
	EmptyLine:    "empty line",
	BareLF:       "bare LF",
	MixedCodes:   "mixed codes",
	EightBit:     "eight bit",
	NUL:          "NUL",
	BreakTLS:     "break TLS",
	IgnoreTLS:    "ignore TLS",
}

var situationNames = [situations]string{
	BadCharacter:       "bad character",
	LongCommand:        "long command",
	NotASCII:           "not ASCII",
	BlankAtEnd:         "blank at end",
	ExtraArguments:     "extra arguments",
	QuitArguments:      "QUIT with arguments",
	MissingArgument:    "missing argument",
	NoQueue:            "ETRN without a name",
	UnknownCommand:     "unknown command",
	NoService:          "no service",
	Unauthenticated:    "not authenticated",
	WrongProtocol:      "wrong protocol",
	NoName:             "EHLO without a name",
	BadHello:           "bad EHLO",
	NoHello:            "no EHLO",
	NestedMail:         "nested MAIL",
	NoRset:             "no RSET",
	NoFromTo:           "no FROM or TO",
	BadReversePath:     "bad reverse path",
	BadForwardPath:     "bad forward path",
	BadSize:            "bad SIZE",
	BadParameter:       "bad parameter",
	BadValue:           "bad value",
	TwiceParameter:     "parameter twice",
	MailParameter:      "unknown parameter of MAIL",
	RcptParameter:      "unknown parameter of RCPT",
	NeedsSMTPUTF8:      "SMTPUTF8 is needed",
	NoMail:             "no MAIL",
	MailRefused:        "MAIL was refused",
	RcptAfterChunk:     "RCPT after a chunk",
	SourceRoute:        "source route",
	TooManyRecipients:  "too many recipients",
	TooManyForNull:     "too many for the null sender",
	DeclaredTooBig:     "declared too big",
	NoSpace:            "no space",
	TooManyMessages:    "too many messages",
	TooManyConnections: "too many connections",
	DataWithoutMail:    "DATA without MAIL",
	DataWithoutRcpt:    "DATA without RCPT",
	NoRecipients:       "no recipients",
	DataForNull:        "DATA after too many for the null sender",
	DataAfterChunk:     "DATA after a chunk",
	DataForBinary:      "DATA for BINARYMIME",
	BadChunk:           "bad BDAT",
	ChunkNotOffered:    "BDAT was not offered",
	ChunkWithout:       "BDAT without MAIL or RCPT",
	ChunkAfterFault:    "BDAT after a fault",
	TooBig:             "too big",
	SpaceGone:          "space is gone",
	TLSNotOffered:      "STARTTLS was not offered",
	SecondTLS:          "second STARTTLS",
	InputBeforeTLS:     "input before TLS",
	AuthNotOffered:     "AUTH was not offered",
	AuthWithoutTLS:     "AUTH without TLS",
	BadMechanism:       "bad mechanism",
	SecondAuth:         "second AUTH",
	AuthInMail:         "AUTH in a transaction",
	BadPassword:        "bad password",
	IdleTooLong:        "idle for too long",
}
