package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/tlspolicy"
)

// handshake brings a fresh connection to where a transaction can begin, in the
// order of RFC 5321, Section 3.1, and RFC 3207, Section 4.
func (s *Session) handshake() *Error {
	s.recallHints()
	if s.target.Policy.Implicit { // RFC 8314
		if err := s.shakeHands(); err != nil {
			return err
		}
	}
	if begun, err := s.pipeConnect(); begun {
		return err
	}
	if err := s.settled(s.greeting()); err != nil {
		return err
	}
	if err := s.sayHello(); err != nil {
		return err
	}
	s.noteOffers()
	secured, err := s.startTLS()
	if err != nil {
		return err
	}
	if secured {
		if err := s.settled(s.sayHello()); err != nil {
			return err
		}
		s.noteOffers()
	}
	return s.authenticate()
}

// greeting waits for the server's first words.
func (s *Session) greeting() *Error {
	reply, err := s.reply(StageGreeting)
	if err != nil {
		return err
	}
	if reply.Code != 220 {
		return s.unwilling(StageGreeting, reply)
	}
	s.masked = isMasked(reply)
	return nil
}

// isMasked recognizes a firewall that puts asterisks in the place of the
// greeting, as a Cisco PIX does.
func isMasked(reply Reply) bool {
	text := strings.Join(reply.Lines, "")
	return strings.Contains(text, "*") && strings.Trim(text, "20* \t") == ""
}

// unwilling is a server that does not want to serve us at all: 4yz, or a 5yz
// which says nothing about the message, so that another host may take it. Any
// other reply breaks the session at once.
func (s *Session) unwilling(stage Stage, reply Reply) *Error {
	if !negative(reply) {
		return s.misplaced(stage, reply)
	}
	return s.refused(stage, reply)
}

// sayHello learns what the server offers. Where EHLO is refused for good, HELO
// is tried (RFC 5321, Section 3.2); LMTP has no other word than LHLO (RFC 2033,
// Section 4.1).
func (s *Session) sayHello() *Error {
	s.ext = extensions{}
	verb := "EHLO "
	switch {
	case s.target.Protocol == LMTP:
		verb = "LHLO "
	case s.quirks.HELO, s.target.helo, s.masked && (s.quirks.PIX == 0 || s.quirks.PIX&PIXDisableESMTP != 0):
		verb = "HELO "
	}
	reply, err := s.ask(StageHello, verb+s.name)
	if err != nil {
		return err
	}
	if verb == "EHLO " && reply.Code >= 500 {
		verb = "HELO "
		if reply, err = s.ask(StageHello, verb+s.name); err != nil {
			return err
		}
	}
	if !positive(reply) {
		return s.unwilling(StageHello, reply)
	}
	s.hello = reply
	if name, _, _ := strings.Cut(reply.Lines[0], " "); s.target.loops && strings.EqualFold(name, s.name) {
		return s.looped(reply)
	}
	if verb != "HELO " {
		s.ext = parseExtensions(reply.Lines, s.quirks.Discard)
		s.heed()
	}
	return nil
}

var errLoop error = loopError{}

// looped is a server that is ourselves.
func (s *Session) looped(reply Reply) *Error {
	e := s.failure(StageHello, "4.4.6", errLoop)
	e.Reply = reply
	return e
}

// startTLS secures the connection as the policy asks. secured tells that it did,
// and that everything learned before is void.
func (s *Session) startTLS() (secured bool, err *Error) {
	level := s.target.Policy.Level
	if s.tls != nil {
		return false, nil
	}
	s.at.TLS.Reached = tlspolicy.None
	if level == tlspolicy.None {
		return false, nil
	}
	if !s.ext.startTLS {
		if level.Mandatory() || s.target.Policy.Published.Type != "" {
			s.recordTLS("starttls-not-supported", errNoTLS)
		}
		if level == tlspolicy.May {
			return false, nil
		}
		return false, s.failure(StageStartTLS, "4.7.4", errNoTLS)
	}
	reply, err := s.askTLS()
	if err == nil && negative(reply) {
		s.recordTLS("starttls-not-supported", fmt.Errorf("STARTTLS was refused: %v", reply))
	}
	switch {
	case err != nil:
		return false, err
	case negative(reply) && level == tlspolicy.May && s.err == nil && s.secret.of == nil:
		s.at.TLS.Fallback = fmt.Errorf("STARTTLS was refused: %v", reply)
		return false, nil
	case negative(reply):
		return false, s.refused(StageStartTLS, reply)
	case reply.Code != 220:
		return false, s.misplaced(StageStartTLS, reply)
	case s.spokeBeforeTLS():
		// What came in plaintext behind the reply would be taken for the
		// server's word inside TLS (RFC 3207, Section 6).
		s.recordTLS("validation-failure", errInjected)
		return false, s.broke(StageStartTLS, "4.7.0", errInjected)
	}
	return true, s.shakeHands()
}

// spokeBeforeTLS finds plaintext behind the reply to STARTTLS, read or not.
func (s *Session) spokeBeforeTLS() bool {
	bytes, _ := s.waits()
	return bytes || s.reader.Buffered() > 0
}

// spokeInstead recognizes a handshake that failed because a reply came in the place
// of the server's part of it.
func spokeInstead(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) && header.RecordHeader[0] >= '2' && header.RecordHeader[0] <= '5'
}

var (
	errNoTLS    = errors.New("TLS is required, but the server does not offer STARTTLS")
	errInjected = errors.New("plaintext came between the reply to STARTTLS and TLS: an attack, or a broken server")
)

// shakeHands puts TLS over the connection and judges it.
func (s *Session) shakeHands() *Error {
	s.start(StageStartTLS)
	s.deadline(StageStartTLS)
	policy := &s.target.Policy
	var found verification
	conn := tls.Client(s.raw, s.clientTLS(&found))
	if err := conn.Handshake(); err != nil {
		cause := s.explain(StageStartTLS, err)
		if !policy.Implicit && spokeInstead(err) {
			s.recordTLS("validation-failure", errInjected)
			s.done(StageStartTLS, Reply{}, errInjected)
			return s.broke(StageStartTLS, "4.7.0", errInjected)
		}
		switch {
		case s.isCut():
		case found.err != nil:
			cause = &unverifiedError{found.err}
			s.recordTLS(tlspolicy.FailureType(cause), cause)
		default:
			cause = &handshakeError{cause}
			s.recordTLS("validation-failure", cause)
		}
		s.done(StageStartTLS, Reply{}, cause)
		return s.broke(StageStartTLS, "4.7.5", cause)
	}
	state := conn.ConnectionState()
	s.conn, s.tls = conn, conn
	s.reader.Rest()
	s.reader = s.filters.reader(conn)
	s.at.TLS.Reached, s.at.TLS.Verified = tlspolicy.Encrypt, found.proof
	if found.proof != "" {
		s.at.TLS.Reached = policy.Level
	}
	s.at.TLS.Version, s.at.TLS.Cipher, s.at.TLS.Resumed = state.Version, state.CipherSuite, state.DidResume
	s.line("C: ", "<TLS handshake>")
	s.done(StageStartTLS, Reply{}, nil)
	return nil
}

// helloName is our name for EHLO. A host name that is not full would be refused
// by many servers; RFC 5321, Section 4.1.4 has the address in its place.
func helloName(configured string, conn net.Conn) string {
	if name, err := address.HeloName(configured); err == nil {
		return name
	}
	if name, err := os.Hostname(); err == nil {
		if full, ok := fullName(name); ok {
			return full
		}
	}
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return "[127.0.0.1]"
	}
	return address.FormatLiteral(local.AddrPort().Addr().Unmap())
}

// noQuirks are those of a server that nothing is known of. They never change.
var noQuirks Quirks

// newSession is a session over a fresh connection.
func newSession(d *Dialer, t Target, conn net.Conn, at Attempt) *Session {
	s := &Session{
		work:    newWork(),
		dialer:  d,
		born:    time.Now(),
		rules:   d.Rules,
		filters: d.Filters,
		raw:     conn,
		conn:    conn,
		reader:  d.Filters.reader(conn),

		transcript: d.Transcript,
	}
	s.at = at
	bare, secret := withoutSecret(t)
	s.target, s.secret = &bare, secret
	s.kind = kind{t.Protocol, t.Policy.NoReuse || t.helo, t.helo, t.unproven, t.Policy.RequireTLS}
	if s.quirks = &noQuirks; d.Quirks != nil {
		quirks := d.Quirks(t)
		s.quirks = &quirks
	}
	return s
}

// open carries a fresh connection through the handshake under ctx.
func (s *Session) open(ctx context.Context) *Error {
	err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	s.clock = time.Now()
	if err := s.handshake(); err != nil {
		s.leaveQuietly(err)
		return err
	}
	return nil
}

// leaveQuietly says QUIT where the server still listens, and does not wait for
// the answer.
func (s *Session) leaveQuietly(why *Error) {
	if s.err != nil {
		return
	}
	if s.quit || s.command(StageQuit, []byte("QUIT")) == nil && s.flush(StageQuit) == nil {
		s.awaitQuit()
		s.farewell()
	}
	s.end(why)
}
