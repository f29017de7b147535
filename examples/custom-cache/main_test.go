package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/cache/cachetest"
)

// The second delivery asks nothing that the first one has asked.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	var first, second int
	_, err := fmt.Sscanf(out.String(), "delivered; the DNS was asked %d times so far\ndelivered; the DNS was asked %d times so far\n", &first, &second)
	if err != nil || first == 0 || second != first {
		t.Errorf("%v: %d questions, then %d\n%s", err, first, second, &out)
	}
}

// A cache of one's own is checked against the rules in a line.
func TestRules(t *testing.T) {
	cachetest.Test(t, func(t *testing.T) cache.Cache { return folder(t.TempDir()) })
}
