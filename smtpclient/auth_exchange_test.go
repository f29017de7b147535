package smtpclient_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// TestAuthOutcomes has a server answer AUTH as it should not. Names begin with the
// fault's number in the catalogue. Nothing that is said to AUTH fails a recipient,
// and a second next hop gets the message.
func TestAuthOutcomes(t *testing.T) {
	plain, login, cram, scram, xoauth := "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"
	for _, tt := range []struct {
		name      string
		mechanism string
		replies   []string // to AUTH and to what follows
		want      string   // the outcome
		failure   smtpclient.AuthFailure
		last      string // the last line that the client said in the exchange
	}{
		{"A1 535", plain, []string{"535 5.7.8 no"}, "auth 4.7.8", smtpclient.AuthBadCredentials, "AUTH PLAIN"},
		{"A1 535 without a code", plain, []string{"535 no"}, "auth 4.7.8", smtpclient.AuthBadCredentials, "AUTH PLAIN"},
		{"A1 535 of Exchange", login, []string{"334 ", "334 ", "535 5.7.3 Authentication unsuccessful"}, "auth 4.7.3", smtpclient.AuthBadCredentials, ""},
		{"A2 454", plain, []string{"454 4.7.0 later"}, "auth 4.7.0", smtpclient.AuthTemporary, "AUTH PLAIN"},
		{"A2 451", plain, []string{"451 4.3.0 the database is away"}, "auth 4.3.0", smtpclient.AuthTemporary, "AUTH PLAIN"},
		{"A3 534", plain, []string{"534 5.7.9 too weak"}, "auth 4.7.9", smtpclient.AuthWeak, "AUTH PLAIN"},
		{"A3 538", plain, []string{"538 encryption required"}, "auth 4.7.11", smtpclient.AuthEncryptionRequired, "AUTH PLAIN"},
		{"A4 432", cram, []string{"432 4.7.12 transition"}, "auth 4.7.12", smtpclient.AuthTransition, "AUTH CRAM-MD5"},
		{"A4 500", plain, []string{"500 5.5.6 line too long"}, "auth 4.5.6", smtpclient.AuthRefused, "AUTH PLAIN"},
		{"A4 501", plain, []string{"501 5.5.2 bad base64"}, "auth 4.5.2", smtpclient.AuthRefused, "AUTH PLAIN"},
		{"A4 504", plain, []string{"504 5.5.4 mechanism"}, "auth 4.5.4", smtpclient.AuthRefused, "AUTH PLAIN"},
		{"530", plain, []string{"530 5.7.0 STARTTLS first"}, "auth 4.7.0", smtpclient.AuthRequired, "AUTH PLAIN"},
		{"500 of ZMailer", login, []string{"334 ", "334 ", "500 5.7.0 failed"}, "auth 4.7.0", smtpclient.AuthRefused, ""},
		{"421", plain, []string{"421 4.7.0 too many failures"}, "auth 4.7.0", smtpclient.AuthTemporary, "AUTH PLAIN"},
		{"235 at once", login, []string{"235 ok"}, "auth 4.7.0", smtpclient.AuthUnproven, "AUTH LOGIN"},
		{"235 after the user", login, []string{"334 ", "235 ok"}, "auth 4.7.0", smtpclient.AuthUnproven, ""},
		{"235 to CRAM-MD5 at once", cram, []string{"235 ok"}, "auth 4.7.0", smtpclient.AuthUnproven, ""},
		{"250 to AUTH", plain, []string{"250 ok"}, "auth 4.5.0", 0, "AUTH PLAIN"},
		{"354 to AUTH", plain, []string{"354 go"}, "auth 4.5.0", 0, "AUTH PLAIN"},
		{"220 to AUTH", plain, []string{"220 hello"}, "auth 4.5.0", 0, "AUTH PLAIN"},
		{"A10 235 at once", scram, []string{"235 2.7.0 welcome"}, "auth 4.7.0", smtpclient.AuthUnproven, "AUTH SCRAM-SHA-256"},
		{"A10 another nonce", scram, []string{"334 " + b64("r=abc,s=QSXCR+Q6sek8bf92,i=4096"), "501 ok"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A10 an error at once", scram, []string{"334 " + b64("e=unknown-user"), "535 5.7.8 no"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A12 challenges without end", xoauth, []string{"334 e30=", "334 e30=", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A12 a third prompt", login, []string{"334 ", "334 ", "334 ", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A13 challenge is not base64", cram, []string{"334 <1@mx>", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A13 challenge with a blank", cram, []string{"334 PDE= QG14Pg==", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A13 challenge is =", cram, []string{"334 =", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A13 challenge is empty", cram, []string{"334 ", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A13 padding with bits", cram, []string{"334 PDE+PE==", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A13 challenge is long", cram, []string{"334 " + strings.Repeat("QUJD", 3072), "535 no"}, "auth 4.7.8", smtpclient.AuthBadCredentials, ""},
		{"A13 challenge is too long", cram, []string{"334 " + strings.Repeat("QUJD", 3073)}, "auth 4.5.0", 0, ""},
		{"cancel answered 235", cram, []string{"334 !", "235 welcome"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"cancel answered 334", cram, []string{"334 !", "334 "}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"challenge to an initial response", plain, []string{"334 ", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A15 error in JSON", "OAUTHBEARER", []string{"334 " + b64(`{"status":"invalid_token"}`), "535 5.7.8 no"}, "auth 4.7.8", smtpclient.AuthBadCredentials, "AQ=="},
		{"A15 error, and no end", "OAUTHBEARER", []string{"334 " + b64(`{"status":"invalid_token"}`), "334 ", "501 cancelled"}, "auth 4.7.0", smtpclient.AuthBroken, "*"},
		{"A16 error in JSON", xoauth, []string{"334 " + b64(`{"status":"400"}`), "535 5.7.8 no"}, "auth 4.7.8", smtpclient.AuthBadCredentials, ""},
		{"A16 error, then success", xoauth, []string{"334 " + b64(`{"status":"400"}`), "235 ok"}, "auth 4.7.0", smtpclient.AuthUnproven, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true // the server's words make the client look bad
				s := submission(allMechanisms)
				s.Script = script(tt.replies...)
				w.smarthost(s)
				second := &smtptest.Server{}
				w.mx(30, second)
				c := ann(tt.mechanism)
				if tt.mechanism == xoauth || tt.mechanism == "OAUTHBEARER" {
					c = &smtpclient.Credential{User: "robot", Token: tokenOf(theToken), Mechanisms: []string{tt.mechanism}}
				}
				report := w.deliverAs(c)
				expect(t, report, deferredBob+tt.want)
				o := report.Outcomes[0]
				if tt.failure != 0 && !errors.Is(o.Err(), tt.failure) {
					t.Errorf("the failure is %v, want %v", o.Err(), tt.failure)
				}
				if o.Login != "" {
					t.Errorf("logged in as %q", o.Login)
				}
				w.settle()
				said := clientLines(s, 0)
				if end := len(said) - 1; said[end] == "QUIT" {
					said = said[:end]
				}
				if got := said[len(said)-1]; !strings.HasPrefix(got, tt.last) {
					t.Errorf("the last that the client said is %q, want %q", got, tt.last)
				}
				w.client.AuthMemory.TTL = -1
				w.client.NextHops = append(w.client.NextHops, "[192.0.2.30]:25")
				w.client.TLS = tlspolicy.Policy{Level: tlspolicy.Encrypt}
				w.client.Auth = smtpclient.CredentialTable{"smtp.example.net": c}
				w.deliver(t.Context(), fromAnn("carol@example.net"), hello)
				if got := len(second.Messages()); got != 1 {
					t.Errorf("the second next hop got %d messages, want 1", got)
				}
			})
		})
	}
}

// A server that proves to know the password is believed, and only then.
func TestSCRAMAgainstLiars(t *testing.T) {
	for name, lie := range map[string]func(c smtptest.Command, step int) string{
		"A10 235 before server-final": func(c smtptest.Command, step int) string { return [...]string{"", "235 2.7.0 ok"}[step] },
		"A10 wrong signature": func(c smtptest.Command, step int) string {
			return [...]string{"", "334 " + b64("v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), "235 ok"}[step]
		},
		"A10 no signature": func(c smtptest.Command, step int) string { return [...]string{"", "334 ", "235 ok"}[step] },
		"A10 error, then 235": func(c smtptest.Command, step int) string {
			return [...]string{"", "334 " + b64("e=invalid-proof"), "235 ok"}[step]
		},
		"A10 nonce of another": func(c smtptest.Command, step int) string {
			return [...]string{"334 " + b64("r=stranger,s=QSXCR+Q6sek8bf92,i=4096"), "235 ok"}[step]
		},
		"A10 one iteration": func(c smtptest.Command, step int) string {
			return [...]string{"334 " + b64("r="+nonceOf(c)+"x,s=QSXCR+Q6sek8bf92,i=1"), "235 ok"}[step]
		},
		"A10 2^31 iterations": func(c smtptest.Command, step int) string {
			return [...]string{"334 " + b64("r="+nonceOf(c)+"x,s=QSXCR+Q6sek8bf92,i=2147483648"), "235 ok"}[step]
		},
		"A10 nonce as it was": func(c smtptest.Command, step int) string {
			return [...]string{"334 " + b64("r="+nonceOf(c)+",s=QSXCR+Q6sek8bf92,i=4096"), "235 ok"}[step]
		},
		"A10 extension": func(c smtptest.Command, step int) string {
			return [...]string{"334 " + b64("m=x,r="+nonceOf(c)+"x,s=QSXCR+Q6sek8bf92,i=4096"), "235 ok"}[step]
		},
	} {
		for _, mechanism := range []string{"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				s := submission(allMechanisms)
				step := -1
				s.Script = func(c smtptest.Command) smtptest.Action {
					if c.Verb != "AUTH" && c.Verb != smtptest.AuthResponse {
						return smtptest.Action{}
					}
					step++
					return smtptest.Action{Reply: lie(c, step)}
				}
				w.smarthost(s)
				report := w.deliverAs(ann(mechanism))
				expect(t, report, deferredBob+"auth 4.7.0")
				if err := report.Err(); !errors.Is(err, smtpclient.AuthUnproven) && !errors.Is(err, smtpclient.AuthBroken) {
					t.Errorf("%s, %s: %v", name, mechanism, err)
				}
				if said := strings.Join(clientLines(s, 0), "\n"); strings.Contains(said, "MAIL") {
					t.Errorf("%s, %s: the message went to a liar: %s", name, mechanism, said)
				}
			})
		}
	}
}

// nonceOf is the client's nonce in its first message.
func nonceOf(c smtptest.Command) string {
	_, initial, _ := strings.Cut(c.Args, " ")
	first, _ := base64.StdEncoding.DecodeString(initial)
	_, nonce, _ := strings.Cut(string(first), ",r=")
	return nonce
}

// A11: where -PLUS is not offered inside TLS the server is told that we would have
// used it; one that offers it and lost it on the way finds out. Where it is
// offered and not wanted, nothing is claimed.
func TestSCRAMTellsOfChannelBinding(t *testing.T) {
	for name, tt := range map[string]struct {
		offer string
		level tlspolicy.Level
		want  string
	}{
		"taken from the list": {"AUTH SCRAM-SHA-256 PLAIN", 0, "y,,"},
		"not wanted":          {allMechanisms, 0, "n,,"},
		"plaintext":           {"AUTH SCRAM-SHA-256", tlspolicy.None, "n,,"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := w.smarthost(submission(tt.offer))
			if tt.level != 0 {
				w.client.TLS = tt.level
			}
			expect(t, w.deliverAs(ann("SCRAM-SHA-256")), deliveredBob)
			for _, line := range clientLines(s, 0) {
				if initial, ok := strings.CutPrefix(line, "AUTH SCRAM-SHA-256 "); ok {
					if first, _ := base64.StdEncoding.DecodeString(initial); !strings.HasPrefix(string(first), tt.want) {
						t.Errorf("%s: the first message is %q, want %q", name, first, tt.want)
					}
				}
			}
		})
	}
}

// A19, A20: an initial response stands in the command only as long as that has 512
// bytes; an empty one is "=".
func TestInitialResponse(t *testing.T) {
	// The name of EXTERNAL is so long that the command can have 512 bytes exactly:
	// "AUTH EXTERNAL ", 496 bytes of base64 for 372, and CRLF. PLAIN comes to 509
	// and then to 513: 5 bytes before a password of 367.
	for _, tt := range []struct {
		mechanism string
		secret    int
		fits      bool
	}{
		{"EXTERNAL", 1, true}, {"EXTERNAL", 371, true}, {"EXTERNAL", 372, true}, {"EXTERNAL", 373, false},
		{"PLAIN", 300, true}, {"PLAIN", 367, true}, {"PLAIN", 368, false}, {"PLAIN", 2000, false}, {"PLAIN", 9000, false},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission("AUTH PLAIN EXTERNAL")
			s.Passwords["ann"] = strings.Repeat("x", tt.secret)
			w.smarthost(s)
			c, response := ann("PLAIN"), "\x00ann\x00"+s.Passwords["ann"]
			if c.Password = s.Passwords["ann"]; tt.mechanism == "EXTERNAL" {
				c, response = &smtpclient.Credential{Identity: c.Password}, c.Password
			}
			expect(t, w.deliverAs(c), deliveredBob)
			said := strings.Join(clientLines(s, 0), "\n")
			want := "\nAUTH " + tt.mechanism + "\n" + b64(response) + "\n"
			if tt.fits {
				want = "\nAUTH " + tt.mechanism + " " + b64(response) + "\n"
			}
			if !strings.Contains(said, want) {
				t.Errorf("%s with %d bytes: the client said %.200q, want %.60q", tt.mechanism, tt.secret, said, want)
			}
		})
	}
	// A response has 12288 bytes at most, with its CRLF: 12284 of base64, for 9213.
	for n, fits := range map[int]bool{9208: true, 9209: false} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission("AUTH PLAIN")
			s.Passwords["ann"] = strings.Repeat("x", n)
			w.smarthost(s)
			c := ann("PLAIN")
			c.Password = s.Passwords["ann"]
			report := w.deliverAs(c)
			said := strings.Join(clientLines(s, 0), "\n")
			if cancelled := strings.Contains(said, "AUTH PLAIN\n*\n"); cancelled == fits || (report.Err() == nil) != fits {
				t.Errorf("a password of %d bytes: %v; the client said %.100q", n, report.Err(), said)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		s := w.smarthost(submission("AUTH EXTERNAL"))
		expect(t, w.deliverAs(&smtpclient.Credential{}), deliveredBob)
		if said := strings.Join(clientLines(s, 0), "\n"); !strings.Contains(said, "AUTH EXTERNAL =\n") {
			t.Errorf("the client said %q", said)
		}
	})
	// A server that has not waited for it knows nothing of us.
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		s := submission("AUTH PLAIN")
		s.Script = script("235 2.7.0 welcome")
		w.smarthost(s)
		c := ann("PLAIN")
		c.Password = strings.Repeat("x", 2000)
		report := w.deliverAs(c)
		expect(t, report, deferredBob+"auth 4.7.0")
		if !errors.Is(report.Err(), smtpclient.AuthUnproven) {
			t.Error(report.Err())
		}
	})
	// A response that was held back is no answer to a challenge.
	inWorld(t, func(t *testing.T, w *world) {
		s := submission("AUTH PLAIN")
		s.Script = script("334 "+b64("who are you?"), "501 cancelled")
		w.smarthost(s)
		c := ann("PLAIN")
		c.Password = strings.Repeat("x", 2000)
		expect(t, w.deliverAs(c), deferredBob+"auth 4.7.0")
		if said := clientLines(s, 0); strings.Contains(strings.Join(said, ""), "eHh4") {
			t.Errorf("the client said %.200q", said)
		}
	})
}

// A3: after 534 a stronger mechanism is tried, inside TLS, and never a weaker one.
func TestWeakMechanism(t *testing.T) {
	for name, tt := range map[string]struct {
		c     *smtpclient.Credential
		level tlspolicy.Level
		want  string
		auths int
	}{
		"stronger":           {ann("PLAIN", "SCRAM-SHA-256"), 0, deliveredBob, 2},
		"weaker":             {ann("SCRAM-SHA-256", "PLAIN"), 0, deferredBob + "auth 4.7.9", 1},
		"stronger in clear":  {ann("CRAM-MD5", "SCRAM-SHA-256"), tlspolicy.None, deferredBob + "auth 4.7.9", 1},
		"nothing else there": {ann("PLAIN"), 0, deferredBob + "auth 4.7.9", 1},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission(allMechanisms)
			n := 0
			s.Script = func(c smtptest.Command) smtptest.Action {
				if c.Verb == "AUTH" {
					if n++; n == 1 {
						return smtptest.Action{Reply: "534 5.7.9 too weak"}
					}
				}
				return smtptest.Action{}
			}
			w.smarthost(s)
			if tt.level != 0 {
				w.client.TLS = tt.level
			}
			expect(t, w.deliverAs(tt.c), tt.want)
			if n != tt.auths {
				t.Errorf("%s: %d times AUTH, want %d", name, n, tt.auths)
			}
		})
	}
}

// A9: what was offered in plaintext does not count, in either direction.
func TestMechanismsOfTheLastEHLO(t *testing.T) {
	for clear, inside := range map[string]string{
		"AUTH PLAIN":                        "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN",
		"AUTH SCRAM-SHA-256 CRAM-MD5 LOGIN": "AUTH PLAIN",
		"X-NOTHING":                         "AUTH PLAIN",
		"AUTH LOGIN":                        "X-NOTHING",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission()
			s.Script = func(c smtptest.Command) smtptest.Action {
				switch {
				case c.Verb == "EHLO" && c.TLS:
					return smtptest.Action{Reply: "250-smtp\n250 " + inside}
				case c.Verb == "EHLO":
					return smtptest.Action{Reply: "250-smtp\n250-STARTTLS\n250 " + clear}
				}
				return smtptest.Action{}
			}
			w.smarthost(s)
			report := w.deliverAs(ann())
			if inside == "X-NOTHING" {
				expect(t, report, deferredBob+"auth 4.7.4")
				if !errors.Is(report.Err(), smtpclient.AuthNotOffered) {
					t.Error(report.Err())
				}
				return
			}
			expect(t, report, deliveredBob)
			best := strings.Fields(inside)[1]
			if said := strings.Join(clientLines(s, 0), "\n"); !strings.Contains(said, "AUTH "+best+" ") {
				t.Errorf("in plaintext %q, inside TLS %q: the client said %q", clear, inside, said)
			}
		})
	}
}

// A5: 530 is about us, not about the recipient.
func TestAuthenticationRequired(t *testing.T) {
	for reply, code := range map[string]string{"530 5.7.0 authentication required": "4.7.0", "530 no": "4.7.0", "530 5.5.1 authenticate first": "4.5.1", "530 5.7.57 client not authenticated": "4.7.57"} {
		for verb, stage := range map[string]string{"MAIL": "mail", "RCPT": "rcpt", "DATA": "data-init"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{Script: on(verb, action{Reply: reply})})
				second := w.mx(20, &smtptest.Server{Script: on(verb, action{Reply: reply})})
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, deferredBob+stage+" "+code)
				if !errors.Is(report.Err(), smtpclient.AuthRequired) || second.Sessions() != 1 {
					t.Errorf("%s: %v, %d sessions with the next host", reply, report.Err(), second.Sessions())
				}
			})
		}
	}
}

// A17: a token that is refused may have run out. Its source is asked once more,
// and what it gives then goes over a new connection.
func TestTokenIsAskedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		tokens   []string
		want     string
		sessions int
	}{
		"good":            {[]string{theToken}, deliveredBob, 1},
		"stale":           {[]string{staleToken, theToken}, deliveredBob, 2},
		"stale again":     {[]string{staleToken, staleToken + "2", theToken}, deferredBob + "auth 4.7.8", 2},
		"the same":        {[]string{staleToken, staleToken}, deferredBob + "auth 4.7.8", 1},
		"nothing further": {[]string{staleToken, ""}, deferredBob + "auth 4.7.8", 1},
	} {
		for _, mechanism := range []string{"XOAUTH2", "OAUTHBEARER"} {
			for _, fault := range []smtptest.Fault{smtptest.None, smtptest.DropAfter} {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = fault != smtptest.None
					s := submission("AUTH " + mechanism)
					s.Script = func(c smtptest.Command) smtptest.Action {
						if c.Verb == smtptest.AuthResponse && fault != smtptest.None { // the server closes after a failure
							return smtptest.Action{Fault: fault}
						}
						return smtptest.Action{}
					}
					w.smarthost(s)
					asked := 0
					source := tokenOf(tt.tokens...)
					report := w.deliverAs(&smtpclient.Credential{User: "robot", Token: func(ctx context.Context) (string, error) {
						asked++
						return source(ctx)
					}})
					expect(t, report, tt.want)
					if got := s.Sessions(); got != tt.sessions || asked > 2 {
						t.Errorf("%s, %s: %d sessions, want %d; the source was asked %d times", name, mechanism, got, tt.sessions, asked)
					}
				})
			}
		}
	}
}

// Each reply in the exchange has the time of Timeouts.Auth, and the rounds are
// counted, so that nobody holds a call for ever.
func TestAuthTimeout(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Minute} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission("AUTH LOGIN")
			s.Script = on(smtptest.AuthResponse, action{Fault: smtptest.Stall})
			w.smarthost(s)
			w.unruly = true
			w.client.Dialer.Timeouts.Auth = limit
			start := time.Now()
			report := w.deliverAs(ann())
			expect(t, report, deferredBob+"auth 4.4.2")
			want := limit
			if want == 0 {
				want = 5 * time.Minute
			}
			if took := time.Since(start); took != want || report.Outcomes[0].Times[smtpclient.StageAuth] != want {
				t.Errorf("took %v, want %v; the report says %v", took, want, report.Outcomes[0].Times[smtpclient.StageAuth])
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // a mechanism that never ends
		s := submission("AUTH X-SONG")
		n := 0
		s.Script = func(c smtptest.Command) smtptest.Action {
			if c.Verb == "AUTH" || c.Verb == smtptest.AuthResponse && c.Args != "*" {
				n++
				return smtptest.Action{Reply: "334 bGE="}
			}
			return smtptest.Action{}
		}
		w.smarthost(s)
		report := w.deliverAs(singer())
		expect(t, report, deferredBob+"auth 4.3.0")
		if n != 21 {
			t.Errorf("%d challenges were heard, want 20 answers and one too many", n)
		}
	})
}
