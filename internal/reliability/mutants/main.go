// Mutants changes decisions in the code of a package, one at a time, and counts how
// many of these mutants the package's tests notice.
//
//	go run ./internal/reliability/mutants -package ./smtpclient way.go reuse.go
//
// All mutants are compiled into one test binary, where an environment variable
// chooses one. First each test runs by itself, to see which mutants it comes by, and
// slow tests are left out; then each mutant has to face the tests that come by it, as
// many as end within -most, until one fails, panics, or does not end.
//
// Who was killed is written to the file of -results, by name and a sum of the function.
// Where the program starts again, it goes on there: who survived, or was not tried,
// or is of a function that has changed, is tried. Begin anew without that file.
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
	var o options
	flag.StringVar(&o.pkg, "package", "./smtpclient", "folder of the package")
	flag.IntVar(&o.workers, "workers", 2, "how many tests run at the same time")
	flag.StringVar(&o.only, "tests", "^(Test|Fuzz|Example)", "the tests that count")
	flag.StringVar(&o.functions, "functions", "", "the functions that are changed, as a regular expression; empty: all")
	flag.DurationVar(&o.slow, "slow", 4*time.Second, "tests that take longer are left out")
	flag.DurationVar(&o.most, "most", 10*time.Second, "how long the tests may take together that a mutant faces, by what they took in the survey")
	flag.StringVar(&o.results, "results", "", "file that remembers who was killed; empty: none")
	flag.Parse()
	if err := o.run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

type options struct {
	pkg, only, functions, results string
	workers                       int
	slow, most                    time.Duration
}

func (o *options) run(files []string) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mutants, changed, err := o.breed(files)
	if err != nil {
		return err
	}
	known, err := openNotes(o.results)
	if err != nil {
		return err
	}
	defer known.close()
	known.recall(mutants)
	l, err := build(o.pkg, dir, changed, len(mutants))
	if err != nil {
		return err
	}
	l.workers, l.slow, l.most = o.workers, o.slow, o.most
	fmt.Fprintf(os.Stderr, "%s: %d mutants, %d of them killed before\n", time.Now().Format(time.TimeOnly), len(mutants), known.recalled)
	if err := l.survey(mutants, o.only); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: slow tests are left out: %s\n", time.Now().Format(time.TimeOnly), strings.Join(l.left, " "))
	if err := l.hunt(mutants, known); err != nil {
		return err
	}
	return report(files, mutants)
}

// breed makes the mutants, and the files that hold them, by path.
func (o *options) breed(files []string) (mutants []*mutant, changed map[string][]byte, err error) {
	wanted, err := regexp.Compile("^(" + o.functions + ")$")
	if err != nil {
		return nil, nil, err
	}
	changed = make(map[string][]byte)
	for _, name := range files {
		path, err := filepath.Abs(filepath.Join(o.pkg, name))
		if err != nil {
			return nil, nil, err
		}
		text, found, err := mutate(path, len(mutants), func(f string) bool { return o.functions == "" || wanted.MatchString(f) })
		if err != nil {
			return nil, nil, err
		}
		changed[path], mutants = text, append(mutants, found...)
	}
	return mutants, changed, nil
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
