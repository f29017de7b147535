package mechanism

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"

	sasl "github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"
)

// SCRAM says whom to log in, and how.
type SCRAM struct {
	Name           string // of the mechanism, as "SCRAM-SHA-256-PLUS"
	User, Password string
	Identity       string // whom to act for; "": User
	// TLS is the channel; nil: plaintext. With -PLUS the exchange is bound to it.
	TLS *tls.ConnectionState
	// NoPlus tells that the server has no -PLUS to offer. Inside TLS the server is
	// then told that we would have used one, so that it finds out if somebody has
	// taken it from the list (RFC 5802, Section 6).
	NoPlus bool
	Nonce  string // ours; "": random
}

// Bounds of the iteration count. RFC 5802, Section 5.1 and RFC 7677, Section 4
// have 4096 as the least. A server that asks for very many holds us busy, and nobody
// can cancel that: 300,000 are less than a tenth of a second, and twenty times what
// RFC 7677 recommends.
const (
	leastIterations = 4096
	mostIterations  = 300_000
)

type scramClient struct {
	refusal
	name, nonce string
	conv        *scram.ClientConversation
	step        int
	proof       string
}

// NewSCRAM is RFC 5802, with SHA-256 as RFC 7677 has it. The server has to prove
// that it knows the password, too: Done is an error until it has.
func NewSCRAM(c SCRAM) (sasl.Client, error) {
	base, plus := strings.CutSuffix(c.Name, "-PLUS")
	hash := scram.SHA256
	if base == "SCRAM-SHA-1" {
		hash = scram.SHA1
	}
	client, err := hash.NewClient(c.User, c.Password, c.Identity)
	if err != nil {
		// The error could quote what cannot be prepared.
		return nil, errors.New("user, password or identity hold characters that SASLprep (RFC 4013) forbids")
	}
	nonce := c.Nonce
	if nonce == "" {
		nonce = rand.Text()
	}
	client = client.WithNonceGenerator(func() string { return nonce }).WithMinIterations(leastIterations)
	s := &scramClient{name: c.Name, nonce: nonce}
	switch {
	case plus:
		binding, err := bind(c.TLS)
		if err != nil {
			return nil, err
		}
		s.conv = client.NewConversationWithChannelBinding(binding)
	case c.TLS != nil && c.NoPlus:
		s.conv = client.NewConversationAdvertisingChannelBinding()
	default:
		s.conv = client.NewConversation()
	}
	return s, nil
}

// bind is what ties an exchange to the channel: a secret of the connection (RFC
// 9266), or the certificate where TLS 1.2 without the extended master secret has
// no such secret (RFC 5929, Section 4).
func bind(cs *tls.ConnectionState) (scram.ChannelBinding, error) {
	if cs == nil {
		return scram.ChannelBinding{}, errors.New("channel binding is for TLS only")
	}
	if binding, err := scram.NewTLSExporterBinding(cs); err == nil {
		return binding, nil
	}
	return scram.NewTLSServerEndpointBinding(cs)
}

func (s *scramClient) Start() (string, []byte, error) {
	first, err := s.conv.Step("")
	return s.name, []byte(first), err
}

func (s *scramClient) Next(challenge []byte) ([]byte, error) {
	s.step++
	switch text := string(challenge); {
	case s.step == 1:
		if err := s.checkFirst(text); err != nil {
			return nil, err
		}
	case s.step == 2 && strings.HasPrefix(text, "e="):
		return nil, s.tell(challenge)
	case s.step > 2:
		return nil, errChallenge
	}
	response, err := s.conv.Step(string(challenge))
	if err != nil {
		return nil, fmt.Errorf("%s: %.100q", s.name, err.Error())
	}
	_, s.proof, _ = strings.Cut(response, ",p=")
	return []byte(response), nil
}

// Made implements the further method of this package.
func (s *scramClient) Made() string { return s.proof }

// checkFirst holds the server's first message against what the conversation does
// not look at: that there is no extension that has to be understood, that the
// server has added to the nonce, which makes the exchange fresh for it, and that
// the iterations can be done in time.
//
//	r=our nonce and theirs,s=salt,i=iterations
func (s *scramClient) checkFirst(message string) error {
	fields := strings.Split(message, ",")
	for _, f := range fields {
		if strings.HasPrefix(f, "m=") {
			return fmt.Errorf("%s: the server uses an extension that this client does not know", s.name)
		}
	}
	if len(fields) < 3 {
		return nil // the conversation says what is wrong
	}
	if fields[0] == "r="+s.nonce {
		return fmt.Errorf("%s: the server has added nothing to the nonce", s.name)
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(fields[2], "i=")); err == nil && n > mostIterations {
		return fmt.Errorf("%s: the server asks for %d iterations; at most %d are done", s.name, n, mostIterations)
	}
	return nil
}

// Done tells that the server has proved that it knows the password.
func (s *scramClient) Done() error {
	if err := s.refusal.Done(); err != nil {
		return err
	}
	if !s.conv.Valid() {
		return errors.New("the server claims success, but has not proved that it knows the password")
	}
	return nil
}
