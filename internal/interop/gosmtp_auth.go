package interop

import (
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/xdg-go/scram"
)

// AuthMechanisms is what the server offers.
func (s *goSession) AuthMechanisms() []string { return s.server.mechanisms }

// Auth begins a mechanism. go-sasl has the server's side of some.
func (s *goSession) Auth(mechanism string) (sasl.Server, error) {
	right := func(_, user, password string) error {
		if user != Account || password != Password {
			return smtp.ErrAuthFailed
		}
		return nil
	}
	switch mechanism {
	case "PLAIN":
		return sasl.NewPlainServer(right), nil
	case "LOGIN":
		return &goLogin{}, nil
	case "EXTERNAL":
		return sasl.NewExternalServer(func(string) error { return nil }), nil
	case "ANONYMOUS":
		return sasl.NewAnonymousServer(func(string) error { return nil }), nil
	case "OAUTHBEARER":
		return &goBearer{sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
			if o.Username != Account || o.Token != Token {
				return &sasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
			}
			return nil
		})}, nil
	}
	return s.scram(mechanism)
}

// goBearer has go-smtp answer a wrong token by 535, where it has 454 for an error
// that it does not know.
type goBearer struct{ sasl.Server }

func (b *goBearer) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = b.Server.Next(response)
	var refused *sasl.OAuthBearerError
	if errors.As(err, &refused) {
		err = smtp.ErrAuthFailed
	}
	return challenge, done, err
}

// goLogin is LOGIN, of which go-sasl has only the client.
type goLogin struct{ said []string }

func (l *goLogin) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.said = append(l.said, string(response))
	}
	switch len(l.said) {
	case 0:
		return []byte("User Name\x00"), false, nil
	case 1:
		return []byte("Password\x00"), false, nil
	}
	if l.said[0] != Account || l.said[1] != Password {
		return nil, true, smtp.ErrAuthFailed
	}
	return nil, true, nil
}

// scram is the server's side of xdg-go/scram.
func (s *goSession) scram(mechanism string) (sasl.Server, error) {
	base, plus := strings.CutSuffix(mechanism, "-PLUS")
	hash := scram.SHA256
	if base == "SCRAM-SHA-1" {
		hash = scram.SHA1
	}
	client, err := hash.NewClient(Account, Password, "")
	if err != nil {
		return nil, err
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt of go-smtp", Iters: 4096})
	if err != nil {
		return nil, err
	}
	server, err := hash.NewServer(func(user string) (scram.StoredCredentials, error) {
		if user != Account {
			return scram.StoredCredentials{}, errors.New("nobody")
		}
		return stored, nil
	})
	if err != nil {
		return nil, err
	}
	if !plus {
		return &goSCRAM{conv: server.NewConversation()}, nil
	}
	state, _ := s.conn.TLSConnectionState()
	binding, err := scram.NewTLSExporterBinding(&state)
	if err != nil {
		return nil, err
	}
	return &goSCRAM{conv: server.NewConversationWithChannelBindingRequired(binding)}, nil
}

type goSCRAM struct {
	conv  *scram.ServerConversation
	ended bool
}

func (g *goSCRAM) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte{}, false, nil
	case g.ended:
		return nil, true, nil
	}
	answer, err := g.conv.Step(string(response))
	if err != nil {
		return nil, true, smtp.ErrAuthFailed
	}
	g.ended = g.conv.Done()
	return []byte(answer), false, nil
}
