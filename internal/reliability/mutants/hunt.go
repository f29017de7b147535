package main

import (
	"bytes"
	"cmp"
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
	slow, most          time.Duration
	took                map[string]time.Duration // by test
	left                []string                 // tests that are left out
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

// survey runs each test by itself, and notes which mutants it comes by. Tests that
// take long are left out.
func (l *lab) survey(mutants []*mutant, only string) error {
	out, err := l.command(context.Background(), "", "-test.list", only).Output()
	if err != nil {
		return err
	}
	tests := strings.Fields(string(out))
	var mu sync.Mutex
	var failed error
	l.each(len(tests), func(i int) {
		log := filepath.Join(l.dir, "log"+strconv.Itoa(i))
		start := time.Now()
		killer := l.try(4*l.slow, tests[i:i+1], "POSTRIDER_MUTANT_LOG="+log)
		took := time.Since(start)
		seen, _ := os.ReadFile(log)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case killer == endless || took > l.slow:
			l.left = append(l.left, tests[i])
			return
		case killer != "":
			failed = fmt.Errorf("%s fails without a mutant: %s", tests[i], killer)
		}
		l.took[tests[i]] = took
		for _, line := range bytes.Fields(seen) {
			if id, err := strconv.Atoi(string(line)); err == nil {
				mutants[id-1].tests = append(mutants[id-1].tests, tests[i])
			}
		}
	})
	slices.Sort(l.left)
	return failed
}

// few is how many tests a mutant faces first.
const few = 25

// hunt sends each mutant that lives to the tests that come by it: first those that
// have killed most in its function, then the quickest.
func (l *lab) hunt(mutants []*mutant, notes *notes) error {
	var mu sync.Mutex
	var failed error
	done, skill := 0, make(map[string]map[string]int) // by function and test
	for _, m := range mutants {
		skill[m.function] = make(map[string]int)
	}
	l.each(len(mutants), func(i int) {
		m := mutants[i]
		if m.killer != "" {
			return
		}
		mu.Lock()
		slices.SortFunc(m.tests, func(a, b string) int {
			return cmp.Or(skill[m.function][b]-skill[m.function][a], int(l.took[a]-l.took[b]))
		})
		mu.Unlock()
		m.killer = l.face(m)
		mu.Lock()
		defer mu.Unlock()
		test, _, _ := strings.Cut(m.killer, "/")
		skill[m.function][test]++
		failed = cmp.Or(failed, notes.add(m))
		if done++; m.killer == "" || done%50 == 0 {
			fmt.Fprintf(os.Stderr, "%s %d: %s:%d %s: %d tests, killed by %q\n", time.Now().Format(time.TimeOnly), done, filepath.Base(m.file), m.line, m.name(), len(m.tests), m.killer)
		}
	})
	return failed
}

// face is how a mutant dies; "": it does not.
func (l *lab) face(m *mutant) string {
	on := "POSTRIDER_MUTANT=" + strconv.Itoa(m.id)
	tests := l.affordable(m.tests)
	for len(tests) > 0 {
		some := tests[:min(few, len(tests))]
		var usual time.Duration
		for _, name := range some {
			usual += l.took[name]
		}
		if killer := l.try(30*time.Second+10*usual, some, on); killer != "" {
			return killer
		}
		tests = tests[len(some):]
	}
	return ""
}

// affordable are the first tests that end in time together, and the few in any case.
func (l *lab) affordable(tests []string) []string {
	var sum time.Duration
	for i, name := range tests {
		if sum += l.took[name]; sum > l.most && i >= few {
			return tests[:i]
		}
	}
	return tests
}

const endless = "does not end"

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^(panic: .*|fatal error: .*)$`)

// try runs tests until one fails, and says which; "": none did.
func (l *lab) try(most time.Duration, tests []string, env string) string {
	if len(tests) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	out, err := l.command(ctx, env, "-test.run", "^("+strings.Join(tests, "|")+")$", "-test.failfast").CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return endless
	case err == nil:
		return ""
	}
	if m := failure.FindSubmatch(out); m != nil {
		return string(bytes.Join(m[1:], nil))
	}
	return err.Error()
}

// command runs the tests with bounded memory: some mutants never stop to fill it.
func (l *lab) command(ctx context.Context, env string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v 8000000; exec "$0" "$@"`, l.binary}, args...)...)
	cmd.Dir, cmd.Env = l.folder, append(os.Environ(), env)
	return cmd
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
