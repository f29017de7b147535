package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The comparison in README.md links to the peers that are measured here, in these
// versions: to a line of a file, or to a name in the documentation.
var (
	lineOfPeer = regexp.MustCompile(`\(https://github\.com/([^/)]+/[^/)]+)/blob/(v[^/)]+)/([^#)]+)(?:#L(\d+))?\)`)
	nameOfPeer = regexp.MustCompile(`\(https://pkg\.go\.dev/([^@#)]+)@(v|go)([^#)]+)(?:#([^)]+))?\)`)
)

func TestSourcesOfTheComparison(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, m := range lineOfPeer.FindAllStringSubmatch(string(text), -1) {
		links++
		source, err := os.ReadFile(filepath.Join(folderOf(t, "github.com/"+m[1], m[2]), m[3]))
		if err != nil {
			t.Error(err)
		} else if lines := fmt.Sprint(strings.Count(string(source), "\n")); len(m[4]) > len(lines) || len(m[4]) == len(lines) && m[4] > lines {
			t.Errorf("%s has no line %s", m[3], m[4])
		}
	}
	known := make(map[string]bool)
	for _, m := range nameOfPeer.FindAllStringSubmatch(string(text), -1) {
		links++
		if m[2] == "v" {
			folderOf(t, m[1], "v"+m[3])
		}
		if name := m[1] + " " + m[4]; !known[name] {
			known[name] = true
			if out, err := exec.CommandContext(t.Context(), "go", append([]string{"doc"}, strings.Fields(name)...)...).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", name, out)
			}
		}
	}
	if links < 40 {
		t.Errorf("%d links: the test looks in the wrong place", links)
	}
}

// folderOf is where a module is, which has to be of this version.
func folderOf(t *testing.T, module, version string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", module).CombinedOutput()
	has, folder, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || has != version {
		t.Errorf("README.md has %s of %s, and what is measured is %s", version, module, out)
	}
	return folder
}
