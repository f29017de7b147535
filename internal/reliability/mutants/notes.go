package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// notes is the file that remembers who was killed, and by which test: lines of a
// mutant's key, a tab, and the test.
type notes struct {
	file     *os.File // nil: nothing is kept
	killer   map[string]string
	recalled int
}

func openNotes(name string) (*notes, error) {
	n := &notes{killer: make(map[string]string)}
	if name == "" {
		return n, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	n.file = f
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, killer, ok := strings.Cut(lines.Text(), "\t"); ok {
			n.killer[key] = killer
		}
	}
	return n, lines.Err()
}

// key changes when the function does.
func key(m *mutant) string { return fmt.Sprintf("%08x %s", m.sum, m.name()) }

func (n *notes) recall(mutants []*mutant) {
	for _, m := range mutants {
		if m.killer = n.killer[key(m)]; m.killer != "" {
			n.recalled++
		}
	}
}

func (n *notes) add(m *mutant) error {
	if n.file == nil || m.killer == "" {
		return nil
	}
	_, err := fmt.Fprintf(n.file, "%s\t%s\n", key(m), m.killer)
	return err
}

func (n *notes) close() {
	if n.file != nil {
		n.file.Close()
	}
}
