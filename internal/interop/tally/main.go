// Tally counts tests in what "go test -json" wrote to the files that it is given,
// shows what those that failed have said, and ends with the line
//
//	tests: P passed, F failed, S skipped
//
// Every test function, example, fuzz target and subtest that came to an end
// counts as one; a test with subtests counts besides them. A package that failed
// though none of its tests did, because it does not build or its process died,
// counts as one that failed. The exit code is 1 if any failed or was skipped, or
// if there was none.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	t := &tally{out: os.Stdout, said: map[place]string{}, failed: map[string]bool{}}
	for _, name := range os.Args[1:] {
		if err := t.file(name); err != nil {
			fmt.Fprintln(os.Stderr, "tally:", err)
			os.Exit(2)
		}
	}
	fmt.Println(t.line())
	if !t.good() {
		os.Exit(1)
	}
}

// event is one line of "go test -json" (go doc test2json).
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string // of build-output
}

// place is a test, or with an empty test the package itself.
type place struct{ pkg, test string }

type tally struct {
	out                  io.Writer
	passes, fails, skips int
	said                 map[place]string
	failed               map[string]bool // packages in which a test has failed
}

func (t *tally) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.read(f)
}

// read takes a line that is no event, as the go command writes some, for output
// and shows it.
func (t *tally) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if len(line) > 0 && json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(t.out, "%s", line)
		}
		t.add(e)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) add(e event) {
	at := place{e.Package, e.Test}
	switch e.Action {
	case "output":
		t.said[at] += e.Output
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "pass", "fail", "skip":
		t.end(at, e.Action)
		delete(t.said, at)
	}
}

func (t *tally) end(at place, action string) {
	switch {
	case action == "fail" && (at.test != "" || !t.failed[at.pkg]):
		t.fails++
		t.failed[at.pkg] = true
		t.show("FAILED", at)
	case at.test == "": // a package is no test
	case action == "skip":
		t.skips++
		t.show("SKIPPED", at)
	case action == "pass":
		t.passes++
	}
}

// show leaves out the lines that tell only of the test's begin and end.
func (t *tally) show(what string, at place) {
	fmt.Fprintf(t.out, "%s: %s\n", what, strings.TrimSpace(at.pkg+" "+at.test))
	for line := range strings.Lines(t.said[at]) {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(t.out, "    ", line)
		}
	}
}

func (t *tally) line() string {
	return fmt.Sprintf("tests: %d passed, %d failed, %d skipped", t.passes, t.fails, t.skips)
}

func (t *tally) good() bool { return t.passes > 0 && t.fails == 0 && t.skips == 0 }
