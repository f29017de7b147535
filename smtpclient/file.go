package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// File is content in a file, which is opened anew for every attempt. What a scan
// finds is kept for later deliveries of the same Content until the file's size or
// modification time has changed, or another file has its name. What goes by DATA
// is compared with the scan byte for byte while it is sent; see ChunkingAuto for
// what does not.
func File(name string) Content { return &file{name: name} }

type file struct {
	name string
	scan sharedScan
}

// Open opens the file.
func (f *file) Open() (io.ReadCloser, error) { return os.Open(f.name) }

// Size is that of the file now; -1 if it cannot be found out.
func (f *file) Size() int64 {
	info, err := os.Stat(f.name)
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	return info.Size()
}

func (f *file) scanned(ctx context.Context) (*message, error) {
	return f.scan.get(ctx, f.still, func() (*message, error) { return f.read(ctx) })
}

// still tells that the file is the one that was scanned.
func (f *file) still(m *message) bool {
	info, err := os.Stat(f.name)
	return err == nil && sameFile(info, m.info)
}

// read scans the file, which must not change meanwhile.
func (f *file) read(ctx context.Context) (*message, error) {
	start := time.Now()
	before, err := os.Stat(f.name)
	if err != nil {
		return nil, fmt.Errorf("content cannot be opened: %w", err)
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("content cannot be opened: %s is not a regular file", f.name)
	}
	m, err := scanAll(ctx, f)
	if err != nil {
		return nil, err
	}
	m.info = before
	if !f.still(m) {
		return nil, errors.New("the file changed while it was scanned")
	}
	m.settled = start.Sub(before.ModTime()) > settleTime
	return m, nil
}

// settleTime is how old the last change of a file must be for the next one to
// show: the clocks of file systems have steps, of two seconds at worst (FAT).
const settleTime = 2 * time.Second

func sameFile(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// unchanged tells that an open file is the one that was scanned. Where there is
// no file, there is nothing to compare.
func (m *message) unchanged(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok || m.info == nil {
		return true
	}
	info, err := f.Stat()
	return err == nil && sameFile(info, m.info)
}

// ReaderAt is the first size bytes of r, which is read by several deliveries at
// once. What the first scan finds is kept for later deliveries of the same
// Content; if r gives other bytes later, the delivery is Deferred (4.3.0), and the
// next one scans again.
func ReaderAt(r io.ReaderAt, size int64) Content { return &readerAt{r: r, size: size} }

type readerAt struct {
	r    io.ReaderAt
	size int64
	scan sharedScan
}

// Open gives a new reader.
func (c *readerAt) Open() (io.ReadCloser, error) {
	if c.r == nil || c.size < 0 {
		return nil, errors.New("smtpclient.ReaderAt needs a reader and a size that is not negative")
	}
	return io.NopCloser(io.NewSectionReader(c.r, 0, c.size)), nil
}

// Size is the number of bytes.
func (c *readerAt) Size() int64 { return c.size }

func (c *readerAt) scanned(ctx context.Context) (*message, error) {
	return c.scan.get(ctx, nil, func() (*message, error) { return scanAll(ctx, c) })
}
