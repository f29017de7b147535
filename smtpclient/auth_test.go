package smtpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	sasl "github.com/emersion/go-sasl"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func tokenOf(tokens ...string) func(context.Context) (string, error) {
	n := 0
	return func(context.Context) (string, error) {
		n++
		return tokens[min(n, len(tokens))-1], nil
	}
}

// Each mechanism logs in, inside TLS with a server that has proved its name.
func TestAuth(t *testing.T) {
	robot := func(mechanism string) *smtpclient.Credential {
		return &smtpclient.Credential{User: "robot", Token: tokenOf(theToken), Mechanisms: []string{mechanism}}
	}
	for mechanism, c := range map[string]*smtpclient.Credential{
		"PLAIN": ann("PLAIN"), "LOGIN": ann("login"), "CRAM-MD5": ann("CRAM-MD5"),
		"SCRAM-SHA-1": ann("SCRAM-SHA-1"), "SCRAM-SHA-256": ann("SCRAM-SHA-256"),
		"SCRAM-SHA-1-PLUS": ann("SCRAM-SHA-1-PLUS"), "SCRAM-SHA-256-PLUS": ann("SCRAM-SHA-256-PLUS"),
		"XOAUTH2": robot("XOAUTH2"), "OAUTHBEARER": robot("OAUTHBEARER"),
		"EXTERNAL":  {Identity: "ann"},
		"ANONYMOUS": {User: "anonymous", Mechanisms: []string{"ANONYMOUS"}},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := w.smarthost(submission(allMechanisms))
			report := w.deliverAs(c)
			expect(t, report, deliveredBob)
			o := report.Outcomes[0]
			if want := loginOf(c); o.Login != want || s.Messages()[0].Login != want {
				t.Errorf("%s: logged in as %q, the server says %q, want %q", mechanism, o.Login, s.Messages()[0].Login, want)
			}
			if o.TLS.Verified != "pkix" {
				t.Errorf("%s: the server is verified as %q", mechanism, o.TLS.Verified)
			}
			if said := clientLines(s, 0); !slices.ContainsFunc(said, func(l string) bool { return l == "AUTH "+mechanism || strings.HasPrefix(l, "AUTH "+mechanism+" ") }) {
				t.Errorf("%s was not used: %q", mechanism, said)
			}
		})
	}
}

func loginOf(c *smtpclient.Credential) string {
	if c.Identity != "" {
		return c.Identity
	}
	return c.User
}

// A wrong password or token is a deferral that says so, whatever the mechanism.
func TestWrongPassword(t *testing.T) {
	for _, mechanism := range strings.Fields(allMechanisms)[1:10] {
		inWorld(t, func(t *testing.T, w *world) {
			s := w.smarthost(submission(allMechanisms))
			c := &smtpclient.Credential{User: "ann", Password: wrongPassword, Mechanisms: []string{mechanism}}
			if strings.Contains(mechanism, "OAUTH") || strings.Contains(mechanism, "BEARER") {
				c.Password, c.Token = "", tokenOf(staleToken)
			}
			report := w.deliverAs(c)
			expect(t, report, deferredBob+"auth 4.7.8")
			cause := authCause(t, report)
			if cause.Failure != smtpclient.AuthBadCredentials || cause.Mechanism != mechanism || !errors.Is(report.Err(), smtpclient.AuthBadCredentials) {
				t.Errorf("%s: %v", mechanism, report.Err())
			}
			if o := report.Outcomes[0]; o.Reply.Code != 535 || o.Login != "" || o.Times[smtpclient.StageAuth] != 0 {
				t.Errorf("%s: outcome %+v", mechanism, o)
			}
			if c.Token != nil && !strings.Contains(cause.Detail, `"status":"401"`) {
				t.Errorf("%s: the server's JSON is lost: %v", mechanism, report.Err())
			}
			w.settle()
			if said := clientLines(s, 0); said[len(said)-1] != "QUIT" {
				t.Errorf("%s: the client ended with %q", mechanism, said)
			}
		})
	}
}

// The strongest mechanism is taken, of those that the credential can use, the
// caller allows and the channel is good for.
func TestChoiceOfMechanism(t *testing.T) {
	token := &smtpclient.Credential{User: "robot", Token: tokenOf(theToken)}
	for name, tt := range map[string]struct {
		offer []string
		c     *smtpclient.Credential
		level tlspolicy.Level
		want  string // the first AUTH command, or why there was none
	}{
		"strongest":                  {[]string{allMechanisms}, ann(), 0, "SCRAM-SHA-256-PLUS"},
		"strongest without PLUS":     {[]string{"AUTH LOGIN PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"}, ann(), 0, "SCRAM-SHA-256"},
		"CRAM-MD5 before PLAIN":      {[]string{"AUTH PLAIN CRAM-MD5"}, ann(), 0, "CRAM-MD5"},
		"PLAIN before LOGIN":         {[]string{"AUTH LOGIN PLAIN"}, ann(), 0, "PLAIN"},
		"LOGIN only":                 {[]string{"AUTH LOGIN"}, ann(), 0, "LOGIN"},
		"lower case":                 {[]string{"auth plain"}, ann(), 0, "PLAIN"},
		"filter":                     {[]string{allMechanisms}, ann("LOGIN", "PLAIN"), 0, "LOGIN"},
		"filter with nothing left":   {[]string{"AUTH PLAIN LOGIN"}, ann("SCRAM-SHA-256"), 0, "4.7.0 no mechanism"},
		"token":                      {[]string{allMechanisms}, token, 0, "OAUTHBEARER"},
		"token, old server":          {[]string{"AUTH XOAUTH2 PLAIN"}, token, 0, "XOAUTH2"},
		"token, nothing for it":      {[]string{"AUTH PLAIN LOGIN"}, token, 0, "4.7.0 no mechanism"},
		"nothing to show":            {[]string{allMechanisms}, &smtpclient.Credential{}, 0, "EXTERNAL"},
		"old form":                   {[]string{"AUTH=LOGIN PLAIN"}, ann(), 0, "PLAIN"},
		"old form beside new":        {[]string{"AUTH CRAM-MD5", "AUTH=LOGIN"}, ann("LOGIN"), 0, "LOGIN"},
		"anonymous has to be named":  {[]string{"AUTH ANONYMOUS"}, ann(), 0, "4.7.0 no mechanism"},
		"identity needs a place":     {[]string{"AUTH CRAM-MD5 LOGIN PLAIN"}, &smtpclient.Credential{User: "ann", Password: thePassword, Identity: "bob"}, 0, "PLAIN"},
		"no AUTH":                    {nil, ann(), 0, "4.7.4 does not offer AUTH"},
		"AUTH without a mechanism":   {[]string{"AUTH"}, ann(), 0, "4.7.0 no mechanism"},
		"names that are none":        {[]string{"AUTH PLAIN\x01X !! " + strings.Repeat("X", 21)}, ann(), 0, "4.7.0 no mechanism"},
		"PLUS is for TLS only":       {[]string{"AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256"}, ann(), tlspolicy.None, "SCRAM-SHA-256"},
		"A7 PLAIN without TLS":       {[]string{"AUTH PLAIN LOGIN"}, ann(), tlspolicy.None, "4.7.11 no TLS"},
		"A7 token without TLS":       {[]string{"AUTH XOAUTH2 OAUTHBEARER"}, token, tlspolicy.None, "4.7.11 no TLS"},
		"A8 PLAIN to anybody":        {[]string{"AUTH PLAIN LOGIN"}, ann(), tlspolicy.Encrypt, "4.7.11 not proved"},
		"A8 token to anybody":        {[]string{"AUTH XOAUTH2"}, token, tlspolicy.May, "4.7.11 not proved"},
		"SCRAM without TLS":          {[]string{"AUTH PLAIN SCRAM-SHA-1"}, ann(), tlspolicy.None, "SCRAM-SHA-1"},
		"CRAM-MD5 without TLS":       {[]string{"AUTH PLAIN CRAM-MD5"}, ann(), tlspolicy.None, "CRAM-MD5"},
		"Channel none":               {[]string{"AUTH PLAIN"}, on1(ann(), tlspolicy.None), tlspolicy.None, "PLAIN"},
		"Channel encrypt":            {[]string{"AUTH PLAIN"}, on1(ann(), tlspolicy.Encrypt), tlspolicy.Encrypt, "PLAIN"},
		"Channel encrypt, plaintext": {[]string{"AUTH CRAM-MD5"}, on1(ann(), tlspolicy.Encrypt), tlspolicy.None, "4.7.11 wants encrypt"},
		"Channel verify":             {[]string{"AUTH CRAM-MD5"}, on1(ann(), tlspolicy.Verify), tlspolicy.Encrypt, "4.7.11 wants verify"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission(tt.offer...)
			w.wires.open = name == "Channel none"
			if tt.offer == nil {
				s.Passwords = nil
			}
			w.smarthost(s)
			if tt.level != 0 {
				w.client.TLS = tt.level
			}
			report := w.deliverAs(tt.c)
			var got string
			for _, line := range clientLines(s, 0) {
				if mechanism, ok := strings.CutPrefix(line, "AUTH "); ok {
					got, _, _ = strings.Cut(mechanism, " ")
				}
			}
			code, words, refused := strings.Cut(tt.want, " ")
			o := report.Outcomes[0]
			if !refused && (got != tt.want || o.Status != smtpclient.Delivered) {
				t.Errorf("%s: used %q, want %q: %v", name, got, tt.want, o.Err())
			}
			if refused && (got != "" || o.Enhanced != code || o.Stage != smtpclient.StageAuth || !strings.Contains(o.Err().Error(), words)) {
				t.Errorf("%s: used %q, outcome %s %v, want %q", name, got, o.Enhanced, o.Err(), tt.want)
			}
		})
	}
}

func on1(c *smtpclient.Credential, channel tlspolicy.Level) *smtpclient.Credential {
	c.Channel = channel
	return c
}

// With a credential and no level set, the server has to prove its name; nothing is
// shown to one that cannot, or has no TLS. Without a credential the same servers
// get the message.
func TestCredentialNeedsVerifiedServer(t *testing.T) {
	for name, change := range map[string]func(s *smtptest.Server){
		"another name": func(s *smtptest.Server) { s.Certificate.Names = []string{"mx.example.com"} },
		"self-signed":  func(s *smtptest.Server) { s.Certificate.SelfSigned = true },
		"no TLS":       func(s *smtptest.Server) { s.Extensions = []string{"AUTH PLAIN"} },
	} {
		for _, level := range []tlspolicy.Level{0, tlspolicy.May} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				s := submission("AUTH PLAIN SCRAM-SHA-1")
				change(s)
				w.smarthost(s)
				if level != 0 {
					w.client.TLS = level
				}
				report := w.deliverAs(ann("PLAIN"))
				if o := report.Outcomes[0]; o.Status != smtpclient.Deferred || strings.Contains(strings.Join(clientLines(s, 0), "\n"), "AUTH") {
					t.Errorf("%s, level %v: %v; the client said %q", name, level, o.Err(), clientLines(s, 0))
				}
				if level == tlspolicy.May {
					w.client.Auth = nil
					expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), deliveredBob)
				}
			})
		}
	}
}

// Where there is a credential, a failure of TLS is not followed by plaintext: not
// on a new connection, and not on the same.
func TestNoPlaintextFallbackWithCredential(t *testing.T) {
	for name, change := range map[string]func(s *smtptest.Server){
		"handshake fails": func(s *smtptest.Server) {
			s.TLSConfig = &tls.Config{MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10, CipherSuites: []uint16{0xfefe}}
		},
		"STARTTLS refused": func(s *smtptest.Server) { s.Script = on("STARTTLS", action{Reply: "454 4.7.0 not now"}) },
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			s := submission("AUTH SCRAM-SHA-1")
			change(s)
			w.smarthost(s)
			w.client.TLS = tlspolicy.May
			report := w.deliverAs(ann())
			if o := report.Outcomes[0]; o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageStartTLS || s.Sessions() != 1 {
				t.Errorf("%s: %v, %d sessions", name, o.Err(), s.Sessions())
			}
			w.client.Auth = nil
			expect(t, w.deliver(t.Context(), fromAnn("bob@example.net"), hello), deliveredBob)
		})
	}
}

// A credential is for configured next hops. The servers of a recipient's domain
// are asked about, and get nothing unless the caller says so.
func TestCredentialIsForConfiguredNextHops(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.mx(10, submission(allMechanisms))
		expect(t, w.deliverAs(ann()), deliveredBob)
		if got := s.Messages()[0].Login; got != "" {
			t.Errorf("logged in as %q with a stranger", got)
		}
		var asked []smtpclient.CredentialQuery
		w.client.TLS = tlspolicy.Policy{Roots: s.Roots()}
		w.client.Auth = credentialHook(func(q smtpclient.CredentialQuery) (*smtpclient.Credential, error) {
			asked = append(asked, q)
			return ann(), nil
		})
		expect(t, w.deliver(t.Context(), fromAnn("carol@example.net"), hello), "carol@example.net delivered data-done 2.0.0")
		if q := asked[0]; len(asked) != 1 || q.From != "ann@example.org" || q.Host != "mx10.example.net" || q.NextHop.String() != "example.net" || q.Configured {
			t.Errorf("asked about %+v", asked)
		}
		if got := s.Messages()[1].Login; got != "ann" {
			t.Errorf("logged in as %q", got)
		}
	})
}

type credentialHook func(q smtpclient.CredentialQuery) (*smtpclient.Credential, error)

func (l credentialHook) Lookup(_ context.Context, q smtpclient.CredentialQuery) (*smtpclient.Credential, error) {
	return l(q)
}

// No credential is no AUTH, an error makes the mail wait.
func TestCredentialLookup(t *testing.T) {
	lost := errors.New("the vault is locked")
	for name, tt := range map[string]struct {
		c    smtpclient.Credentials
		want string
	}{
		"none":           {credentialHook(func(smtpclient.CredentialQuery) (*smtpclient.Credential, error) { return nil, nil }), deliveredBob},
		"error":          {credentialHook(func(smtpclient.CredentialQuery) (*smtpclient.Credential, error) { return nil, lost }), deferredBob + "auth 4.3.0"},
		"A21 NUL":        {&smtpclient.Credential{User: "ann", Password: thePassword + "\x00"}, deferredBob + "input 4.3.5"},
		"A21 line end":   {&smtpclient.Credential{User: "ann", Password: thePassword + "\n"}, deferredBob + "input 4.3.5"},
		"A21 user":       {&smtpclient.Credential{User: "ann\x01", Password: thePassword}, deferredBob + "input 4.3.5"},
		"A21 identity":   {&smtpclient.Credential{User: "ann", Identity: "b\rob", Password: thePassword}, deferredBob + "input 4.3.5"},
		"A21 token":      {&smtpclient.Credential{User: "robot", Token: tokenOf(theToken + "\x01")}, deferredBob + "auth 4.3.0"},
		"empty token":    {&smtpclient.Credential{User: "robot", Token: tokenOf("")}, deferredBob + "auth 4.3.0"},
		"no such level":  {&smtpclient.Credential{User: "ann", Password: thePassword, Channel: 77}, deferredBob + "input 4.3.5"},
		"token is error": {&smtpclient.Credential{User: "robot", Token: func(context.Context) (string, error) { return "", lost }}, deferredBob + "auth 4.3.0"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := w.smarthost(submission("AUTH PLAIN XOAUTH2"))
			if tt.want == deliveredBob {
				w.client.TLS = tlspolicy.May
			}
			report := w.deliverAs(tt.c)
			expect(t, report, tt.want)
			if strings.Contains(name, "error") && !errors.Is(report.Err(), lost) {
				t.Errorf("%s: %v", name, report.Err())
			}
			if tt.want != deliveredBob && s.Sessions() != 0 {
				t.Errorf("%s: something was said", name)
			}
		})
	}
}

// The table is asked by sender, host and next hop, in this order.
func TestCredentialTable(t *testing.T) {
	named := func(user string) *smtpclient.Credential {
		return &smtpclient.Credential{User: user, Password: thePassword}
	}
	sender, host, hop := named("by sender"), named("by host"), named("by next hop")
	full := smtpclient.CredentialTable{"Ann@example.org": sender, "smtp.example.net": host, "[smtp.example.net]:587": hop}
	without := func(keys ...string) smtpclient.CredentialTable {
		rest := smtpclient.CredentialTable{}
		for k, v := range full {
			if !slices.Contains(keys, k) {
				rest[k] = v
			}
		}
		return rest
	}
	for name, tt := range map[string]struct {
		table smtpclient.CredentialTable
		want  string
	}{
		"sender":   {full, "by sender"},
		"host":     {without("Ann@example.org"), "by host"},
		"next hop": {without("Ann@example.org", "smtp.example.net"), "by next hop"},
		"nothing":  {without("Ann@example.org", "smtp.example.net", "[smtp.example.net]:587"), ""},
		"nil ends": {smtpclient.CredentialTable{"ann@example.org": nil, "smtp.example.net": host}, ""},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission("AUTH PLAIN")
			s.Passwords = map[string]string{"by sender": thePassword, "by host": thePassword, "by next hop": thePassword}
			w.smarthost(s)
			if tt.want == "" {
				w.client.TLS = tlspolicy.May
			}
			expect(t, w.deliverAs(tt.table), deliveredBob)
			if got := s.Messages()[0].Login; got != tt.want {
				t.Errorf("%s: logged in as %q, want %q", name, got, tt.want)
			}
		})
	}
	// A sender is no reason to show a password to the servers of a recipient.
	inWorld(t, func(t *testing.T, w *world) {
		s := w.mx(10, submission("AUTH PLAIN"))
		expect(t, w.deliverAs(full), deliveredBob)
		if got := s.Messages()[0].Login; got != "" {
			t.Errorf("logged in as %q with a stranger", got)
		}
	})
}

// A mechanism of the caller's own is used before ours, for a proved server only.
func TestOwnMechanism(t *testing.T) {
	own := func(err error) *smtpclient.Credential {
		c := ann()
		c.SASL = func(mechanism string, cs *tls.ConnectionState) (sasl.Client, error) {
			if mechanism != "X-SONG" {
				return nil, nil
			}
			return &song{last: err}, nil
		}
		return c
	}
	for name, tt := range map[string]struct {
		c       *smtpclient.Credential
		level   tlspolicy.Level
		replies []string
		want    string
	}{
		"logs in":         {own(nil), 0, []string{"334 bGE=", "235 you can sing"}, deliveredBob},
		"has no PLAIN":    {own(nil), tlspolicy.None, nil, deferredBob + "auth 4.7.11"},
		"does not trust":  {own(errors.New("out of tune")), 0, []string{"334 bGE=", "235 you can sing"}, deferredBob + "auth 4.7.0"},
		"gives up itself": {own(nil), 0, []string{"334 bG9sbw==", "501 cancelled"}, deferredBob + "auth 4.7.0"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			s := submission("AUTH PLAIN X-SONG")
			if tt.replies != nil {
				s.Script = script(tt.replies...)
			}
			w.smarthost(s)
			if tt.level != 0 {
				w.client.TLS = tt.level
			}
			report := w.deliverAs(tt.c)
			if expect(t, report, tt.want); t.Failed() {
				t.Errorf("%s: %q", name, clientLines(s, 0))
			}
		})
	}
	// LOGIN with an initial response, for a server that wants it, is go-sasl's.
	inWorld(t, func(t *testing.T, w *world) {
		s := w.smarthost(submission("AUTH LOGIN"))
		c := ann("LOGIN")
		c.SASL = func(string, *tls.ConnectionState) (sasl.Client, error) {
			return sasl.NewLoginClient("ann", thePassword), nil
		}
		expect(t, w.deliverAs(c), deliveredBob)
		if got := strings.Join(clientLines(s, 0), "\n"); !strings.Contains(got, "AUTH LOGIN YW5u\n") || s.Messages()[0].Login != "ann" {
			t.Errorf("the client said %s", got)
		}
	})
	// A panic in it is an error, without the secret that it may quote.
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.smarthost(submission("AUTH PLAIN"))
		c := ann()
		c.SASL = func(string, *tls.ConnectionState) (sasl.Client, error) { panic("cannot use " + thePassword) }
		report := w.deliverAs(c)
		expect(t, report, deferredBob+"auth 4.3.0")
		if text := report.Err().Error(); !strings.Contains(text, "cannot use ***") {
			t.Error(text)
		}
	})
}

// singer has a mechanism of its own.
func singer() *smtpclient.Credential {
	return &smtpclient.Credential{User: "ann", SASL: func(string, *tls.ConnectionState) (sasl.Client, error) { return &song{}, nil }}
}

type song struct{ last error }

func (s *song) Start() (string, []byte, error) { return "X-SONG", nil, nil }
func (s *song) Next(challenge []byte) ([]byte, error) {
	if string(challenge) != "la" {
		return nil, errors.New("cannot sing that")
	}
	return []byte("lala"), nil
}
func (s *song) Done() error { return s.last }
