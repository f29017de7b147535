package smtpclient

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode"

	"github.com/postrider/postrider/internal/wire"
)

// Some servers repeat what they did not understand. From the first word of AUTH
// on, what was secret in it is taken out of everything that a server says on this
// session, before the trace, a report or an error can get hold of it.

// leastSecret is the length from which on a secret is looked for: shorter ones are
// in every text.
const leastSecret = 4

// secrets are what must not be repeated; each response is added when it is sent.
func (a *authentication) secrets() []string {
	known := make([]string, 0, 8)
	for _, secret := range []string{a.cred.Password, a.token} {
		known = addSecret(known, secret)
		known = addSecret(known, base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	return known
}

func addSecret(known []string, secret string) []string {
	if len(secret) < leastSecret {
		return known
	}
	return append(known, secret)
}

// discreet takes the secrets out of text, and makes it safe to log.
func (s *Session) discreet(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// discreetError is an error whose text has no secrets.
func (s *Session) discreetError(err error) error {
	if text := s.discreet(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// readReply reads a reply. A challenge of AUTH is put aside: with what the client
// sent, it could serve to guess the password.
func (s *Session) readReply(stage Stage) (Reply, error) {
	read := s.reader.ReadReply
	switch stage {
	case StageHello:
		read = s.reader.ReadHello
	case StageAuth:
		read = s.reader.ReadChallenge
	}
	r, err := read()
	reply := Reply(r)
	if s.secrets == nil {
		return reply, err
	}
	var garbage *wire.SyntaxError
	if errors.As(err, &garbage) && stage == StageAuth {
		garbage.Line = "***" // it may hold half of a secret
	}
	if s.challenge = ""; stage == StageAuth && reply.Code == 334 {
		s.challenge = strings.Join(reply.Lines, "")
		if s.challenge != "" {
			reply.Lines = []string{"***"}
		}
	}
	for i, line := range reply.Lines {
		reply.Lines[i] = s.discreet(line)
	}
	return reply, err
}
