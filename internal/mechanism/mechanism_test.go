package mechanism_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"

	sasl "github.com/emersion/go-sasl"

	"github.com/postrider/postrider/internal/mechanism"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// played has a client say its part, and gives what it said. The first challenge
// answers an initial response.
func played(t *testing.T, c sasl.Client, challenges ...string) (said []string, err error) {
	t.Helper()
	_, first, err := c.Start()
	if err != nil {
		return nil, err
	}
	if first != nil {
		said = append(said, string(first))
	}
	for _, challenge := range challenges {
		response, err := c.Next([]byte(challenge))
		if err != nil {
			return said, err
		}
		said = append(said, string(response))
	}
	return said, nil
}

func done(c sasl.Client) error { return c.(interface{ Done() error }).Done() }

func newSCRAM(t *testing.T, s mechanism.SCRAM) sasl.Client {
	t.Helper()
	c, err := mechanism.NewSCRAM(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The vectors of RFC 5802, Section 5, and RFC 7677, Section 3.
func TestSCRAMVectors(t *testing.T) {
	for name, v := range map[string]struct{ nonce, first, final, proof, signature string }{
		"SCRAM-SHA-1": {
			"fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,",
			"p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
		"SCRAM-SHA-256": {
			"rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,",
			"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	} {
		c := newSCRAM(t, mechanism.SCRAM{Name: name, User: "user", Password: "pencil", Nonce: v.nonce})
		said, err := played(t, c, v.first)
		if err != nil || said[0] != "n,,n=user,r="+v.nonce || said[1] != v.final+v.proof {
			t.Errorf("%s said %q, %v", name, said, err)
		}
		if done(c) == nil {
			t.Errorf("%s believes a server that has proved nothing", name)
		}
		if response, err := c.Next([]byte(v.signature)); err != nil || len(response) != 0 || done(c) != nil {
			t.Errorf("%s: %q, %v, %v", name, response, err, done(c))
		}
		if _, err := c.Next(nil); err == nil {
			t.Errorf("%s goes on after its end", name)
		}
	}
}

// A10: a server that lies in any step is refused.
func TestSCRAMLies(t *testing.T) {
	const (
		good  = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
		right = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="
	)
	for name, challenges := range map[string][]string{
		"another nonce":             {strings.Replace(good, "fyko", "gyko", 1), right},
		"nonce not extended":        {strings.Replace(good, "3rfcNHYJY1ZVvWVs7j", "", 1), right},
		"nonce cut":                 {strings.Replace(good, "qkxdawL3rfcNHYJY1ZVvWVs7j", "", 1), right},
		"one iteration":             {strings.Replace(good, "4096", "1", 1), right},
		"fewer iterations":          {strings.Replace(good, "4096", "4095", 1), right},
		"too many iterations":       {strings.Replace(good, "4096", "300001", 1), right},
		"2^31 iterations":           {strings.Replace(good, "4096", "2147483648", 1), right},
		"negative iterations":       {strings.Replace(good, "4096", "-4096", 1), right},
		"iterations out of range":   {strings.Replace(good, "4096", "99999999999999999999", 1), right},
		"extension":                 {"m=more," + good, right},
		"extension at the end":      {good + ",m=more", right},
		"salt is not base64":        {strings.Replace(good, "QSXC", "!!!!", 1), right},
		"no salt":                   {"r=fyko+d2lbbFgONRv9qkxdawL3rfc,i=4096", right},
		"empty":                     {"", right},
		"wrong signature":           {good, "v=rmF9pqV8S7suAoZWja4dJRkFsKY="},
		"signature cut":             {good, "v=rmF9"},
		"no signature":              {good, ""},
		"an error, then success":    {good, "e=invalid-proof"},
		"success without a word":    {},
		"success after the first":   {good},
		"error in the place of all": {"e=other-error"},
	} {
		c := newSCRAM(t, mechanism.SCRAM{Name: "SCRAM-SHA-1", User: "user", Password: "pencil", Nonce: "fyko+d2lbbFgONRv9qkxdawL"})
		_, err := played(t, c, challenges...)
		if trusted := done(c) == nil; trusted {
			t.Errorf("%s: the server is believed (%v)", name, err)
		}
		if n := len(challenges); n == 2 && err == nil && !strings.HasPrefix(challenges[1], "e=") {
			t.Errorf("%s: no error", name)
		}
	}
}

// RFC 5929, Section 4: a channel without a secret of its own is known by the server's
// certificate; RFC 9266: else by the secret. Here crypto/tls is told to have none, as
// it has none where TLS 1.2 lacks the extended master secret.
func TestSCRAMChannelBinding(t *testing.T) {
	for name, tt := range map[string]struct {
		version uint16
		secret  bool
		want    string
	}{
		"TLS 1.3":                  {tls.VersionTLS13, true, "p=tls-exporter,,"},
		"TLS 1.2":                  {tls.VersionTLS12, true, "p=tls-exporter,,"},
		"TLS 1.2 without a secret": {tls.VersionTLS12, false, "p=tls-server-end-point,,"},
	} {
		server := &smtptest.Server{ImplicitTLS: true}
		defer server.Close()
		raw, err := server.DialContext(t.Context(), "tcp", "192.0.2.1:465")
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{MaxVersion: tt.version, ServerName: "mx.example.net", RootCAs: server.Roots()}
		if !tt.secret {
			config.Renegotiation = tls.RenegotiateOnceAsClient
		}
		conn := tls.Client(raw, config)
		defer conn.Close()
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		state := conn.ConnectionState()
		c := newSCRAM(t, mechanism.SCRAM{Name: "SCRAM-SHA-256-PLUS", User: "user", Password: "pencil", TLS: &state, Nonce: "abc"})
		said, err := played(t, c, "r=abcdef,s=QSXCR+Q6sek8bf92,i=4096")
		if err != nil || !strings.HasPrefix(said[0], tt.want+"n=user,") {
			t.Fatalf("%s: said %q, %v", name, said, err)
		}
		encoded, _, _ := strings.Cut(strings.TrimPrefix(said[1], "c="), ",")
		bound, _ := base64.StdEncoding.DecodeString(encoded)
		data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if !tt.secret {
			if err == nil {
				t.Errorf("%s: there is a secret, so that nothing is tested", name)
			}
			sum := sha256.Sum256(state.PeerCertificates[0].Raw)
			data = sum[:]
		}
		if string(bound) != tt.want+string(data) {
			t.Errorf("%s: bound to %q, want %q and %x", name, bound, tt.want, data)
		}
	}
}

// What a response has that was made of the password is told, so that it can be kept
// out of logs.
func TestMade(t *testing.T) {
	c := newSCRAM(t, mechanism.SCRAM{Name: "SCRAM-SHA-1", User: "user", Password: "pencil", Nonce: "fyko+d2lbbFgONRv9qkxdawL"})
	for client, challenge := range map[sasl.Client]string{
		c: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		mechanism.CRAMMD5("tim", "tanstaaftanstaaf"): "<1896.697170952@postoffice.reston.mci.net>",
	} {
		said, err := played(t, client, challenge)
		if err != nil {
			t.Fatal(err)
		}
		made := client.(interface{ Made() string }).Made()
		if made != "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=" && made != "b913a602c7eda7a495b4e6e7334d3890" || !strings.HasSuffix(said[len(said)-1], made) {
			t.Errorf("%q has %q", said, made)
		}
	}
}

// Names are prepared and escaped: RFC 5802, Section 5.1.
func TestSCRAMNames(t *testing.T) {
	c := newSCRAM(t, mechanism.SCRAM{Name: "SCRAM-SHA-256", User: "a=b,c", Password: "pencil", Identity: "x,y", Nonce: "abc"})
	if said, err := played(t, c); err != nil || said[0] != "n,a=x=2Cy,n=a=3Db=2Cc,r=abc" {
		t.Errorf("said %q, %v", said, err)
	}
	_, err := mechanism.NewSCRAM(mechanism.SCRAM{Name: "SCRAM-SHA-256", User: "ann", Password: "pen\u200ecil\u0007"})
	if err == nil || strings.Contains(err.Error(), "pen") {
		t.Errorf("a forbidden character in the password: %v", err)
	}
	if _, err := mechanism.NewSCRAM(mechanism.SCRAM{Name: "SCRAM-SHA-256-PLUS", User: "ann", Password: "pencil"}); err == nil {
		t.Error("-PLUS without TLS")
	}
	one := newSCRAM(t, mechanism.SCRAM{Name: "SCRAM-SHA-256", User: "ann", Password: "pencil"})
	two := newSCRAM(t, mechanism.SCRAM{Name: "SCRAM-SHA-256", User: "ann", Password: "pencil"})
	first, _ := played(t, one)
	second, _ := played(t, two)
	if first[0] == second[0] {
		t.Errorf("the nonce is not random: %q", first)
	}
}

// The vector of RFC 2195, Section 2.
func TestCRAMMD5(t *testing.T) {
	c := mechanism.CRAMMD5("tim", "tanstaaftanstaaf")
	if done(c) == nil {
		t.Error("success before the challenge is believed")
	}
	said, err := played(t, c, "<1896.697170952@postoffice.reston.mci.net>")
	if err != nil || said[0] != "tim b913a602c7eda7a495b4e6e7334d3890" || done(c) != nil {
		t.Errorf("said %q, %v, %v", said, err, done(c))
	}
	if _, err := c.Next([]byte("<another>")); err == nil {
		t.Error("two challenges are answered")
	}
	if _, err := played(t, mechanism.CRAMMD5("tim", "tanstaaftanstaaf"), ""); err == nil {
		t.Error("an empty challenge is answered")
	}
}

// The examples of RFC 7628, Sections 4.1 and 4.4, the first in base64 as it stands
// there.
func TestOAuthBearer(t *testing.T) {
	const token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
	c := mechanism.OAuthBearer(mechanism.OAuth{Identity: "user@example.com", Host: "server.example.com", Port: 587, Token: token})
	want := "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
	said, err := played(t, c)
	if got := base64.StdEncoding.EncodeToString([]byte(said[0])); err != nil || got != want || done(c) != nil {
		t.Errorf("said %s, %v", got, err)
	}
	const failure = `{"status":"invalid_token","schemes":"bearer mac","scope":"https://mail.example.com/"}`
	if response, err := c.Next([]byte(failure)); err != nil || string(response) != "\x01" {
		t.Errorf("after a failure it says %q, %v", response, err)
	}
	if detail := c.(interface{ Detail() string }).Detail(); detail != failure || done(c) == nil {
		t.Errorf("detail %q, done %v", detail, done(c))
	}
	if _, err := c.Next(nil); err == nil {
		t.Error("it goes on after a failure")
	}
	c = mechanism.OAuthBearer(mechanism.OAuth{Identity: "a=b,c", Token: token})
	if said, _ := played(t, c); !strings.HasPrefix(said[0], "n,a=a=3Db=2Cc,\x01auth=Bearer ") {
		t.Errorf("said %q", said)
	}
}

// XOAUTH2 answers a failure with nothing.
func TestXOAuth2(t *testing.T) {
	c := mechanism.XOAuth2("someuser@example.com", "ya29.vF9dft4q")
	said, err := played(t, c, `{"status":"400"}`)
	if err != nil || said[0] != "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4q\x01\x01" || said[1] != "" || done(c) == nil {
		t.Errorf("said %q, %v, %v", said, err, done(c))
	}
}

// LOGIN goes by the order of the prompts, not by their words.
func TestLogin(t *testing.T) {
	for _, prompts := range [][]string{{"Username:", "Password:"}, {"User Name\x00", "Password\x00"}, {"", ""}, {"Password:", "Username:"}, {"Benutzer?", "Kennwort?"}} {
		c := mechanism.Login("ann", "sesame")
		said, err := played(t, c, prompts...)
		if err != nil || strings.Join(said, " ") != "ann sesame" || done(c) != nil {
			t.Errorf("%q: said %q, %v", prompts, said, err)
		}
		if _, err := c.Next([]byte("Really?")); err == nil {
			t.Errorf("%q: a third question is answered", prompts)
		}
	}
	c := mechanism.Login("ann", "sesame")
	played(t, c, "Username:")
	if done(c) == nil {
		t.Error("success before the password is believed")
	}
}

// Whatever a server says in the place of a challenge: no panic, no secret in the
// error, and SCRAM believes nobody who does not know the password.
func FuzzChallenges(f *testing.F) {
	f.Add("r=fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", "")
	f.Add(`{"status":"401"}`, "", "x")
	f.Add("<1896.697170952@mx>", "e=other-error", "m=1")
	f.Fuzz(func(t *testing.T, one, two, three string) {
		const secret = "tanstaaf-3jD8-tanstaaf"
		scram, err := mechanism.NewSCRAM(mechanism.SCRAM{Name: "SCRAM-SHA-1", User: "user", Password: secret, Nonce: "fyko+d2lbbFgONRv9qkxdawL"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []sasl.Client{scram, mechanism.Login("ann", secret), mechanism.CRAMMD5("ann", secret),
			mechanism.XOAuth2("ann", secret), mechanism.OAuthBearer(mechanism.OAuth{Token: secret})} {
			_, err := played(t, c, one, two, three)
			if err == nil && c != scram { // three challenges are too many for any
				t.Errorf("%T takes %q, %q and %q", c, one, two, three)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%T: %v", c, err)
			}
		}
		if done(scram) == nil {
			t.Errorf("SCRAM believes %q, %q and %q", one, two, three)
		}
	})
}
