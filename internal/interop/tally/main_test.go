package main

import (
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	for _, c := range []struct {
		name   string
		events string
		line   string
		good   bool
		shown  []string
	}{
		{"tests and subtests pass", `
{"Action":"run","Package":"a","Test":"TestOne"}
{"Action":"output","Package":"a","Test":"TestOne","Output":"\"Action\":\"fail\"\n"}
{"Action":"pass","Package":"a","Test":"TestOne/sub"}
{"Action":"pass","Package":"a","Test":"TestOne"}
{"Action":"pass","Package":"a"}
{"Action":"skip","Package":"no-test-files"}`, "tests: 2 passed, 0 failed, 0 skipped", true, nil},
		{"one fails", `
{"Action":"output","Package":"a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"output","Package":"a","Test":"TestOne","Output":"    one_test.go:5: got 1, want 2\n"}
{"Action":"fail","Package":"a","Test":"TestOne"}
{"Action":"pass","Package":"a","Test":"TestTwo"}
{"Action":"fail","Package":"a"}`, "tests: 1 passed, 1 failed, 0 skipped", false, []string{"FAILED: a TestOne", "got 1, want 2"}},
		{"one is skipped", `
{"Action":"output","Package":"a","Test":"TestOne","Output":"    one_test.go:5: no server\n"}
{"Action":"skip","Package":"a","Test":"TestOne"}
{"Action":"pass","Package":"a","Test":"TestTwo"}
{"Action":"pass","Package":"a"}`, "tests: 1 passed, 0 failed, 1 skipped", false, []string{"SKIPPED: a TestOne", "no server"}},
		{"a package does not build", `
{"ImportPath":"b","Action":"build-output","Output":"b.go:1: undefined: x\n"}
{"ImportPath":"b","Action":"build-fail"}
{"Action":"output","Package":"b","Output":"FAIL\tb [build failed]\n"}
{"Action":"fail","Package":"b","FailedBuild":"b"}
{"Action":"pass","Package":"a","Test":"TestTwo"}`, "tests: 1 passed, 1 failed, 0 skipped", false, []string{"undefined: x", "FAILED: b\n", "[build failed]"}},
		{"nothing ran", ``, "tests: 0 passed, 0 failed, 0 skipped", false, nil},
		{"no JSON", `go: cannot find main module`, "tests: 0 passed, 0 failed, 0 skipped", false, []string{"cannot find main module"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			got := &tally{out: &out, said: map[place]string{}, failed: map[string]bool{}}
			if err := got.read(strings.NewReader(strings.TrimPrefix(c.events, "\n"))); err != nil {
				t.Fatal(err)
			}
			if got.line() != c.line || got.good() != c.good {
				t.Errorf("got %q, good %v; want %q, %v", got.line(), got.good(), c.line, c.good)
			}
			for _, s := range c.shown {
				if !strings.Contains(out.String(), s) {
					t.Errorf("%q is not shown:\n%s", s, &out)
				}
			}
			if c.shown == nil && out.Len() > 0 {
				t.Errorf("shown for nothing:\n%s", &out)
			}
		})
	}
}
