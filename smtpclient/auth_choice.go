package smtpclient

import (
	"cmp"
	"crypto/fips140"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	sasl "github.com/emersion/go-sasl"

	"github.com/postrider/postrider/internal/mechanism"
)

// builtIn is a mechanism that we have.
type builtIn struct {
	name string
	// shows tells that a server gets to know what can be used again.
	shows bool
	// suits tells that a credential has what the mechanism needs. nil: it has to
	// be named in Credential.Mechanisms.
	suits func(c *Credential) bool
	begin func(a *authentication) (sasl.Client, error)
}

// builtIns are our mechanisms, the strongest first.
var builtIns = []builtIn{
	{"SCRAM-SHA-256-PLUS", false, hasPassword, nil},
	{"SCRAM-SHA-1-PLUS", false, hasPassword, nil},
	{"SCRAM-SHA-256", false, hasPassword, nil},
	{"SCRAM-SHA-1", false, hasPassword, nil},
	{"CRAM-MD5", false, ownPassword, func(a *authentication) (sasl.Client, error) {
		return mechanism.CRAMMD5(a.cred.User, a.cred.Password), nil
	}},
	{"OAUTHBEARER", true, hasToken, func(a *authentication) (sasl.Client, error) {
		_, text, _ := net.SplitHostPort(a.s.at.Addr)
		port, _ := strconv.Atoi(text)
		return mechanism.OAuthBearer(mechanism.OAuth{Identity: a.cred.login(), Host: serverName(a.s.at.Host), Port: port, Token: a.token}), nil
	}},
	{"XOAUTH2", true, ownToken, func(a *authentication) (sasl.Client, error) {
		return mechanism.XOAuth2(a.cred.User, a.token), nil
	}},
	{"EXTERNAL", false, hasNothing, func(a *authentication) (sasl.Client, error) {
		return sasl.NewExternalClient(a.cred.login()), nil
	}},
	{"PLAIN", true, hasPassword, func(a *authentication) (sasl.Client, error) {
		return sasl.NewPlainClient(a.cred.Identity, a.cred.User, a.cred.Password), nil
	}},
	{"LOGIN", true, ownPassword, func(a *authentication) (sasl.Client, error) {
		return mechanism.Login(a.cred.User, a.cred.Password), nil
	}},
	{"ANONYMOUS", false, nil, func(a *authentication) (sasl.Client, error) {
		return sasl.NewAnonymousClient(a.cred.User), nil
	}},
}

func hasPassword(c *Credential) bool { return c.Password != "" && c.Token == nil }
func ownPassword(c *Credential) bool { return hasPassword(c) && c.Identity == "" }
func hasToken(c *Credential) bool    { return c.Token != nil }
func ownToken(c *Credential) bool    { return hasToken(c) && c.Identity == "" }
func hasNothing(c *Credential) bool  { return c.Password == "" && c.Token == nil }

// choice is a mechanism that is used.
type choice struct {
	client sasl.Client
	name   string
	rank   int // the index in builtIns; -1 for one of the caller's own
}

// choose takes the best mechanism whose rank is below bound. An error is why
// there is none.
func (a *authentication) choose(bound int) (choice, *AuthError) {
	barred := "" // the first that only the channel speaks against
	for _, w := range a.wanted() {
		if !slices.Contains(a.offered, w.name) {
			continue
		}
		if w.own {
			if c, ok, err := a.own(w.name); ok || err != nil {
				return c, err
			}
			continue
		}
		rank := slices.IndexFunc(builtIns, func(b builtIn) bool { return b.name == w.name })
		if rank < 0 || rank >= bound || !a.suits(&builtIns[rank]) {
			continue
		}
		if !a.mayShow(builtIns[rank].shows) {
			barred = cmp.Or(barred, w.name)
			continue
		}
		client, err := a.begin(&builtIns[rank])
		if err != nil {
			return choice{}, &AuthError{Failure: AuthBroken, Mechanism: w.name, Err: err}
		}
		return choice{client, w.name, rank}, nil
	}
	if barred != "" {
		return choice{}, &AuthError{Failure: AuthEncryptionRequired, Mechanism: barred, Err: a.shortfall()}
	}
	return choice{}, &AuthError{Failure: AuthNoMechanism, Err: fmt.Errorf("the server offers %.200q", strings.Join(a.offered, " "))}
}

// wish is a mechanism that may be used, ours or one of the caller's own.
type wish struct {
	name string
	own  bool
}

// wanted are the mechanisms that may be used, best first.
func (a *authentication) wanted() []wish {
	var list []wish
	for _, name := range a.cred.Mechanisms {
		name = strings.ToUpper(name)
		list = append(list, wish{name, true}, wish{name, false})
	}
	if list != nil {
		return list
	}
	for _, name := range a.offered {
		list = append(list, wish{name, true})
	}
	for _, b := range builtIns {
		if b.suits != nil && !a.cred.ownOnly {
			list = append(list, wish{b.name, false})
		}
	}
	return list
}

// own asks the caller for a mechanism. What it shows is not known.
func (a *authentication) own(name string) (choice, bool, *AuthError) {
	if a.cred.SASL == nil || !a.mayShow(true) {
		return choice{}, false, nil
	}
	client, err := a.cred.SASL(name, a.s.ConnectionState())
	if err != nil {
		return choice{}, false, &AuthError{Failure: AuthBroken, Mechanism: name, Err: err}
	}
	return choice{client, name, -1}, client != nil, nil
}

// suits tells that a mechanism of ours can be used with the credential here.
func (a *authentication) suits(b *builtIn) bool {
	switch {
	case strings.HasSuffix(b.name, "-PLUS") && !mechanism.Binds(a.s.ConnectionState()):
		return false
	case fips140.Enabled() && (b.name == "CRAM-MD5" || strings.HasPrefix(b.name, "SCRAM-SHA-1")):
		return false // MD5 and SHA-1 are not to be had then
	case b.suits == nil:
		return true // it was named
	case b.name == "EXTERNAL" && a.cred.Mechanisms != nil:
		return true
	}
	return b.suits(a.cred)
}

// begin gives the client of a mechanism of ours.
func (a *authentication) begin(b *builtIn) (sasl.Client, error) {
	if b.begin != nil {
		return b.begin(a)
	}
	return mechanism.NewSCRAM(mechanism.SCRAM{
		Name: b.name, User: a.cred.User, Password: a.cred.Password, Identity: a.cred.Identity, TLS: a.s.ConnectionState(),
		NoPlus: !slices.ContainsFunc(a.offered, func(name string) bool { return strings.HasSuffix(name, "-PLUS") }),
	})
}

// mayShow tells that the channel is good enough for a mechanism, which may show
// what can be used again.
func (a *authentication) mayShow(shows bool) bool {
	switch least := a.cred.Channel; {
	case least != 0:
		return a.s.at.TLS.Reached.Meets(least)
	case shows:
		return a.s.tls != nil && a.s.at.TLS.Verified != ""
	}
	return true
}

// shortfall says what the channel lacks.
func (a *authentication) shortfall() error {
	switch least := a.cred.Channel; {
	case least != 0:
		return fmt.Errorf("Credential.Channel wants %v, the channel is %v", least, a.s.at.TLS.Reached)
	case a.s.tls == nil:
		return errors.New("there is no TLS; Credential.Channel could allow it")
	}
	return errors.New("the server has not proved its name; raise the TLS level, or let Credential.Channel allow it")
}
