package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed switch.go.txt
var switchText string

// lab has the binary with all mutants.
type lab struct {
	binary, folder, dir string
	workers             int
	most                time.Duration
	took                map[string]time.Duration // by test
}

// build compiles the tests of the package with the files that were changed.
func build(pkg, dir string, changed map[string][]byte, count int) (*lab, error) {
	folder, err := filepath.Abs(pkg)
	if err != nil {
		return nil, err
	}
	text := strings.NewReplacer("PACKAGE", filepath.Base(folder), "COUNT", strconv.Itoa(count)).Replace(switchText)
	changed[filepath.Join(folder, "mutants_on.go")] = []byte(text)
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	for path, text := range changed {
		copied := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			return nil, err
		}
		overlay.Replace[path] = copied
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		return nil, err
	}
	l := &lab{binary: filepath.Join(dir, "tests"), folder: folder, dir: dir, took: make(map[string]time.Duration)}
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(dir, "overlay.json"), "-o", l.binary, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return l, nil
}

// survey runs each test by itself, and notes which mutants it comes by.
func (l *lab) survey(mutants []*mutant, only string) error {
	out, err := exec.Command(l.binary, "-test.list", only).Output()
	if err != nil {
		return err
	}
	tests := strings.Fields(string(out))
	var mu sync.Mutex
	var failed error
	l.each(len(tests), func(i int) {
		log := filepath.Join(l.dir, "log"+strconv.Itoa(i))
		start := time.Now()
		killer := l.try(10*time.Minute, []string{tests[i]}, "POSTRIDER_MUTANT_LOG="+log)
		seen, _ := os.ReadFile(log)
		mu.Lock()
		defer mu.Unlock()
		l.took[tests[i]] = time.Since(start)
		if killer != "" {
			failed = fmt.Errorf("%s fails without a mutant: %s", tests[i], killer)
		}
		for _, line := range bytes.Fields(seen) {
			if id, err := strconv.Atoi(string(line)); err == nil {
				mutants[id-1].tests = append(mutants[id-1].tests, tests[i])
			}
		}
	})
	return failed
}

// few is how many of the quick tests a mutant faces first.
const few = 25

// hunt sends each mutant to the tests that come by it.
func (l *lab) hunt(mutants []*mutant) {
	var mu sync.Mutex
	done := 0
	l.each(len(mutants), func(i int) {
		m := mutants[i]
		slices.SortFunc(m.tests, func(a, b string) int { return int(l.took[a] - l.took[b]) })
		on := "POSTRIDER_MUTANT=" + strconv.Itoa(m.id)
		m.killer = l.try(2*time.Minute, m.tests[:min(few, len(m.tests))], on)
		if m.killer == "" && len(m.tests) > few {
			m.killer = l.try(8*time.Minute, l.affordable(m.tests)[few:], on)
		}
		mu.Lock()
		defer mu.Unlock()
		done++
		if m.killer == "" || done%50 == 0 {
			fmt.Fprintf(os.Stderr, "%s %d of %d: %s:%d %s: %d tests, killed by %q\n", time.Now().Format(time.TimeOnly), done, len(mutants), m.file, m.line, m.name(), len(m.tests), m.killer)
		}
	})
}

// affordable are the quickest tests that end in time together, and the few in any case.
func (l *lab) affordable(tests []string) []string {
	var sum time.Duration
	for i, name := range tests {
		if sum += l.took[name]; sum > l.most && i >= few {
			return tests[:i]
		}
	}
	return tests
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^(panic: .*|fatal error: .*)$`)

// try runs tests until one fails, and says which; "": none did.
func (l *lab) try(most time.Duration, tests []string, env string) string {
	if len(tests) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.binary, "-test.run", "^("+strings.Join(tests, "|")+")$", "-test.failfast")
	cmd.Dir, cmd.Env = l.folder, append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "does not end"
	case err == nil:
		return ""
	}
	if m := failure.FindSubmatch(out); m != nil {
		return string(bytes.Join(m[1:], nil))
	}
	return err.Error()
}

// each calls f for 0 to n-1, some at the same time.
func (l *lab) each(n int, f func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range l.workers {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}
