package main

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if want := "bob@example.net delivered\nthe signature of example.org is good\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

// A message that was changed on its way is found out, or the run above shows nothing.
func TestChangedMessage(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	header, err := sign(smtpclient.Bytes([]byte(message)), "example.org", private)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := verify([]byte(header+message), public, &out); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	if err := verify([]byte(header+message+"Buy now.\r\n"), public, &out); err == nil {
		t.Error("a line was added, and the signature is still good")
	}
}
