// Mutants changes decisions in the code of a package, one at a time, and counts how
// many of these mutants the package's tests notice.
//
//	go run ./internal/reliability/mutants -package ./smtpclient way.go reuse.go
//
// All mutants are compiled into one test binary, where an environment variable
// chooses one. First each test runs by itself, to see which mutants it comes by;
// then each mutant has to face the tests that come by it, the quick ones first and as
// many as end in half a minute. It is killed if one fails, panics, or does not end.
//
// Those who survive are looked up in explained.txt beside this program: lines of
//
//	file.go function: what was changed: why nobody can notice
//
// It prints a table in Markdown, and exits with 1 if less than 95 % were killed or a
// survivor is not explained.
package main

import (
	"bufio"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

//go:embed explained.txt
var explained string

func main() {
	pkg := flag.String("package", "./smtpclient", "folder of the package")
	workers := flag.Int("workers", 2, "how many tests run at the same time")
	only := flag.String("tests", "^Test", "the tests that count")
	functions := flag.String("functions", "", "the functions that are changed, as a regular expression; empty: all")
	most := flag.Duration("most", 30*time.Second, "how long the tests may take together that a mutant faces, by what they took in the survey")
	flag.Parse()
	if err := run(*pkg, flag.Args(), *only, *functions, *workers, *most); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(pkg string, files []string, only, functions string, workers int, most time.Duration) error {
	wanted, err := regexp.Compile("^(" + functions + ")$")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var mutants []*mutant
	changed := make(map[string][]byte)
	for _, name := range files {
		path, err := filepath.Abs(filepath.Join(pkg, name))
		if err != nil {
			return err
		}
		text, found, err := mutate(path, len(mutants), func(f string) bool { return functions == "" || wanted.MatchString(f) })
		if err != nil {
			return err
		}
		changed[path], mutants = text, append(mutants, found...)
	}
	l, err := build(pkg, dir, changed, len(mutants))
	if err != nil {
		return err
	}
	l.workers, l.most = workers, most
	fmt.Fprintf(os.Stderr, "%s: %d mutants\n", time.Now().Format(time.TimeOnly), len(mutants))
	if err := l.survey(mutants, only); err != nil {
		return err
	}
	l.hunt(mutants)
	return report(files, mutants)
}

// report prints the table and the survivors.
func report(files []string, mutants []*mutant) error {
	why := make(map[string]string)
	scanner := bufio.NewScanner(strings.NewReader(explained))
	for scanner.Scan() {
		if i := strings.LastIndex(scanner.Text(), ": "); i > 0 {
			why[scanner.Text()[:i]] = scanner.Text()[i+2:]
		}
	}
	killed, open := 0, 0
	fmt.Print("| file | mutants | killed |\n|---|---:|---:|\n")
	for _, name := range files {
		all, dead := 0, 0
		for _, m := range mutants {
			if filepath.Base(m.file) == name {
				all++
				if m.killer != "" {
					dead++
				}
			}
		}
		killed += dead
		fmt.Printf("| %s | %d | %d |\n", name, all, dead)
	}
	share := 100 * float64(killed) / float64(len(mutants))
	fmt.Printf("| all | %d | %d = %.1f %% |\n\n| survivor | why nobody can notice |\n|---|---|\n", len(mutants), killed, share)
	for _, m := range mutants {
		if m.killer != "" {
			continue
		}
		reason := why[m.name()]
		if reason == "" {
			open++
			reason = "**not explained**"
		}
		fmt.Printf("| %s | %s |\n", strings.ReplaceAll(m.name(), "|", "\\|"), reason)
	}
	if share < 95 || open > 0 {
		return fmt.Errorf("%.1f %% killed, %d survivors not explained", share, open)
	}
	return nil
}
