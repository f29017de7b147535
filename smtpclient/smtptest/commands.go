package smtptest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// transaction is what MAIL began.
type transaction struct {
	number       int
	from, params string
	to, toParams []string
	utf8, binary bool // SMTPUTF8, BODY=BINARYMIME
	eightBit     bool // any BODY that allows octets over 127
	chunks       int  // BDAT commands
	data         []byte
	wire         []byte // of DATA, with its dots
	sizes        []int  // of the chunks
	count        counter
	size         int64 // that MAIL declared
	rcpts        int   // RCPT commands
	tooMany      bool  // Limits.NullSender was passed
}

// command reads a command and carries it out. An error ends the session.
func (s *session) command() error {
	line, err := s.readCommand()
	if err != nil {
		return err
	}
	line = s.cut(line)
	verb, args, _ := strings.Cut(strings.TrimRight(line, " \t"), " ")
	c := Command{Verb: strings.ToUpper(verb), Args: args}
	if s.profile.Echo {
		s.out = append(s.out, line+"\r\n"...)
	}
	if usual := s.checkLine(c, line); usual != "" {
		return s.plain(c, usual)
	}
	// RFC 5321, Section 3.1: behind a refusal in place of a greeting there is
	// nothing but QUIT.
	if s.refused && c.Verb != "QUIT" {
		return s.plain(c, s.answer(NoService, "no service here"))
	}
	if usual := s.barred(c.Verb); usual != "" {
		return s.plain(c, usual)
	}
	if slices.Contains(s.profile.Disabled, c.Verb) {
		return s.unknown(c)
	}
	switch c.Verb {
	case "EHLO", "HELO", "LHLO":
		return s.hello(c)
	case "MAIL":
		return s.mail(c)
	case "RCPT":
		return s.rcpt(c)
	case "DATA":
		return s.data(c)
	case "BDAT":
		return s.bdat(c)
	case "RSET":
		return s.rset(c)
	case "QUIT":
		return s.quit(c)
	case "STARTTLS":
		return s.starttls(c)
	case "AUTH":
		return s.auth(c)
	case "XCLIENT":
		return s.xclient(c)
	}
	return s.other(c)
}

// cut takes away what is beyond the limit, where the server does that.
func (s *session) cut(line string) string {
	l := s.profile.Limits
	if limit := l.Command - len(crlf); l.CutCommand && limit > 0 && len(line) > limit {
		s.violate("%d octets in a command, the limit is %d: %q", len(line)+len(crlf), l.Command, head([]byte(line)))
		return line[:limit]
	}
	return line
}

// other answers the commands that change nothing here.
func (s *session) other(c Command) error {
	if usual := s.checkArgument(c); usual != "" {
		return s.plain(c, usual)
	}
	switch c.Verb {
	case "NOOP":
		return s.plain(c, s.text("250", "2.0.0", "ok"))
	case "HELP":
		return s.plain(c, s.text("214", "2.0.0", "this is a server for tests"))
	case "VRFY", "EXPN":
		return s.plain(c, s.text("252", "2.5.0", "send some mail and see"))
	case "ETRN", "XFORWARD":
		if s.offered.has(c.Verb) {
			return s.plain(c, s.text("250", "2.0.0", "ok"))
		}
	}
	if _, known := s.profile.At[c.Verb]; known {
		return s.plain(c, s.text("250", "2.0.0", "ok"))
	}
	return s.unknown(c)
}

// basic are the verbs that a client may send without an offer.
var basic = []string{"EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "HELP", "VRFY", "EXPN"}

// unknown answers a command that the server does not know.
func (s *session) unknown(c Command) error {
	d := s.decide(c, s.answer(UnknownCommand, "unknown command"))
	if !d.scripted() && !slices.Contains(basic, c.Verb) {
		s.violate("unknown command, or not offered: %q", c.line())
	}
	s.unknowns++
	if limit := s.profile.Limits.Unknown; limit > 0 && s.unknowns >= limit {
		d.Fault = DropAfter
	}
	return s.reply(d, s.waitsFor(c))
}

// plain answers a command that changes nothing.
func (s *session) plain(c Command, usual string) error {
	return s.reply(s.decide(c, usual), s.waitsFor(c))
}

// line is the command as it was sent, for messages.
func (c Command) line() string {
	if c.Args == "" {
		return c.Verb
	}
	return c.Verb + " " + c.Args
}

// waitsFor names c if the client has to wait for its reply. The commands after
// which others may follow in a group are listed in RFC 2920, Section 3.1; for
// BDAT it is RFC 3030, Section 2, and for XFORWARD what Postfix documents.
func (s *session) waitsFor(c Command) string {
	inGroup := slices.Contains([]string{"RSET", "MAIL", "RCPT", "BDAT", EndOfData, "XFORWARD"}, c.Verb)
	if inGroup && s.offered.has("PIPELINING") {
		return ""
	}
	if c.Verb == EndOfData {
		return "the end of data"
	}
	return strconv.Quote(c.line())
}

// readCommand reads a line up to CRLF and returns it without.
func (s *session) readCommand() (string, error) {
	if idle := s.profile.Limits.Idle; idle > 0 {
		if err := s.raw.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return "", err
		}
		defer s.raw.SetReadDeadline(time.Time{})
	}
	line, err := s.readLine(maxLine, "command")
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", s.tooIdle()
	}
	return string(bytes.TrimSuffix(line, crlf)), err
}

// tooIdle says farewell, or nothing, to a client that was silent for too long.
func (s *session) tooIdle() error {
	if farewell := s.answer(IdleTooLong, ""); farewell != "" {
		s.out = append(s.out, strings.ReplaceAll(farewell, "\n", "\r\n")+"\r\n"...)
	}
	return errEnd
}

var crlf = []byte("\r\n")

// readLine reads up to CRLF, which alone ends a line: RFC 5321, Section 2.3.8.
// A bare LF is reported as soon as it is read, since a client that sends no
// other line ends would wait for ever.
func (s *session) readLine(limit int, where string) ([]byte, error) {
	var line []byte
	for {
		part, err := s.in.ReadSlice('\n')
		line = append(line, part...)
		if err != nil && err != bufio.ErrBufferFull {
			return line, err
		}
		if err == nil && bytes.HasSuffix(line, crlf) {
			return line, nil
		}
		if err == nil {
			s.violateOnce("bare LF", "bare LF in a %s: %q", where, tail(line))
		}
		if limit > 0 && len(line) > limit {
			s.violate("%s without an end: %q", where, head(line))
			return line, errEnd
		}
	}
}

// tail is the end of b, for messages.
func tail(b []byte) []byte { return b[max(0, len(b)-40):] }

func (s *session) hello(c Command) error {
	if (s.server.Mode == LMTP) != (c.Verb == "LHLO") {
		s.violate("%s is not of this protocol", c.Verb)
		return s.plain(c, s.answer(WrongProtocol, "wrong protocol"))
	}
	if usual := s.checkHello(c); usual != "" {
		return s.plain(c, usual)
	}
	usual := s.chooseHello(c.Args)
	switch lines := s.helloLines(); {
	case usual != "":
	case c.Verb == "HELO":
		usual = "250 " + lines[len(lines)-1]
	default:
		usual = offer(append(lines, s.extensions()...))
	}
	d := s.decide(c, usual)
	if d.accepts() {
		s.greeted, s.offered = true, nil
		s.client, s.esmtp = c.Args, c.Verb != "HELO"
		if c.Verb != "HELO" {
			s.offered = parseOffer(d.effect)
			s.allowEarly()
		}
		s.clear()
	}
	s.atHello = true
	defer func() { s.atHello = false }()
	return s.reply(d, s.unlessEarly(s.waitsFor(c)))
}

// phase is 0 in plaintext and 1 in TLS.
func (s *session) phase() int {
	if s.tlsState != nil {
		return 1
	}
	return 0
}

// allowEarly lets clients of later sessions talk early, if PIPECONNECT is offered.
func (s *session) allowEarly() {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.offersEarly[s.phase()] = s.offered.has("PIPECONNECT")
}

// unlessEarly is what has to be waited for: nothing, where a session before was
// offered Exim's PIPECONNECT in this phase.
func (s *session) unlessEarly(what string) string {
	if s.mayEarly[s.phase()] {
		return ""
	}
	return what
}

// clear ends a transaction.
func (s *session) clear() {
	s.tx, s.mailSent, s.bdatDead = nil, false, false
}

func (s *session) mail(c Command) error {
	number := s.mails
	s.mails++
	tx := &transaction{number: number}
	usual := s.checkMail(c, tx)
	if usual == "" {
		usual = s.text("250", "2.1.0", "ok")
	}
	if limit := s.profile.Limits.Messages; limit > 0 && s.sent >= limit {
		usual = s.answer(TooManyMessages, "too many messages on this connection")
	}
	d := s.decide(c, usual)
	if d.accepts() {
		s.tx, s.bdatDead = tx, false
	} else {
		s.refuse(c, number, tx.from, d.text)
	}
	s.mailSent = true
	return s.reply(d, s.waitsFor(c))
}

func (s *session) rcpt(c Command) error {
	path, params, usual := s.checkRcpt(c)
	if usual == "" {
		usual = s.text("250", "2.1.5", "ok")
	}
	d := s.decide(c, usual)
	if d.accepts() {
		tx := s.open()
		tx.to = append(tx.to, s.stripped(path))
		tx.toParams = append(tx.toParams, params)
	} else {
		s.refuse(c, s.mails-1, path, d.text)
	}
	return s.reply(d, s.waitsFor(c))
}

// open gives the transaction. There is none if a Script has accepted what the
// server would not have; then it begins one.
func (s *session) open() *transaction {
	if s.tx == nil {
		s.tx = &transaction{number: max(0, s.mails-1)}
	}
	return s.tx
}

func (s *session) refuse(c Command, number int, path, reply string) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.refused = append(s.server.refused,
		Refusal{Session: s.id, Transaction: number, Verb: c.Verb, Path: path, Reply: reply})
}

func (s *session) rset(c Command) error {
	d := s.decide(c, s.withoutArgs(c, s.text("250", "2.0.0", "ok")))
	if d.accepts() {
		s.clear()
	}
	return s.reply(d, s.waitsFor(c))
}

// withoutArgs is usual if c has no arguments, as it must be.
func (s *session) withoutArgs(c Command, usual string) string {
	if c.Args == "" {
		return usual
	}
	s.violate("%s takes no arguments: %q", c.Verb, c.line())
	in := ExtraArguments
	if c.Verb == "QUIT" {
		in = QuitArguments
	}
	if reply := s.answer(in, "no arguments allowed"); reply != "" {
		return reply
	}
	return usual
}

func (s *session) quit(c Command) error {
	d := s.decide(c, s.withoutArgs(c, s.text("221", "2.0.0", "bye")))
	if err := s.reply(d, s.waitsFor(c)); err != nil {
		return err
	}
	// Inside TLS it is the client's farewell that may have arrived.
	if s.tlsState == nil && s.moreArrived() {
		s.violate("went on after QUIT")
	}
	return errEnd
}

// starttls is RFC 3207, Section 4. Nothing but 220 starts the handshake, which
// shows what a client does that takes another reply for a yes.
func (s *session) starttls(c Command) error {
	if !s.offered.has("STARTTLS") || s.tlsState != nil {
		s.violate("STARTTLS was not offered")
		in := TLSNotOffered
		if s.tlsState != nil {
			in = SecondTLS
		}
		return s.plain(c, s.answer(in, "not offered"))
	}
	usual := s.withoutArgs(c, s.text("220", "2.0.0", "go ahead"))
	if refusal := s.answer(InputBeforeTLS, "input before TLS"); refusal != "" && s.in.Buffered() > 0 {
		usual = refusal
	}
	d := s.decide(c, usual)
	if err := s.reply(d, s.waitsFor(c)); err != nil || !d.is("220") || d.Fault == IgnoreTLS {
		return err
	}
	if d.Fault == BreakTLS {
		return s.breakTLS()
	}
	if err := s.startTLS(); err != nil || s.profile.TLSKeepsHello {
		return err
	}
	// RFC 3207, Section 4.2: all that was learned before is forgotten.
	s.greeted, s.offered, s.login = false, nil, ""
	s.clear()
	return nil
}

// breakTLS resets the connection when the client has begun its handshake.
func (s *session) breakTLS() error {
	_, err := s.in.Peek(1)
	reset(s.raw)
	return errors.Join(err, io.EOF)
}

// xclient has the session begin again with a greeting, as Postfix does.
func (s *session) xclient(c Command) error {
	if !s.offered.has("XCLIENT") {
		return s.other(c)
	}
	d := s.decide(c, "220 "+s.server.name()+" ESMTP")
	if d.accepts() {
		s.greeted, s.offered = false, nil
		s.clear()
	}
	return s.reply(d, s.waitsFor(c))
}
