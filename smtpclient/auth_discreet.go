package smtpclient

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	sasl "github.com/emersion/go-sasl"

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
	ends func(text string) bool               // see endsWithin; nil with hide
}

// withoutSecret takes the secret out of a target.
func withoutSecret(t Target) (Target, secret) {
	c, token := t.Credential, ""
	if c == nil {
		return t, secret{}
	}
	if t.token != nil {
		token = t.token()
	}
	t.Credential, t.token = nil, nil
	return t, secret{of: func() (*Credential, string) { return c, token }}
}

// leastSecret is the length from which on a secret is looked for: shorter ones are
// in every text. Of a longer one each part of secretPiece bytes is: servers cut what
// they repeat.
const (
	leastSecret = 4
	secretPiece = 12
)

// noteSecrets adds what must not be repeated: as it is, as it stands in a reply, and
// in base64.
func (a *authentication) noteSecrets(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= leastSecret {
			a.secrets = append(a.secrets, s, harmless(s), base64.StdEncoding.EncodeToString([]byte(s)))
		}
	}
	// The longest first: what is left of one in which a short one was found might
	// not be recognized.
	slices.SortFunc(a.secrets, func(x, y string) int { return len(y) - len(x) })
	a.secrets = slices.Compact(a.secrets)
}

func (a *authentication) hide(text string) string {
	for _, s := range a.secrets {
		if len(s) > secretPiece {
			text = withoutPieces(text, s)
		} else {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}

// withoutPieces takes out of text all of secret that is in it, in pieces or whole.
func withoutPieces(text, secret string) string {
	var b strings.Builder
	rest := 0 // from where on text is not in b
	for i := 0; i+secretPiece <= len(text); {
		end := i + secretPiece
		if !strings.Contains(secret, text[i:end]) {
			i++
			continue
		}
		for end < len(text) && strings.Contains(secret, text[i:end+1]) {
			end++
		}
		b.WriteString(text[rest:i] + "***")
		i, rest = end, end
	}
	if rest == 0 {
		return text
	}
	return b.String() + text[rest:]
}

// endsWithin tells that a text which was cut may end in the midst of a secret.
func (a *authentication) endsWithin(text string) bool {
	for _, s := range a.secrets {
		for n := leastSecret; n < min(len(s), secretPiece); n++ {
			if strings.HasSuffix(text, s[:n]) {
				return true
			}
		}
	}
	return false
}

// noteMade adds what a mechanism has made of the secret for a response.
func (a *authentication) noteMade(client sasl.Client) {
	if c, ok := client.(interface{ Made() string }); ok {
		a.noteSecrets(c.Made())
	}
}

// discreet takes the secrets out of text, and makes it safe to log.
func (s *Session) discreet(text string) string {
	return harmless(s.secret.hide(text))
}

// harmless makes a text safe to log, as package wire does it with replies.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError, r != ' ' && !unicode.IsPrint(r):
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

func (s *Session) readWire(stage Stage) (wire.Reply, error) {
	switch stage {
	case StageHello:
		return s.reader.ReadHello()
	case StageAuth:
		return s.reader.ReadChallenge()
	}
	return s.reader.ReadReply()
}

// readReply reads a reply. A challenge of AUTH is put aside: with what the client
// sent, it could serve to guess the password.
func (s *Session) readReply(stage Stage) (Reply, error) {
	r, err := s.readWire(stage)
	reply := Reply(r)
	if s.secret.hide == nil {
		return reply, err
	}
	var garbage *wire.SyntaxError
	if errors.As(err, &garbage) && (s.discreet(garbage.Line) != garbage.Line || s.secret.ends(garbage.Line)) {
		garbage.Line = "***" // it is cut, and may hold half of a secret
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
