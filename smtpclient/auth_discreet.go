package smtpclient

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/postrider/postrider/internal/wire"
)

// Some servers repeat what they did not understand. From the first word of AUTH
// on, what was secret in it is taken out of everything that a server says on this
// session, before the trace, a report or an error can get hold of it.

// secret is what a session shows in AUTH. It is behind functions, so that nobody
// who prints a Session gets to see it.
type secret struct {
	of   func() (c *Credential, token string) // nil: there is none
	hide func(text string) string             // takes secrets out; nil: nothing was shown yet
}

// withoutSecret takes the secret out of a target.
func withoutSecret(t Target) (Target, secret) {
	c, token := t.Credential, t.token
	if c == nil {
		return t, secret{}
	}
	t.Credential, t.token = nil, ""
	return t, secret{of: func() (*Credential, string) { return c, token }}
}

// leastSecret is the length from which on a secret is looked for: shorter ones are
// in every text.
const leastSecret = 4

// noteSecrets adds what must not be repeated, as it is and in base64.
func (a *authentication) noteSecrets(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= leastSecret {
			a.secrets = append(a.secrets, s, base64.StdEncoding.EncodeToString([]byte(s)))
		}
	}
}

func (a *authentication) hide(text string) string {
	for _, s := range a.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// discreet takes the secrets out of text, and makes it safe to log.
func (s *Session) discreet(text string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s.secret.hide(text))
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
	if s.secret.hide == nil {
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
	reply.Lines = slices.Clone(reply.Lines) // they are shared
	for i, line := range reply.Lines {
		reply.Lines[i] = s.discreet(line)
	}
	return reply, err
}
