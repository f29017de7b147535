package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// One has it, one can be tried again, one cannot: the call says what is worst, and
// so does the exit code.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), nil, nil, &out)
	for _, want := range []string{
		"bob@example.net: mx.example.net has it: 250 ",
		"carol@example.net: try again later: smtp mx.example.net rcpt: 452 4.2.2 mailbox is full\n",
		"nobody@example.net: give it up: smtp mx.example.net rcpt: 550 5.1.1 no such user\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
	if code := exitCode(err); code != 75 {
		t.Errorf("exit code %d of %v", code, err)
	}
}

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{&smtpclient.Error{Status: smtpclient.Unknown}, 75},
		{&smtpclient.Error{Status: smtpclient.Failed}, 69},
		{errors.New("usage"), 69},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

// An address that is none is the report's to tell, and reaches no network.
func TestArguments(t *testing.T) {
	if err := run(t.Context(), []string{"ann@example.org"}, nil, new(bytes.Buffer)); err == nil {
		t.Error("no recipient: no error")
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"ann@example.org", "bob"}, strings.NewReader("Subject: Hello\n\nHello.\n"), &out)
	if err == nil || !strings.HasPrefix(out.String(), "bob: give it up: ") {
		t.Errorf("%v\n%s", err, &out)
	}
}
