package smtpclient_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Everything that the library says in these tests is searched for the secrets that
// it was given: reports and errors in every form, traces, logs and what is in the
// cache (A23).
var overheard = eavesdrop.New(thePassword, wrongPassword, theToken, staleToken, theKey)

// The tests fail if anything was heard that should not be.
func TestMain(m *testing.M) {
	cache.Default = cache.None // what one test learns is nothing for another
	code := m.Run()
	for _, leak := range overheard.Leaks() {
		fmt.Printf("a secret was told: %.500s\n", leak)
		code = 1
	}
	os.Exit(code)
}

// findShown searches what was said in a world for what its servers were shown in
// AUTH: each response as it stood on the wire, and what was made of the secret in
// it. Whoever adds a test with a secret of its own needs not think of this.
func (w *world) findShown() {
	w.t.Helper()
	for _, s := range w.net {
		if s == nil {
			continue
		}
		for session := range s.Sessions() {
			w.ear.Find(shownIn(s.Transcript(session))...)
		}
	}
	for _, leak := range w.ear.Leaks() {
		w.t.Errorf("a secret was told: %.500s", leak)
	}
}

// shownIn gives what is secret in the responses of a session.
func shownIn(chunks []smtptest.Chunk) (secrets []string) {
	challenged, mechanism, responses := false, "", 0
	for _, c := range chunks {
		line := strings.TrimSuffix(string(c.Data), "\r\n")
		if !c.FromClient {
			challenged = strings.HasPrefix(line[strings.LastIndex(line, "\n")+1:], "334")
			continue
		}
		if args, ok := strings.CutPrefix(line, "AUTH "); ok {
			mechanism, line, _ = strings.Cut(args, " ")
			responses = 0
		} else if !challenged {
			continue
		}
		responses++
		response, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(response) < 12 {
			continue
		}
		secrets = append(secrets, line, b64(line))
		if mechanism == "LOGIN" && responses == 3 { // after none, and the user
			secrets = append(secrets, string(response))
		}
		if parts := secretPart.FindStringSubmatch(string(response)); parts != nil {
			secret := parts[1]
			secrets = append(secrets, secret, b64(secret), fmt.Sprintf("%x", secret))
		}
	}
	return secrets
}

// secretPart is the password of PLAIN, the digest of CRAM-MD5, the proof of SCRAM,
// the token of XOAUTH2 and OAUTHBEARER.
var secretPart = regexp.MustCompile(`(?s)(?:^.*\x00|^[^ ]+ |,p=|auth=Bearer )([^\x00\x01]{12,})[\x01]*$`)

// What is looked for is what was shown.
func TestShownIn(t *testing.T) {
	proof := "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	for said, want := range map[string]string{
		"AUTH PLAIN " + b64("\x00ann\x00"+thePassword):                          thePassword,
		"AUTH XOAUTH2 " + b64("user=robot\x01auth=Bearer "+theToken+"\x01\x01"): theToken,
		b64("tim b913a602c7eda7a495b4e6e7334d3890"):                             "b913a602c7eda7a495b4e6e7334d3890",
		b64("c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" + proof):                         proof,
	} {
		chunks := []smtptest.Chunk{{Data: []byte("334 \r\n")}, {FromClient: true, Data: []byte(said + "\r\n")}}
		if got := shownIn(chunks); !slices.Contains(got, want) || !slices.Contains(got, said[strings.LastIndex(said, " ")+1:]) {
			t.Errorf("%q: %q", said, got)
		}
		if got := shownIn(chunks[1:]); (len(got) > 0) != strings.HasPrefix(said, "AUTH") {
			t.Errorf("%q without a challenge: %q", said, got)
		}
	}
}

// Nothing that holds a Credential prints its secret.
func TestCredentialDoesNotPrint(t *testing.T) {
	c := smtpclient.Credential{User: "ann", Password: thePassword, Token: tokenOf(theToken)}
	memory := smtpclient.AuthMemory{TTL: time.Hour, Key: []byte(theKey)}
	holder := struct {
		Name string
		C    smtpclient.Credential
		P    *smtpclient.Credential
		L    []*smtpclient.Credential
		M    map[string]any
		T    smtpclient.CredentialTable
		A    smtpclient.AuthMemory
	}{"x", c, &c, []*smtpclient.Credential{&c}, map[string]any{"c": c}, smtpclient.CredentialTable{"x": &c}, memory}
	hidden := struct{ p *smtpclient.Credential }{&c}
	overheard.Check(fmt.Sprintf("%v %+v %#v", hidden, hidden, &hidden))
	target := smtpclient.Target{Addr: "192.0.2.1:25", Credential: &c}
	client := smtpclient.Client{Auth: &c, AuthMemory: memory}
	for _, v := range []any{c, &c, holder, &holder, target, &target, client, &client, memory, &memory, fmt.Errorf("because of %v", c)} {
		l := eavesdrop.New(thePassword, theToken, theKey)
		if l.Value(v); len(l.Leaks()) > 0 {
			t.Errorf("%T: %s", v, l.Leaks())
		}
	}
	if text := fmt.Sprint(c); text != `credential of "ann" with a token` {
		t.Errorf("it prints %s", text)
	}
	if text := fmt.Sprintf("%+v", holder.P); !strings.Contains(text, "ann") {
		t.Errorf("it prints %s", text)
	}
}

// What hooks get may be printed, too: a Target with its token, which nobody has set.
func TestHooksGetNoSecret(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.smarthost(submission("AUTH XOAUTH2"))
		asked := 0
		w.client.Dialer.Quirks = func(target smtpclient.Target) smtpclient.Quirks {
			asked++
			if target.Credential == nil {
				t.Error("Quirks is not told that there is a credential")
			}
			l := eavesdrop.New(theToken)
			if l.Value(target); len(l.Leaks()) > 0 {
				t.Errorf("the Target of Quirks prints %s", l.Leaks())
			}
			return smtpclient.Quirks{}
		}
		expect(t, w.deliverAs(&smtpclient.Credential{User: "robot", Token: tokenOf(theToken)}), deliveredBob)
		if asked == 0 {
			t.Error("Quirks was not asked")
		}
	})
}

// A server that repeats what it heard does not bring it into a report, an error or
// the trace.
func TestServerThatRepeats(t *testing.T) {
	known := thePassword
	for name, reply := range map[string]func(heard string) smtptest.Action{
		"refusal": func(h string) smtptest.Action { return smtptest.Action{Reply: "500 5.5.1 unknown command: " + h} },
		"lines":   func(h string) smtptest.Action { return smtptest.Action{Reply: "535-5.7.8 no\n535 5.7.8 " + h} },
		"decoded": func(h string) smtptest.Action { return smtptest.Action{Reply: "535 5.7.8 bad password " + known} },
		"cut": func(h string) smtptest.Action {
			return smtptest.Action{Reply: "500 5.5.1 unknown command: " + h[:min(len(h), 30)]}
		},
		"middle": func(h string) smtptest.Action {
			return smtptest.Action{Reply: "500 5.5.1 unknown word: " + h[min(len(h), 5):]}
		},
		"derived": func(h string) smtptest.Action { return smtptest.Action{Reply: "535 5.7.8 wrong: " + madeOf(h)} },
		"part": func(h string) smtptest.Action {
			return smtptest.Action{Reply: "535 5.7.8 it begins with " + known[:14] + " and ends with " + known[8:]}
		},
		"garbage": func(h string) smtptest.Action { return smtptest.Action{Raw: []byte(h + "\r\n")} },
		"garbage cut": func(h string) smtptest.Action {
			return smtptest.Action{Raw: []byte("what is " + strings.Repeat("-", 40) + h + "?\r\n")}
		},
		"421":                func(h string) smtptest.Action { return smtptest.Action{Reply: "421 4.7.0 " + h} },
		"250":                func(h string) smtptest.Action { return smtptest.Action{Reply: "250 " + h} },
		"235":                func(h string) smtptest.Action { return smtptest.Action{Reply: "235 2.7.0 " + h} },
		"garbage later, cut": func(h string) smtptest.Action { return smtptest.Action{} },
		"garbage later":      func(h string) smtptest.Action { return smtptest.Action{} },
		"challenge":          func(h string) smtptest.Action { return smtptest.Action{Reply: "334 " + h} },
	} {
		for _, mechanism := range []string{"PLAIN", "LOGIN", "XOAUTH2", "SCRAM-SHA-1", "CRAM-MD5"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				s := submission(allMechanisms)
				heard, n := "", 0
				s.Script = func(c smtptest.Command) smtptest.Action {
					switch c.Verb {
					case "AUTH":
						_, heard, _ = strings.Cut(c.Args, " ")
						if heard == "" || name == "derived" && mechanism == "SCRAM-SHA-1" {
							return smtptest.Action{}
						}
					case smtptest.AuthResponse:
						if heard = c.Args; n == 0 && mechanism == "LOGIN" { // the user
							n++
							return smtptest.Action{}
						}
					case "MAIL": // later, too
						switch name {
						case "garbage later, cut":
							return smtptest.Action{Raw: []byte(strings.Repeat("-", 71) + known + "\r\n")}
						case "garbage later":
							return smtptest.Action{Raw: []byte("what are " + known + heard + "?\r\n")}
						}
						return smtptest.Action{Reply: "550 5.7.1 because of " + known + " and " + heard}
					default:
						return smtptest.Action{}
					}
					return reply(heard)
				}
				w.smarthost(s)
				c := ann(mechanism)
				if known = thePassword; mechanism == "XOAUTH2" {
					known = theToken
					c = &smtpclient.Credential{User: "robot", Token: tokenOf(theToken), Mechanisms: []string{"XOAUTH2"}}
				}
				report := w.deliverAs(c)
				if report.Err() == nil {
					t.Errorf("%s, %s: delivered", name, mechanism)
				}
			})
		}
	}
}

// madeOf is what is secret in a response.
func madeOf(response string) string {
	plain, _ := base64.StdEncoding.DecodeString(response)
	if parts := secretPart.FindStringSubmatch(string(plain)); parts != nil {
		return parts[1]
	}
	return string(plain)
}

// The trace shows the exchange without its secrets.
func TestTraceOfAuth(t *testing.T) {
	for mechanism, want := range map[string]string{
		"PLAIN":       "C: AUTH PLAIN ***\nS: 235",
		"LOGIN":       "C: AUTH LOGIN\nS: 334 ***\nC: ***\nS: 334 ***\nC: ***\nS: 235",
		"SCRAM-SHA-1": "C: AUTH SCRAM-SHA-1 ***\nS: 334 ***\nC: ***\nS: 334 ***\nC: \nS: 235",
		"EXTERNAL":    "C: AUTH EXTERNAL ***\nS: 235",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.smarthost(submission(allMechanisms))
			var lines []string
			trace := &smtpclient.Trace{Line: func(_ context.Context, line string) { lines = append(lines, line) }}
			w.client.Auth = ann(mechanism)
			w.deliver(smtpclient.WithTrace(t.Context(), trace), fromAnn("bob@example.net"), hello)
			if text := strings.Join(lines, "\n"); !strings.Contains(text, want) {
				t.Errorf("%s: the trace is\n%s\nwant\n%s", mechanism, text, want)
			}
		})
	}
}

// The times of AUTH are in the report, and a Session by hand says who it is.
func TestSessionLogin(t *testing.T) {
	server := submission("AUTH PLAIN")
	target := smtpclient.Target{Host: "smtp.example.net", Credential: ann(), Policy: tlspolicy.Policy{Roots: server.Roots()}}
	server.Script = on("AUTH", action{Delay: 3 * time.Second})
	inSession(t, server, target, func(t *testing.T, s *heldSession) {
		if p := s.Peer(); p.Login != "ann" || p.TLS.Verified != "pkix" || p.Times[smtpclient.StageAuth] != 3*time.Second {
			t.Errorf("Peer() = %+v", p)
		}
		overheard.Value(s)
		expect(t, send(t, s, "bob@example.net"), deliveredBob)
	})
	d := &smtpclient.Dialer{DialContext: server.DialContext}
	_, err := d.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.1:25", Credential: &smtpclient.Credential{User: "a\nb"}})
	if err == nil || !strings.Contains(err.Error(), "Credential.User") {
		t.Errorf("Dial with a bad user: %v", err)
	}
}
