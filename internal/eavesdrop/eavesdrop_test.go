package eavesdrop_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const secret = "open-Sesame-4Kd8-staple"

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// A listener that hears nothing would find nothing.
func TestCheck(t *testing.T) {
	for text, leak := range map[string]bool{
		"nothing":               false,
		"C: AUTH PLAIN ***":     false,
		"it is " + secret:       true,
		"it is " + secret[:12]:  true,
		"it is " + secret[5:18]: true,
		"C: AUTH PLAIN " + b64("\x00ann\x00"+secret):                     true,
		b64("\x00ann\x00" + secret)[2:30]:                                true,
		"URL " + base64.URLEncoding.EncodeToString([]byte("??>"+secret)): true,
		fmt.Sprintf("%x", secret):                                        true,
		fmt.Sprint([]byte(secret)):                                       true,
		b64("ann and nothing else"):                                      false,
	} {
		l := eavesdrop.New(secret)
		if got := l.Check(text); got != leak || (len(l.Leaks()) > 0) != leak {
			t.Errorf("%q: %v, want %v; leaks %q", text, got, leak, l.Leaks())
		}
	}
}

// What a call says is heard, errors in errors too, and searched again for what the
// wire has shown.
func TestListens(t *testing.T) {
	for name, err := range map[string]error{
		"wrapped": fmt.Errorf("lost: %w", hidden{errors.New(secret)}),
		"joined":  hidden{errors.Join(errors.New("x"), errors.New(secret))},
	} {
		l := eavesdrop.New(secret)
		if l.Value(err); len(l.Leaks()) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
	l := eavesdrop.New(secret).Keep()
	server := &smtptest.Server{}
	defer server.Close()
	s, err := (&smtpclient.Dialer{DialContext: server.DialContext}).Dial(l.Context(t.Context()), smtpclient.Target{Addr: "192.0.2.1:25"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if l.Heard() < 10 || len(l.Leaks()) != 0 {
		t.Errorf("heard %d texts of a session, leaks %q", l.Heard(), l.Leaks())
	}
	if l.Find("C: STARTTLS"); len(l.Leaks()) == 0 {
		t.Error("a line of the dialogue was not heard")
	}
}

// hidden does not say what it is about.
type hidden struct{ err error }

func (h hidden) Error() string { return "an error" }
func (h hidden) Unwrap() error { return h.err }
