package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/resolve/resolvetest"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"  MX corp.example: 1, error <nil>\n",
		"  MX example.net: 1, error <nil>\n",
		"bob@corp.example: delivered, error <nil>\n",
		"carol@example.net: delivered, error <nil>\n",
		"dave@nowhere.example: failed, ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

// A Resolver of one's own is checked against the rules in a line, whichever way its
// questions go.
func TestRules(t *testing.T) {
	resolvetest.Test(t, func(_ *testing.T, srv *dnstest.Server) resolve.Resolver {
		return watch(split{domain: "example.org", inside: ask(srv), other: ask(srv)}, new(bytes.Buffer))
	})
}
