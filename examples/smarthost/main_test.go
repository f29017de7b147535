package main

import (
	"bytes"
	"testing"
)

// The second server takes over, has to prove its name, and keeps its connection.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	want := `bob@example.net: smtp1.example.net said "421 4.3.2 back in an hour"
bob@example.net: delivered by smtp2.example.net, login ann@example.org, TLS secure, message 1 of the connection
carol@example.com: smtp1.example.net said "421 4.3.2 back in an hour"
carol@example.com: delivered by smtp2.example.net, login ann@example.org, TLS secure, message 2 of the connection
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
