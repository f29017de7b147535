package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/internal/content"
)

// Content is the message: header, empty line and body. It is opened again for
// every attempt, also concurrently, and gives the same bytes each time; every
// stream is independent of the others. Lines may end in LF or CRLF: what is
// sent has CRLF throughout, a CR alone becomes a space, and a missing end of the
// last line is added.
//
// The message is read once before anything is sent, and again for each attempt.
// If the second reading does not give the bytes of the first, the connection is
// closed before the end of the data, so that no server accepts the message; it is
// Deferred (4.3.0). Bytes, File, ReaderAt and Scan give a Content that remembers
// what the first reading found; any other is read once for each Deliver or Send.
//
// A Content that blocks in Open or Read holds the call, also after ctx has
// ended.
type Content interface {
	Open() (io.ReadCloser, error)
	Size() int64 // in bytes as Open gives them; -1: not known
}

// Bytes is content in memory. What the first scan finds is kept for later
// deliveries of the same Content. The bytes must not change while it is in use:
// those that need no repair are written without a copy.
func Bytes(b []byte) Content { return &memory{b: b} }

type memory struct {
	b    []byte
	scan sharedScan
}

// Open gives a new reader.
func (m *memory) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.b)), nil }

// Size is the number of bytes.
func (m *memory) Size() int64 { return int64(len(m.b)) }

func (m *memory) scanned(ctx context.Context) (*message, error) {
	return m.scan.get(ctx, nil, func() (*message, error) {
		s := content.Scanner{Unsummed: true}
		for b := m.b; len(b) > 0; {
			n := min(len(b), 1<<20)
			s.Write(b[:n])
			if b = b[n:]; len(b) > 0 && ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
		}
		found := newMessage(m, s.Facts())
		found.memory = m.b
		return found, nil
	})
}

var errNilReader = errors.New("content gave a nil reader")

var errNoContent = errors.New("content is nil; use smtpclient.Bytes for a message in memory")

// readAll gives each piece of c to use.
func readAll(ctx context.Context, c Content, use func(p []byte) error) error {
	r, err := c.Open()
	if err != nil {
		return fmt.Errorf("content cannot be opened: %w", err)
	}
	if r == nil {
		return errNilReader
	}
	defer r.Close()
	return readFrom(ctx, r, use)
}

// readFrom gives each piece of r to use.
func readFrom(ctx context.Context, r io.Reader, use func(p []byte) error) error {
	room := largeRoom()
	defer room.leave()
	in := reading{ctx: ctx, r: r}
	for {
		p, err := in.next(room.all[:min(len(room.all), scanPiece)])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := use(p); err != nil {
			return err
		}
	}
}

// reading holds a Content's reader to the contract of io.Reader.
type reading struct {
	ctx context.Context
	r   io.Reader
	err error // that came with the last bytes
}

// next reads into buf, and gives at least one byte, or an error: io.EOF at the end.
func (in *reading) next(buf []byte) ([]byte, error) {
	for range 100 {
		if in.err != nil {
			return nil, in.err
		}
		if err := context.Cause(in.ctx); err != nil {
			return nil, err
		}
		n, err := in.r.Read(buf)
		if n < 0 || n > len(buf) {
			return nil, fmt.Errorf("content's reader returned an impossible count %d", n)
		}
		if in.err = err; err != nil && err != io.EOF {
			in.err = fmt.Errorf("content cannot be read: %w", err)
		}
		if n > 0 {
			return buf[:n], nil
		}
	}
	if in.err != nil {
		return nil, in.err
	}
	return nil, fmt.Errorf("content cannot be read: %w", io.ErrNoProgress)
}
