package smtptest

import "strings"

// Situation is one in which a server refuses a command. Its reply is in
// Profile.Replies, or what a strict server says, which stands here.
type Situation uint8

// The situations.
const (
	// Of any command.
	BadCharacter    Situation = iota // 500: a control character
	LongCommand                      // 500: too long
	NotASCII                         // 500: not ASCII, and SMTPUTF8 was not offered
	BlankAtEnd                       // none: overlooked
	ExtraArguments                   // 501: arguments where none belong
	QuitArguments                    // 501: behind QUIT
	MissingArgument                  // 501: VRFY or EXPN of nothing
	NoQueue                          // 501: ETRN of nothing
	UnknownCommand                   // 500: not known or not offered
	NoService                        // 503: after a refusal in place of the greeting
	Unauthenticated                  // 530: before a login that has to come first
	// Of EHLO, HELO and LHLO.
	WrongProtocol // 500: LHLO in SMTP, EHLO in LMTP
	NoName        // 501: EHLO without a name
	BadHello      // 501: no domain name or address literal
	// Of MAIL and RCPT.
	NoHello            // 503: MAIL before EHLO
	NestedMail         // 503: MAIL in a transaction
	NoRset             // 503: MAIL after a chunk that was refused
	NoFromTo           // 501: MAIL without FROM:, or RCPT without TO:
	BadReversePath     // 501
	BadForwardPath     // 501
	BadSize            // 501: no number in SIZE
	BadParameter       // 501: not of the form keyword=value
	BadValue           // 501: a value that a parameter cannot have
	TwiceParameter     // 501: the same parameter again
	MailParameter      // 555: MAIL with a parameter that was not offered
	RcptParameter      // 555: RCPT with one
	NeedsSMTPUTF8      // 553: an address that is not ASCII without SMTPUTF8
	NoMail             // 503: RCPT without MAIL
	MailRefused        // 503: RCPT, DATA or BDAT behind a MAIL that was refused
	RcptAfterChunk     // 503
	SourceRoute        // none: accepted; a RCPT with a source route, which a reply that begins with 2 accepts, too
	TooManyRecipients  // 452: more than Limits.Recipients or Limits.Attempts
	TooManyForNull     // 552: more than Limits.NullSender
	DeclaredTooBig     // 552: more than the extension SIZE
	NoSpace            // 452: MAIL with a SIZE of more than Limits.Space, or RCPT with Limits.SpaceEach
	TooManyMessages    // 421: more than Limits.Messages
	TooManyConnections // 421: more than Limits.Connections or Limits.PerAddress; the connection is closed
	// Of DATA and BDAT.
	DataWithoutMail // 503
	DataWithoutRcpt // 554, in LMTP 503: no RCPT was sent
	NoRecipients    // 554, in LMTP 503: each RCPT was refused
	DataForNull     // 550: after TooManyForNull
	DataAfterChunk  // 503
	DataForBinary   // 503: DATA for BODY=BINARYMIME
	BadChunk        // 501: BDAT without a size
	ChunkNotOffered // 502: BDAT was not offered; its octets are then read as commands
	ChunkWithout    // 503: BDAT without MAIL or recipients
	ChunkAfterFault // 503: BDAT after a chunk that was refused
	TooBig          // 552: a content of more than Limits.Size
	SpaceGone       // 452: a content of more than Limits.Space
	// Of STARTTLS and AUTH.
	TLSNotOffered  // 503
	SecondTLS      // 503: STARTTLS within TLS
	InputBeforeTLS // none: goes into the handshake, and breaks it
	AuthNotOffered // 502
	AuthWithoutTLS // 538: with Profile.AuthNeedsTLS
	BadMechanism   // 504: not offered
	SecondAuth     // 503
	AuthInMail     // 503: AUTH in a transaction
	BadPassword    // 535
	IdleTooLong    // none: the connection is closed without a word
	situations     // how many there are
)

// strict are the replies of a strict server, without their texts.
var strict = [situations]string{
	BadCharacter: "500 5.5.2", LongCommand: "500 5.5.2", NotASCII: "500 5.5.2", ExtraArguments: "501 5.5.4",
	UnknownCommand: "500 5.5.2", NoService: "503 5.5.1", Unauthenticated: "530 5.7.0",
	WrongProtocol: "500", NoName: "501", BadHello: "501", QuitArguments: "501 5.5.4", MissingArgument: "501 5.5.4", NoQueue: "501 5.5.4", NoFromTo: "501 5.5.4", BadValue: "501 5.5.4",
	NoHello: "503 5.5.1", NestedMail: "503 5.5.1", NoRset: "503 5.5.1", BadReversePath: "501 5.5.4",
	BadForwardPath: "501 5.5.4", BadSize: "501 5.5.4", BadParameter: "501 5.5.4", TwiceParameter: "501 5.5.4",
	MailParameter: "555 5.5.4", RcptParameter: "555 5.5.4", NeedsSMTPUTF8: "553 5.6.7", NoMail: "503 5.5.1",
	MailRefused: "503 5.5.1", RcptAfterChunk: "503 5.5.1", TooManyRecipients: "452 4.5.3",
	TooManyForNull: "552 5.5.3", DeclaredTooBig: "552 5.3.4", NoSpace: "452 4.3.1", TooManyMessages: "421 4.7.0",
	TooManyConnections: "421 4.7.0",
	DataWithoutMail:    "503 5.5.1", DataWithoutRcpt: "554 5.5.1", NoRecipients: "554 5.5.1", DataForNull: "550 5.5.3",
	DataAfterChunk: "503 5.5.1", DataForBinary: "503 5.5.1", BadChunk: "501 5.5.4", ChunkNotOffered: "502 5.5.1",
	ChunkWithout: "503 5.5.1", ChunkAfterFault: "503 5.5.1", TooBig: "552 5.3.4", SpaceGone: "452 4.3.0",
	TLSNotOffered: "503 5.5.1", SecondTLS: "503 5.5.1", AuthNotOffered: "502 5.5.1", AuthWithoutTLS: "538 5.7.11",
	BadMechanism: "504 5.5.4", SecondAuth: "503 5.5.1", AuthInMail: "503 5.5.1", BadPassword: authRefused,
}

// answer is the reply in a situation, "" if it is overlooked.
func (s *session) answer(in Situation, text string) string {
	if reply, ok := s.profile.Replies[in]; ok {
		reply = s.named(reply)
		if s.greeted {
			reply = s.coded(reply)
		}
		return reply
	}
	if strict[in] == "" {
		return ""
	}
	code, enhanced, _ := strings.Cut(strict[in], " ")
	return s.text(code, enhanced, text)
}

// fault records a violation by c and returns the reply to it, "" if it is
// overlooked.
func (s *session) fault(c Command, in Situation, what string) string {
	s.violate("%s: %q", what, c.line())
	return s.answer(in, what)
}
