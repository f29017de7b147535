package tlspolicy

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// TableFile is a Table that follows its file: where the file has changed since
// it was read, it is read again before the next decision. A file that cannot be
// read or does not parse changes nothing: the table that was there stays, and Err
// says why. Its methods may be called from many goroutines.
type TableFile struct {
	name string

	mu    sync.Mutex // guards all below
	info  fs.FileInfo
	table Table
	err   error // of reading what info tells
	gone  error // why there is no info now; nil: there is
}

// OpenTable reads the table in a file; see ParseTable. Files that it names are
// looked for in its folder, unless their names are absolute. They are read
// together with it: one that changes alone is found by Reload.
func OpenTable(name string) (*TableFile, error) {
	t := &TableFile{name: name}
	if err := t.Reload(); err != nil {
		return nil, err
	}
	return t, nil
}

// Decide implements Source.
func (t *TableFile) Decide(ctx context.Context, q Query) (Policy, error) {
	return t.current().Decide(ctx, q)
}

// Err is why the file as it is now is not in use; nil if it is.
func (t *TableFile) Err() error {
	t.current()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone != nil {
		return t.gone
	}
	return t.err
}

// Reload reads the file again. With an error the table that was there stays.
func (t *TableFile) Reload() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := t.statLocked()
	if err != nil {
		return err
	}
	return t.readLocked(info)
}

// statLocked looks for the file.
func (t *TableFile) statLocked() (fs.FileInfo, error) {
	info, err := os.Stat(t.name)
	if err != nil {
		err = fmt.Errorf("TLS policy table: %w", err)
	}
	t.gone = err
	return info, err
}

// current is the table of the file as it is now, or as it last was good.
func (t *TableFile) current() Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := t.statLocked()
	if err == nil && (!os.SameFile(info, t.info) || info.Size() != t.info.Size() || !info.ModTime().Equal(t.info.ModTime())) {
		_ = t.readLocked(info) // Err has it
	}
	return t.table
}

// readLocked reads the file that was found to be info. Once it could be read, it is
// not read again until it changes, not even where it is at fault.
func (t *TableFile) readLocked(info fs.FileInfo) error {
	text, err := os.ReadFile(t.name)
	if err != nil {
		t.info, t.err = nil, fmt.Errorf("TLS policy table: %w", err)
		return t.err
	}
	t.info = info
	table, err := ParseTable(bytes.NewReader(text), beside(filepath.Dir(t.name)))
	if err != nil {
		t.err = fmt.Errorf("%s: %w", t.name, err)
		return t.err
	}
	t.table, t.err = table, nil
	return nil
}

// beside opens files by names that are absolute or in a folder.
type beside string

func (dir beside) Open(name string) (fs.File, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(string(dir), name)
	}
	return os.Open(name)
}
