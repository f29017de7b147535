package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), nil, nil, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"bob@example.net: delivered: 250 ",
		"carol@example.net: delayed: 452 4.2.2 mailbox is full\n",
		"dave@example.net: delivered: 250 ",
		"Return-Path: <ann@example.org>\r\n",
		"Delivered-To: dave@example.net\r\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"unix:/run/lmtp"}, {"inet:localhost:25", "bob@example.net"}} {
		if err := run(t.Context(), args, strings.NewReader("Subject: Hello\n"), new(bytes.Buffer)); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
