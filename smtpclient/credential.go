package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	sasl "github.com/emersion/go-sasl"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// Credentials finds the credential for a server. A nil Credential without an
// error is none: the mail goes without AUTH. An error makes the mail wait (4.3.0).
// Lookup may be called from many goroutines, once for each host that is tried, and
// returns when ctx ends.
type Credentials interface {
	Lookup(ctx context.Context, q CredentialQuery) (*Credential, error)
}

// CredentialQuery is about one host that is about to be tried.
type CredentialQuery struct {
	From    string          // reverse path; "" is the null reverse path
	NextHop resolve.NextHop // that led to the host
	Host    string          // its name, or its address as text where it has none
	// Configured tells that the next hop is one of Client.NextHops,
	// Envelope.NextHops or Client.Fallback, and not the domain of a recipient,
	// whose servers are strangers.
	Configured bool
}

// Credential is what is shown to a server with AUTH (RFC 4954). It is also a
// Credentials: itself for every configured next hop, and none for the servers of
// a recipient's domain.
//
// It does not print its secret: not by fmt, slog or encoding/json, whatever it
// stands in. Only an unexported field of another struct gets around that, since fmt
// cannot call methods there, and %s goes through pointers: what holds one in such a
// field and may be printed should have it behind a function.
//
// A Credential must not change after its first use.
type Credential struct {
	User, Password string
	// Token gives a token of OAuth 2.0, for XOAUTH2 and OAUTHBEARER, in the place
	// of the password. It is asked before each connection, and once more, for a
	// new connection, if the server refuses the token: a source that remembers
	// should look at the time then. nil: Password.
	Token func(ctx context.Context) (string, error)
	// Identity is whom to act for. "": User. CRAM-MD5, LOGIN and XOAUTH2 have no
	// place for it and are not used with it.
	Identity string
	// Mechanisms are those that may be used, best first, as "SCRAM-SHA-256"; in
	// any case of letters. nil: the strongest that the server offers, of SCRAM
	// (with channel binding first), CRAM-MD5, PLAIN and LOGIN with a password,
	// OAUTHBEARER and XOAUTH2 with a token, and EXTERNAL with neither. ANONYMOUS
	// has to be named here.
	Mechanisms []string
	// Channel is the least that the connection must have come to before anything is
	// shown, as tlspolicy.Level.Meets has it: at DANE an authority's word for the name
	// is not enough, nor are TLSA records at Verify.
	// Zero: PLAIN, LOGIN, tokens and mechanisms of one's own are for a server only
	// that has proved its name inside TLS; the others show nothing that could be
	// used again, and are for any channel that the TLS policy takes. None: any
	// mechanism goes in plaintext.
	Channel tlspolicy.Level
	// SASL brings mechanisms of one's own. It is asked about mechanisms that the
	// server offers and Mechanisms allows, before those that are built in; cs is
	// nil in plaintext. A nil client without an error is: not this one. If the
	// client has a method Done() error, that is asked when the server claims
	// success. nil: none.
	SASL func(mechanism string, cs *tls.ConnectionState) (sasl.Client, error)

	ownOnly bool // there is nothing but SASL; see SendMail
}

// Lookup implements Credentials.
func (c *Credential) Lookup(_ context.Context, q CredentialQuery) (*Credential, error) {
	if !q.Configured {
		return nil, nil
	}
	return c, nil
}

// CredentialTable is a Credentials with keys as Postfix's smtp_sasl_password_maps:
// the sender, as "ann@example.org", the host, as "mx.example.net", or the next
// hop, as "[smtp.example.net]:587", tried in this order. Domains are in lower
// case. A sender counts for configured next hops only, whatever its letters; a nil
// value is no AUTH, and ends the search.
type CredentialTable map[string]*Credential

// Lookup implements Credentials.
func (t CredentialTable) Lookup(_ context.Context, q CredentialQuery) (*Credential, error) {
	if q.Configured && q.From != "" {
		for sender, c := range t {
			if strings.Contains(sender, "@") && strings.EqualFold(sender, q.From) {
				return c, nil
			}
		}
	}
	if c, ok := t[strings.ToLower(q.Host)]; ok {
		return c, nil
	}
	return t[q.NextHop.String()], nil
}

// login is the identity for reports.
func (c *Credential) login() string {
	if c.Identity != "" {
		return c.Identity
	}
	return c.User
}

// fault is what no mechanism can carry, or nil. It names the field and quotes
// nothing.
func (c *Credential) fault() error {
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.ContainsFunc(c.User, isControl) {
		return errors.New("Credential.User: it holds a control character")
	}
	if strings.ContainsFunc(c.Identity, isControl) {
		return errors.New("Credential.Identity: it holds a control character")
	}
	if strings.ContainsAny(c.Password, "\x00\r\n") {
		return errors.New("Credential.Password: it holds NUL or a line end; was it read from a file with its last line end?")
	}
	if c.Channel > tlspolicy.Secure {
		return fmt.Errorf("Credential.Channel: %v is no level", c.Channel)
	}
	return nil
}

// token asks the source.
func (c *Credential) token(ctx context.Context) (token string, err error) {
	defer func() {
		if p := recover(); p != nil {
			token, err = "", fmt.Errorf("Credential.Token: %w", panicked(p))
		}
	}()
	token, err = c.Token(ctx)
	if err != nil {
		return "", fmt.Errorf("Credential.Token: %w", err)
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("Credential.Token: it gave a token that is empty or holds a character that no token has (RFC 6750, Section 2.1)")
	}
	return token, nil
}

// String gives the user, and that there is a secret.
func (c Credential) String() string {
	var secret string
	switch {
	case c.Token != nil:
		secret = " with a token"
	case c.Password != "":
		secret = " with a password"
	}
	return fmt.Sprintf("credential of %q%s", c.login(), secret)
}

// GoString is String.
func (c Credential) GoString() string { return c.String() }

// Format prints String for every verb and flag.
func (c Credential) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// LogValue is String.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String, for JSON and the like; there is no way back.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
