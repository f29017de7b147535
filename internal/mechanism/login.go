package mechanism

import sasl "github.com/emersion/go-sasl"

type login struct {
	words []string // that are still to be said
}

// Login answers the first challenge with the user and the second with the
// password, whatever their text is: servers prompt in many ways, and in many
// languages. It has no initial response, which strict servers refuse. There is no
// RFC; draft-murchison-sasl-login-00 describes it.
func Login(user, password string) sasl.Client { return &login{words: []string{user, password}} }

func (l *login) Start() (string, []byte, error) { return "LOGIN", nil, nil }

func (l *login) Next([]byte) ([]byte, error) {
	if len(l.words) == 0 {
		return nil, errChallenge
	}
	word := l.words[0]
	l.words = l.words[1:]
	return []byte(word), nil
}

func (l *login) Done() error {
	if len(l.words) > 0 {
		return errUnfinished
	}
	return nil
}
