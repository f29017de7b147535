package main

import (
	"bytes"
	"strings"
	"testing"
)

// All three ways are used, each message comes from the address of its way, and a
// sender keeps his.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 12 {
		t.Fatalf("%d lines:\n%s", len(lines), &out)
	}
	used := map[string]bool{}
	for i, line := range lines {
		_, way, _ := strings.Cut(line, " went out as ")
		used[way] = true
		if line != lines[(i+6)%12] {
			t.Errorf("a sender has changed his way: %q, %q", line, lines[(i+6)%12])
		}
	}
	for _, want := range []string{
		"out1.example.org: 250 2.0.0 hello 127.0.0.1",
		"out2.example.org: 250 2.0.0 hello 127.0.0.2",
		"out3.example.org: 250 2.0.0 hello 127.0.0.1", // the address of the proxy
	} {
		if !used[want] {
			t.Errorf("no message went out as %s", want)
		}
	}
	if len(used) != 3 || t.Failed() {
		t.Errorf("got\n%s", &out)
	}
}
