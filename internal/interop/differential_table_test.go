package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rows is the scenario as it stands in the file.
func (p *performance) rows() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.name)
	for _, to := range p.addresses() {
		theirs, ours := p.theirs(to), p.ours(to)
		local, _, _ := strings.Cut(to, "@")
		word := "same"
		if !theirs.same(ours) {
			word = "DIFFERENT"
		}
		fmt.Fprintf(&b, "    %-3s Postfix: %-22s %-4s us: %-22s %-4s %s\n", local, theirs, theirs.held(), ours, ours.held(), word)
	}
	if p.because != "" {
		fmt.Fprintf(&b, "    because %s\n", p.because)
	}
	return b.String()
}

// quotes are the words of both sides.
func (p *performance) quotes() string {
	var b strings.Builder
	for _, to := range p.addresses() {
		fmt.Fprintf(&b, "%s\n    Postfix: %s\n    we: %s\n", to, p.theirs(to).Text, p.ours(to).Text)
	}
	return b.String()
}

const preface = `# What Postfix and we make of the same servers: for each recipient the verdict with
# its enhanced code and the reply that decided (Postfix quotes the first line, where
# it believes the last), and how many complete copies each server may hold. Written by
# go test -run VerdictsBesidePostfix -update-differential
`

// wantFile compares a chapter with its file.
func wantFile(t *testing.T, name string, all []*performance) {
	t.Helper()
	var b strings.Builder
	b.WriteString(preface)
	for _, p := range all {
		b.WriteString("\n" + p.rows())
	}
	b.WriteString("\n" + summary(all))
	path := filepath.Join("testdata", "differential", name+".txt")
	if *updateDifferential {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s is not what came out; a line with - is in the file, one with + is new:\n%s", path, changes(string(want), b.String()))
	}
}

// summary counts what a queue behind each side would do wrong.
func summary(all []*performance) string {
	var theirs, ours tally
	for _, p := range all {
		for _, to := range p.addresses() {
			theirs.add(p.theirs(to))
			ours.add(p.ours(to))
		}
	}
	return fmt.Sprintf("deferred or failed with a copy, or delivered without one: Postfix %d, we %d (and %d unknown)\n"+
		"more than one copy: Postfix %d, we %d\n", theirs.lies, ours.lies, ours.unknown, theirs.doubles, ours.doubles)
}

// tally is what one side did in a chapter.
type tally struct{ lies, doubles, unknown int }

func (t *tally) add(s side) {
	if s.lied() {
		t.lies++
	}
	if s.total() > 1 {
		t.doubles++
	}
	if s.Status == "unknown" {
		t.unknown++
	}
}

// changes lists the scenarios that are not the same in both texts.
func changes(before, after string) string {
	old, now := strings.Split(before, "\n\n"), strings.Split(after, "\n\n")
	var b strings.Builder
	list := func(sign string, some, others []string) {
		for _, paragraph := range some {
			if slices.Contains(others, paragraph) {
				continue
			}
			for line := range strings.Lines(paragraph + "\n") {
				b.WriteString(sign + " " + line)
			}
		}
	}
	list("-", old, now)
	list("+", now, old)
	return b.String()
}
