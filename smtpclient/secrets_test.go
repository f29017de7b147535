package smtpclient_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Everything that the library says in these tests is searched for the secrets that
// it was given: reports and errors in every form, traces, logs and what is in the
// cache (A23).
type eavesdropper struct {
	mu    sync.Mutex
	heard int
	leaks []string
}

var overheard eavesdropper

// secretWords are what nobody may hear.
var secretWords = []string{thePassword, wrongPassword, theToken, staleToken}

var inBase64 = regexp.MustCompile(`[A-Za-z0-9+/]{8,}={0,2}`)

// check notes a text that holds a secret, also in base64.
func (l *eavesdropper) check(text string) bool {
	leak := false
	for _, secret := range secretWords {
		leak = leak || strings.Contains(text, secret)
	}
	for _, word := range inBase64.FindAllString(text, -1) {
		plain, _ := base64.StdEncoding.DecodeString(word[:len(word)&^3])
		for _, secret := range secretWords {
			leak = leak || bytes.Contains(plain, []byte(secret[:12]))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard++
	if leak && len(l.leaks) < 10 {
		l.leaks = append(l.leaks, text)
	}
	return leak
}

// Write is for loggers.
func (l *eavesdropper) Write(p []byte) (int, error) {
	l.check(string(p))
	return len(p), nil
}

// listen gives a ctx whose trace and log are heard.
func (l *eavesdropper) listen(ctx context.Context) context.Context {
	log := slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx = smtpclient.WithTrace(ctx, smtpclient.LogTrace(log))
	return smtpclient.WithTrace(ctx, &smtpclient.Trace{
		Start: func(_ context.Context, e smtpclient.Event) { l.check(fmt.Sprintf("%+v", e)) },
		Done:  func(_ context.Context, e smtpclient.Event) { l.check(fmt.Sprintf("%+v", e)) },
		Line:  func(_ context.Context, line string) { l.check(line) },
	})
}

// value prints something in all ways there are.
func (l *eavesdropper) value(v any) {
	text, _ := json.Marshal(v)
	l.check(fmt.Sprintf("%v %+v %#v %s %s", v, v, v, v, text))
	if err, ok := v.(error); ok {
		for ; err != nil; err = unwrapOnce(err) {
			l.check(fmt.Sprintf("%v %+v %#v", err, err, err))
		}
	}
}

func unwrapOnce(err error) error {
	u, ok := err.(interface{ Unwrap() error })
	if !ok {
		return nil
	}
	return u.Unwrap()
}

func (l *eavesdropper) report(report smtpclient.Report, err error) {
	l.value(report)
	l.value(err)
	for _, o := range report.Outcomes {
		l.value(o.Err())
		l.value(o.Cause)
	}
}

// The tests fail if anything was heard that should not be, and if nothing was
// heard at all. No test shares its memory by cache.Default.
func TestMain(m *testing.M) {
	cache.Default = cache.None // what one test learns is nothing for another
	code := m.Run()
	for _, leak := range overheard.leaks {
		fmt.Printf("a secret was told: %.500s\n", leak)
		code = 1
	}
	os.Exit(code)
}

// An eavesdropper that hears nothing would find nothing.
func TestEavesdropper(t *testing.T) {
	for text, leak := range map[string]bool{
		"nothing":                        false,
		"C: AUTH PLAIN ***":              false,
		"it is " + thePassword:           true,
		b64("\x00ann\x00" + thePassword): true,
		"C: AUTH XOAUTH2 " + b64("user=robot\x01auth=Bearer "+theToken+"\x01\x01"): true,
	} {
		l := &eavesdropper{}
		if got := l.check(text); got != leak {
			t.Errorf("%q: heard %v, want %v", text, got, leak)
		}
	}
	l := &eavesdropper{}
	ctx := l.listen(t.Context())
	server := &smtptest.Server{}
	defer server.Close()
	d := &smtpclient.Dialer{DialContext: server.DialContext}
	s, err := d.Dial(ctx, smtpclient.Target{Addr: "192.0.2.1:25"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if l.heard < 10 {
		t.Errorf("heard %d texts of a session", l.heard)
	}
}

// Nothing that holds a Credential prints its secret.
func TestCredentialDoesNotPrint(t *testing.T) {
	c := smtpclient.Credential{User: "ann", Password: thePassword, Token: tokenOf(theToken)}
	memory := smtpclient.AuthMemory{TTL: time.Hour, Key: []byte(thePassword)}
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
	overheard.check(fmt.Sprintf("%v %+v %#v", hidden, hidden, &hidden))
	target := smtpclient.Target{Addr: "192.0.2.1:25", Credential: &c}
	client := smtpclient.Client{Auth: &c, AuthMemory: memory}
	for _, v := range []any{c, &c, holder, &holder, target, &target, client, &client, memory, &memory, fmt.Errorf("because of %v", c)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			text := fmt.Sprintf(verb, v)
			overheard.check(text)
			if strings.Contains(text, fmt.Sprintf("%x", "Horse")) || strings.Contains(text, "111 114 114") {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "value", v)
		}
		text, _ := json.Marshal(v)
		overheard.check(out.String() + string(text))
	}
	if text := fmt.Sprint(c); text != `credential of "ann" with a token` {
		t.Errorf("it prints %s", text)
	}
	if text := fmt.Sprintf("%+v", holder.P); !strings.Contains(text, "ann") {
		t.Errorf("it prints %s", text)
	}
}

// A server that repeats what it heard does not bring it into a report, an error or
// the trace.
func TestServerThatRepeats(t *testing.T) {
	known := thePassword
	for name, reply := range map[string]func(heard string) smtptest.Action{
		"refusal": func(h string) smtptest.Action { return smtptest.Action{Reply: "500 5.5.1 unknown command: " + h} },
		"lines":   func(h string) smtptest.Action { return smtptest.Action{Reply: "535-5.7.8 no\n535 5.7.8 " + h} },
		"decoded": func(h string) smtptest.Action { return smtptest.Action{Reply: "535 5.7.8 bad password " + known} },
		"garbage": func(h string) smtptest.Action { return smtptest.Action{Raw: []byte(h + "\r\n")} },
		"garbage cut": func(h string) smtptest.Action {
			return smtptest.Action{Raw: []byte("what is " + strings.Repeat("-", 40) + h + "?\r\n")}
		},
		"421":       func(h string) smtptest.Action { return smtptest.Action{Reply: "421 4.7.0 " + h} },
		"250":       func(h string) smtptest.Action { return smtptest.Action{Reply: "250 " + h} },
		"235":       func(h string) smtptest.Action { return smtptest.Action{Reply: "235 2.7.0 " + h} },
		"challenge": func(h string) smtptest.Action { return smtptest.Action{Reply: "334 " + h} },
	} {
		for _, mechanism := range []string{"PLAIN", "LOGIN", "XOAUTH2", "SCRAM-SHA-1"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				s := submission(allMechanisms)
				heard := ""
				s.Script = func(c smtptest.Command) smtptest.Action {
					switch c.Verb {
					case "AUTH":
						if _, heard, _ = strings.Cut(c.Args, " "); heard == "" {
							return smtptest.Action{}
						}
					case smtptest.AuthResponse:
						if mechanism == "LOGIN" && heard == "" {
							heard = c.Args // the user
							return smtptest.Action{}
						}
						heard = c.Args
					case "MAIL": // later, too
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
	inSession(t, server, target, func(t *testing.T, s *smtpclient.Session) {
		if p := s.Peer(); p.Login != "ann" || p.TLS.Verified != "pkix" || p.Times[smtpclient.StageAuth] != 3*time.Second {
			t.Errorf("Peer() = %+v", p)
		}
		overheard.value(s)
		expect(t, send(t, s, "bob@example.net"), deliveredBob)
	})
	d := &smtpclient.Dialer{DialContext: server.DialContext}
	_, err := d.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.1:25", Credential: &smtpclient.Credential{User: "a\nb"}})
	if err == nil || !strings.Contains(err.Error(), "Credential.User") {
		t.Errorf("Dial with a bad user: %v", err)
	}
}
