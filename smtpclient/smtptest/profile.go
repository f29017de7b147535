package smtptest

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Profile is how a kind of server behaves: plain data, which may be copied and
// changed before use. The zero Profile is strict, patient and without limits.
// There are some of well-known servers, as Postfix and ZMailer301. What a Script
// says comes first.
//
// In all replies "NAME" stands for the server's name, and "\n" between lines.
type Profile struct {
	// Extensions are the lines of the reply to EHLO where Server.Extensions is
	// nil. Lines with AUTH are left out where the Server has no Passwords, and
	// those with STARTTLS where TLS is on. nil: those of a zero Server.
	Extensions []string
	// Hello are the lines of the reply to EHLO before the extensions; that to HELO
	// is the last of them. nil: the server's name.
	Hello []string
	// Hellos choose by the name that a client gives in EHLO; the first that fits
	// counts. None: everybody is the same.
	Hellos []Hello
	// At is what is done at a verb or pseudo verb instead of the usual; a Situation
	// comes first. At[Any] is for all verbs that are not in it, whatever the
	// Situation.
	At map[string]Action
	// Replies are the replies in a Situation; "" overlooks it, so that the command
	// takes its course. One that is not in it has the reply of a strict server.
	Replies map[Situation]string
	// Disabled verbs are unknown here.
	Disabled []string
	// Enhanced says which replies have enhanced status codes. Zero: all that
	// should, where ENHANCEDSTATUSCODES was offered.
	Enhanced Enhanced
	// Caret puts a line before each reply to a command that was not understood,
	// with a caret under the place of the fault.
	Caret bool
	// Echo writes each command back before it is answered.
	Echo bool
	// Pipelining says what is done with commands that come in a group, whatever is
	// offered. Zero: their replies go together.
	Pipelining Pipelining
	// StripRoutes takes the source route off a sender or recipient, so that
	// <@a,@b:u@c> is u@c, as RFC 5321, Section 4.1.1.3 recommends.
	StripRoutes bool
	// AcceptDelay is how long a connection waits until the server takes it. In
	// memory DialContext waits. On a socket the system connects in the server's
	// place, so that it is the greeting that comes late; and the connections are
	// taken one after another, each after this delay. Zero: none.
	AcceptDelay time.Duration
	// ImplicitTLS does what Server.ImplicitTLS does, for those who come this way.
	ImplicitTLS bool
	// TLSKeepsHello lets STARTTLS forget nothing, against RFC 3207, Section 4.2.
	TLSKeepsHello bool
	// DataEnds ends the transaction when DATA is refused.
	DataEnds bool
	// AuthNeedsTLS offers and takes AUTH within TLS only.
	AuthNeedsTLS bool
	// AuthRequired answers every other verb than EHLO, HELO, LHLO, STARTTLS, AUTH,
	// NOOP, RSET and QUIT with Unauthenticated, until somebody has logged in.
	AuthRequired bool
	// Prompts are those of AUTH LOGIN. "": "Username:" and "Password:".
	Prompts [2]string
	// Tarpit delays refusals.
	Tarpit Tarpit
	Limits Limits
}

// Any stands in Profile.At for every real verb without an entry of its own.
const Any = "Any"

// Hello is for clients whose name in EHLO, in lower case, fits a Pattern of
// package path.
type Hello struct {
	Pattern string
	Reply   string   // to EHLO and HELO; "": as usual
	Profile *Profile // from here on; nil: as it was
}

// Pipelining is what a server does with commands that come in a group.
type Pipelining uint8

// The ways to treat a group.
const (
	Together     Pipelining = iota // replies are written when there is no more input
	Singly                         // each reply is written by itself
	DropInput                      // what has come is thrown away when a command is refused
	CloseEarly                     // the connection is closed when there is input before a reply that has to be waited for
	CloseAtHello                   // the same, but only at EHLO, HELO and LHLO, and everywhere after HELO
)

// Tarpit delays each reply that begins with 4 or 5: the first for Initial, each
// further one longer by the delay before times Mult, up to Cap. Zero: no delay.
type Tarpit struct {
	Initial time.Duration
	Mult    float64
	Cap     time.Duration // zero: 250 s
}

// Limits are those of a Profile. Zero is no limit. What is answered beyond is a
// Situation.
type Limits struct {
	// Size is of a content, in bytes, looked at when it has come. What MAIL
	// declares is held against the extension SIZE.
	Size int64
	// Space is the free space for contents, in bytes, for each by itself.
	Space int64
	// SpaceEach counts the SIZE that MAIL declares once for each recipient, so
	// that a later RCPT finds no Space left.
	SpaceEach bool
	// Recipients of a transaction that are accepted.
	Recipients int
	// Attempts are the RCPT commands of a transaction, those that were refused
	// among them: with 99 the 100th fails, whatever became of the others.
	Attempts int
	// NullSender are the RCPT commands of a transaction from <>. If there were
	// more, DATA is refused, too.
	NullSender int
	// Messages of a connection; a further MAIL ends it.
	Messages int
	// Unknown are the unknown commands of a connection: the last ends it.
	Unknown int
	// Faults are the other commands that get a reply from 500 to 509: the last ends
	// the connection.
	Faults int
	// AuthFailures are the refused logins of a connection: the last ends it.
	AuthFailures int
	// Connections, and those PerAddress of the client, that are open at once. If
	// there are more than Silent ones of an address, or SilentAll altogether, no
	// byte is said.
	Connections, PerAddress, Silent, SilentAll int
	// Linger is how long a connection that is closed still counts.
	Linger time.Duration
	// Command is how long a command line may be, with CRLF, in bytes. Zero: as the
	// standards have it. CutCommand takes what is beyond away, and carries out
	// the rest.
	Command    int
	CutCommand bool
	// Idle is how long a command is waited for.
	Idle time.Duration
	// Rate is how many bytes of a content are read per second.
	Rate int
}

// extensions are the lines that the session offers.
func (s *session) extensions() []string {
	own := s.server.Extensions != nil
	lines := s.server.Extensions
	if !own {
		lines = s.profile.Extensions
	}
	if lines == nil {
		lines = []string{"PIPELINING", "SIZE 10485760", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8",
			"CHUNKING", "STARTTLS"}
	}
	encrypted, users := s.tlsState != nil, len(s.server.Passwords) > 0
	hidden := s.profile.AuthNeedsTLS && !encrypted
	missing := users
	var offered []string
	for _, line := range lines {
		keyword, _, _ := strings.Cut(strings.ToUpper(line), " ")
		keyword, _, _ = strings.Cut(keyword, "=")
		// RFC 3207, Section 4.2.
		if keyword == "STARTTLS" && encrypted {
			continue
		}
		if keyword == "AUTH" && (hidden || !users && !own) {
			continue
		}
		missing = missing && keyword != "AUTH"
		offered = append(offered, line)
	}
	if missing && !hidden {
		offered = append(offered, "AUTH PLAIN LOGIN")
	}
	return offered
}

// helloLines are those before the extensions.
func (s *session) helloLines() []string {
	if s.profile.Hello == nil {
		return []string{s.server.name()}
	}
	lines := slices.Clone(s.profile.Hello)
	for i := range lines {
		lines[i] = s.named(lines[i])
	}
	return lines
}

// named puts the server's name into a text of a Profile.
func (s *session) named(text string) string {
	return strings.ReplaceAll(text, "NAME", s.server.name())
}

// chooseHello changes the Profile by the client's name. It gives the reply that
// stands there, "" if none does.
func (s *session) chooseHello(name string) string {
	for _, h := range s.profile.Hellos {
		if fits, _ := path.Match(h.Pattern, strings.ToLower(name)); fits {
			if h.Profile != nil {
				s.profile = h.Profile
			}
			return s.named(h.Reply)
		}
	}
	return ""
}

// act is what is done at c where the Script says nothing. usual is what would be
// said, which stays if it is a refusal.
func (s *session) act(c Command, usual string) Action {
	a, ok := s.profile.At[c.Verb]
	switch {
	case !ok && c.Verb != Connect && c.Verb != AuthResponse && c.Verb != EndOfData:
		a = s.profile.At[Any]
	case usual != "" && usual[0] > '3':
		a.Reply, a.Raw = "", nil
	}
	a.Reply = s.named(a.Reply)
	return a
}

// nothing reports whether an Action is the zero one.
func (a Action) nothing() bool {
	return a.Reply == "" && a.Raw == nil && a.Delay == 0 && a.After == 0 && a.Fault == None
}

// barred is the reply to a verb that comes before a login that has to come
// first, "" elsewhere.
func (s *session) barred(verb string) string {
	free := []string{"EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "NOOP", "RSET", "QUIT"}
	if !s.profile.AuthRequired || s.login != "" || slices.Contains(free, verb) {
		return ""
	}
	return s.answer(Unauthenticated, "log in first")
}

// tarpit is the delay of the next refusal.
func (s *session) tarpit() time.Duration {
	t := s.profile.Tarpit
	if t.Cap <= 0 {
		t.Cap = 250 * time.Second
	}
	s.tar += time.Duration(float64(s.tar) * t.Mult)
	if s.tar == 0 {
		s.tar = t.Initial
	}
	s.tar = min(s.tar, t.Cap)
	return s.tar
}
