package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// authFlags are what the flags -auth-... have set.
type authFlags struct {
	user, passEnv, mechanism string
	plaintext                bool
}

// apply gives the client its credential. It is for the servers that -nexthop
// names, and only for those.
func (a authFlags) apply(c *config) error {
	if a == (authFlags{}) {
		return nil
	}
	mechanism := strings.ToUpper(a.mechanism)
	credential := &smtpclient.Credential{User: a.user}
	if mechanism != "" {
		credential.Mechanisms = []string{mechanism}
	}
	secret := os.Getenv(a.passEnv)
	switch {
	case len(c.client.NextHops) == 0:
		return errors.New("-auth-user: a credential is for the servers that -nexthop names, and there is none")
	case mechanism == "EXTERNAL" || mechanism == "ANONYMOUS":
	case a.user == "":
		return errors.New("-auth-user is missing")
	case a.passEnv == "":
		return errors.New("-auth-pass-env is missing: it names the environment variable with the password")
	case secret == "":
		return fmt.Errorf("-auth-pass-env %q: this environment variable is empty or not set", a.passEnv)
	case mechanism == "XOAUTH2" || mechanism == "OAUTHBEARER":
		credential.Token = func(context.Context) (string, error) { return secret, nil }
	default:
		credential.Password = secret
	}
	if a.plaintext {
		credential.Channel = tlspolicy.None
		if c.client.TLS == nil { // else nothing would be said without TLS
			c.client.TLS = tlspolicy.May
		}
	}
	c.client.Auth = credential
	return nil
}
