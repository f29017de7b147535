package postrider

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var oneLink = regexp.MustCompile(`^\[[^\]]+\]\(([^)]+)\)$`)

// TestComparison wants each cell of the comparison in README.md to lead to what it is
// taken from: a test or a page of ours, or the source of a peer in a certain version.
func TestComparison(t *testing.T) {
	_, table, found := strings.Cut(readText(t, "README.md"), "\n## Compared\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := 0
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || strings.HasPrefix(line, "| | Postrider") {
			continue
		}
		rows++
		cells := cellsOf(line)
		if len(cells) != 7 {
			t.Fatalf("%d cells: %s", len(cells), line)
		}
		for _, cell := range cells[1:] {
			m := oneLink.FindStringSubmatch(cell)
			if m == nil {
				t.Errorf("%s: %q has no source", cells[0], cell)
			} else if !strings.HasPrefix(m[1], "https://") {
				if _, err := os.Stat(m[1]); err != nil {
					t.Errorf("%s: %v", cells[0], err)
				}
			}
		}
	}
	if !found || rows < 10 {
		t.Errorf("%d rows: the test looks in the wrong place", rows)
	}
}

// TestExamplesAreListed wants every example in the table of README.md, with a test and
// within 150 lines, but for those that are tools rather than examples.
func TestExamplesAreListed(t *testing.T) {
	tools := map[string]bool{"deliver": true, "tlsprobe": true, "fleet": true, "quickstart": true}
	readme := readText(t, "README.md")
	folders, err := filepath.Glob("examples/*")
	if err != nil || len(folders) < 15 {
		t.Fatalf("%d examples, %v", len(folders), err)
	}
	for _, folder := range folders {
		name := filepath.Base(folder)
		if !strings.Contains(readme, "]("+filepath.ToSlash(folder)+"/main") {
			t.Errorf("%s is not linked", name)
		}
		if tests, err := filepath.Glob(filepath.Join(folder, "*_test.go")); err != nil || len(tests) == 0 {
			t.Errorf("%s has no test", name)
		}
		if n := strings.Count(readText(t, filepath.Join(folder, "main.go")), "\n"); n > 150 && !tools[name] {
			t.Errorf("%s has %d lines", name, n)
		}
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
