package main

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

const authSecret = "open-sesame-4Kd8"

// authWorld is a server that knows ann, as the configured next hop.
func authWorld(t *testing.T, extensions ...string) (w world, args []string) {
	t.Helper()
	t.Setenv("ANNS_PASSWORD", authSecret)
	t.Setenv("WRONG", "not-"+authSecret)
	w = newWorld(t, &smtptest.Server{Extensions: extensions, Passwords: map[string]string{"ann": authSecret}})
	port := w.args[len(w.args)-1]
	return w, []string{"-to", "bob@example.net", "-nexthop", "[127.0.0.1]:" + port, "-auth-user", "ann"}
}

func TestAuthFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		want string // in the output
	}{
		"password in plaintext": {[]string{"-auth-pass-env", "ANNS_PASSWORD", "-auth-plaintext-ok"}, 0, `"auth":"ann"`},
		"not without the flag":  {[]string{"-auth-pass-env", "ANNS_PASSWORD", "-tls", "may", "-auth-mech", "plain"}, 75, "Credential.Channel"},
		"not by default":        {[]string{"-auth-pass-env", "ANNS_PASSWORD"}, 75, `"stage":"starttls"`},
		"CRAM-MD5 shows none":   {[]string{"-auth-pass-env", "ANNS_PASSWORD", "-tls", "none", "-auth-mech", "cram-md5"}, 0, `"auth":"ann"`},
		"SCRAM":                 {[]string{"-auth-pass-env", "ANNS_PASSWORD", "-tls", "none", "-auth-mech", "SCRAM-SHA-256"}, 0, `"auth":"ann"`},
		"token":                 {[]string{"-auth-pass-env", "ANNS_PASSWORD", "-auth-plaintext-ok", "-auth-mech", "OAUTHBEARER"}, 0, `"auth":"ann"`},
		"wrong":                 {[]string{"-auth-pass-env", "WRONG", "-auth-plaintext-ok"}, 75, `"code":535`},
		"anonymous":             {[]string{"-auth-mech", "ANONYMOUS", "-tls", "none"}, 0, `"auth":"ann"`},
		"not offered":           {[]string{"-auth-pass-env", "ANNS_PASSWORD", "-tls", "none", "-auth-mech", "SCRAM-SHA-1"}, 75, "no mechanism"},
	} {
		t.Run(name, func(t *testing.T) {
			w, args := authWorld(t, "8BITMIME", "SMTPUTF8", "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 OAUTHBEARER ANONYMOUS")
			code, stdout, stderr := w.run(t, append(append(args, tt.args...), "-json", "-trace")...)
			if code != tt.code || !strings.Contains(stdout, tt.want) {
				t.Errorf("code %d, want %d; output %s", code, tt.code, stdout)
			}
			if code != 64 && !strings.Contains(stderr, "C: EHLO") {
				t.Errorf("there is no trace to look for secrets in: %s", stderr)
			}
		})
	}
}

func TestAuthFlagsAtFault(t *testing.T) {
	t.Setenv("ANNS_PASSWORD", authSecret)
	for _, args := range [][]string{
		{"-auth-user", "ann", "-auth-pass-env", "ANNS_PASSWORD"},
		{"-nexthop", "[mx]", "-auth-user", "ann"},
		{"-nexthop", "[mx]", "-auth-pass-env", "ANNS_PASSWORD"},
		{"-nexthop", "[mx]", "-auth-user", "ann", "-auth-pass-env", "NO_SUCH_VARIABLE"},
		{"-nexthop", "[mx]", "-auth-plaintext-ok"},
	} {
		_, err := parseFlags(append([]string{"-from", "ann@example.org"}, args...))
		if err == nil || errors.Is(err, flag.ErrHelp) || !strings.Contains(err.Error(), "-auth-") || strings.Contains(err.Error(), authSecret) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
