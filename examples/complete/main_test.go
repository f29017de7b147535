package main

import (
	"bytes"
	"go/format"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// client is the one of main.
func client() *smtpclient.Client {
	return &smtpclient.Client{LocalName: "mail.example.org", Pool: &smtpclient.Pool{PerDestination: 4}, TLS: tlspolicy.Default()}
}

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if code := demo(client(), &out); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &out)
	}
	for _, want := range []string{
		strings.Repeat("bob@example.net delivered mx.example.net TLS dane dane-ee <nil>\n", 3),
		"postrider_pool_dialed_total 2\n", // the first is not kept, since nobody knew of a second message
		"postrider_pool_reused_total 1\n",
		`postrider_recipients_tls_total{reached="dane",wanted="dane"} 3` + "\n",
		`postrider_recipients_total{group="example.net",outcome="delivered",stage="data-done"} 3` + "\n",
		"3 messages with a good signature, by 2 connections\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

// What cannot be signed is not sent.
func TestNoKey(t *testing.T) {
	answer := httptest.NewRecorder()
	newServer(client(), nil).ServeHTTP(answer, httptest.NewRequest("POST", "/send?from=ann@example.org&to=bob@example.net", strings.NewReader(message)))
	if answer.Code != 400 {
		t.Errorf("%d: %s", answer.Code, answer.Body)
	}
}

// The program is what README.md promises: under 60 lines, and all of them.
func TestLength(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n >= 60 {
		t.Errorf("main.go has %d lines", n)
	}
	if formatted, err := format.Source(text); err != nil || !bytes.Equal(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), formatted) {
		t.Errorf("main.go is not as gofmt has it: %v", err)
	}
	if !bytes.Contains(text, []byte("tlspolicy.Default()")) || !bytes.Contains(text, []byte("&smtpclient.Pool{PerDestination: 4}")) {
		t.Error("the client of main is not the one that is tested here")
	}
}
