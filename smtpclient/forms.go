package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/internal/content"
)

// form is what was done to a message for servers that cannot take it as it is. The
// two go together: what is converted may still have to be folded.
type form uint8

const (
	sevenBit form = 1 << iota
	folded
)

// forms are those of one letter. Each is made and scanned at its first use, and
// serves all further servers.
type forms [sevenBit | folded + 1]sharedScan

// in gives the letter's message in a form. A message that cannot be brought into
// it has unfit.
func (l *letter) in(ctx context.Context, f form) (*message, error) {
	switch {
	case f&folded != 0:
		return l.forms[f].get(ctx, nil, func() (*message, error) {
			of, err := l.in(ctx, f&^folded)
			if err != nil {
				return nil, err
			}
			return of.folded(ctx)
		})
	case f&sevenBit != 0:
		return l.forms[f].get(ctx, nil, func() (*message, error) { return l.message.sevenBit(ctx) })
	}
	return l.message, nil
}

// sevenBit is a message converted to 7-bit.
func (m *message) sevenBit(ctx context.Context) (*message, error) {
	var plan *content.Plan
	err := m.reading(ctx, func(r io.Reader) (err error) {
		plan, err = content.SevenBit{}.Plan(r)
		return err
	})
	var unfit *content.Unfit
	switch {
	case errors.As(err, &unfit):
		return &message{unfit: unfit}, nil
	case err != nil:
		return nil, err
	}
	found, err := scanAll(ctx, &filtered{m, plan.Convert})
	if err != nil {
		return nil, err
	}
	found.notes = append([]string{"8-bit content was converted to 7-bit: the server does not offer 8BITMIME"}, plan.Notes...)
	return found, nil
}

// folded is a message without lines of more than 998 bytes; one that is signed
// stays as it is, and so does one of which nobody can tell.
func (m *message) folded(ctx context.Context) (*message, error) {
	signed := false
	err := m.reading(ctx, func(r io.Reader) (err error) {
		signed, err = content.Signed(r)
		return err
	})
	var unfit *content.Unfit
	switch {
	case errors.As(err, &unfit):
		return m.keptLong(unfit.Reason), nil
	case err != nil:
		return nil, err
	case signed:
		return m.keptLong("the message is signed"), nil
	}
	found, err := scanAll(ctx, &filtered{m, content.Fold})
	if err != nil {
		return nil, err
	}
	found.notes = append(m.notes[:len(m.notes):len(m.notes)], fmt.Sprintf("lines of up to %d bytes were folded; RFC 5321 has at most %d", m.facts.LongestLine, maxTextLine))
	return found, nil
}

// keptLong is a message that goes with its long lines.
func (m *message) keptLong(why string) *message {
	same := *m
	same.notes = append(same.notes[:len(same.notes):len(same.notes)], longLineNote(m.facts.LongestLine)+", since "+why)
	return &same
}

func longLineNote(n int64) string {
	return fmt.Sprintf("a line of %d bytes was sent as it is; RFC 5321 has at most %d", n, maxTextLine)
}

// reading gives all of the message to use, which may stop early with an error.
func (m *message) reading(ctx context.Context, use func(io.Reader) error) error {
	r, err := m.open()
	if err != nil {
		return err
	}
	defer r.Close()
	return use(&withContext{ctx, r})
}

// withContext is a reader that ends with ctx.
type withContext struct {
	ctx context.Context
	r   io.Reader
}

func (c *withContext) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// filtered is the Content that a filter makes of a message.
type filtered struct {
	of     *message
	filter func(io.Reader) io.Reader
}

// Open gives what the filter makes of a new reading.
func (f *filtered) Open() (io.ReadCloser, error) {
	r, err := f.of.open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{f.filter(r), r}, nil
}

// Size is not known before it was read.
func (f *filtered) Size() int64 { return -1 }

// open gives a reader of the whole message. At the end it fails if it did not give
// what was scanned.
func (m *message) open() (io.ReadCloser, error) {
	head := bytes.NewReader(m.head)
	if m.memory != nil {
		return io.NopCloser(io.MultiReader(head, bytes.NewReader(m.memory))), nil
	}
	r, err := m.source.Open()
	if err == nil && r == nil {
		err = errNilReader
	}
	if err != nil {
		return nil, fmt.Errorf("content cannot be opened: %w", err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(head, &verified{m: m, r: r}), r}, nil
}

// verified holds a reading against the scan.
type verified struct {
	m    *message
	r    io.Reader
	sum  content.Sum
	size int64
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	if n < 0 || n > len(p) {
		return 0, fmt.Errorf("content's reader returned an impossible count %d", n)
	}
	v.sum.Write(p[:n])
	v.size += int64(n)
	if v.size > v.m.size || err == io.EOF && (v.size != v.m.size || v.sum.Sum64() != v.m.sum) {
		return 0, v.m.changed()
	}
	return n, err
}
