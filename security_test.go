package postrider

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSecurityPage wants every weakness that SECURITY.md lists to have tests, and
// these to exist.
func TestSecurityPage(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(text), "\n## Published weaknesses\n")
	list, _, _ = strings.Cut(list, "\n## ")
	rows := 0
	code := readCode(t)
	for line := range strings.Lines(list) {
		cells := cellsOf(strings.TrimSpace(line))
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || cells[0] == "weakness" {
			continue
		}
		rows++
		if len(cells) != 3 || len(quoted(cells[2])) == 0 {
			t.Errorf("no tests: %s", line)
			continue
		}
		checkTestNames(t, code, cells[0], quoted(cells[2]))
	}
	if !found || rows < 20 {
		t.Errorf("%d rows: the test looks in the wrong place", rows)
	}
}

var anyTestName = regexp.MustCompile(`^(?:([a-z]+)\.)?((?:Test|Fuzz)\w+)(?:/(.+))?$`)

// checkTestNames wants tests and fuzz targets to exist.
func checkTestNames(t *testing.T, code map[string]*pkg, where string, names []string) {
	t.Helper()
	for _, name := range names {
		m := anyTestName.FindStringSubmatch(name)
		if m == nil {
			t.Errorf("%s: %s is no name of a test", where, name)
			continue
		}
		p := code[orSMTPClient(m[1])]
		if p == nil || p.tests[m[2]] == nil {
			t.Errorf("%s: there is no %s", where, name)
		} else if sub := m[3]; sub != "" && !p.tests[m[2]][sub] {
			t.Errorf("%s: %s has nothing called %q, but %q", where, m[2], sub, slices.Sorted(maps.Keys(p.tests[m[2]])))
		}
	}
}

var (
	promise  = regexp.MustCompile(`(?m)^//  (\d+)\. `)
	testWord = regexp.MustCompile(`\b(?:[a-z]+\.)?(?:Test|Fuzz)[A-Z]\w*`)
)

// TestPromises wants each promise in the documentation of package smtpclient to have
// tests, and these to exist.
func TestPromises(t *testing.T) {
	text, err := os.ReadFile("smtpclient/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "\n// # Promises\n")
	list, _, _ = strings.Cut(list, "\n// Not promised: ")
	starts := promise.FindAllStringIndex(list, -1)
	if len(starts) != 12 {
		t.Fatalf("%d promises, want 12", len(starts))
	}
	code := readCode(t)
	for i, start := range starts {
		end := len(list)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		words := testWord.FindAllString(list[start[1]:end], -1)
		if len(words) == 0 {
			t.Errorf("promise %d has no tests", i+1)
		}
		checkTestNames(t, code, "promise "+strings.TrimSpace(list[start[0]+4:start[1]]), words)
	}
}
