package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/internal/content"
)

// scanFiltered scans the content as the filters leave it.
func (l *letter) scanFiltered(ctx context.Context, c Content) (*message, error) {
	f := l.filters
	if f == nil || f.Header == nil && f.Body == nil && f.Address == nil {
		return scan(ctx, c)
	}
	checks := &checkedContent{of: c, filters: f, ends: l.env.Body, notes: &notes{}}
	m, err := scanAll(ctx, checks)
	// Later readings find the same, and may come at the same time.
	l.notes, checks.notes = checks.notes.list, nil
	return m, err
}

// contentFault is a content that cannot be read, or not be taken apart.
func contentFault(err error) *inputError {
	var unfit *content.Unfit
	if errors.As(err, &unfit) {
		return badInput(unfit.Enhanced, "Content", err)
	}
	return &inputError{status: Deferred, enhanced: "4.3.0", cause: err}
}

// checkedContent is a Content behind the filters of its lines.
type checkedContent struct {
	of      Content
	filters *Filters
	ends    Body
	notes   *notes // nil: they were taken
}

// Open gives what the filters make of a new reading.
func (c *checkedContent) Open() (io.ReadCloser, error) {
	r, err := c.of.Open()
	if err == nil && r == nil {
		err = errNilReader
	}
	if err != nil {
		return nil, err
	}
	edit := &content.Filter{Binary: c.ends == BodyBinary}
	if c.filters.Header != nil {
		edit.Field = func(class content.HeaderClass, text string) (content.Edit, error) {
			return c.field(HeaderField{Class: HeaderClass(class), Text: text})
		}
	}
	if c.filters.Body != nil {
		edit.Line = c.line
	}
	if c.filters.Address != nil {
		edit.Address = c.filters.rewritten
	}
	return struct {
		io.Reader
		io.Closer
	}{edit.Apply(r), r}, nil
}

// Size is not known before it was read.
func (c *checkedContent) Size() int64 { return -1 }

func (c *checkedContent) field(f HeaderField) (content.Edit, error) {
	var check Check
	err := guard("Header", func() error {
		check = c.filters.Header(f)
		// A field that is too long is folded.
		err := fitsLine(check.Text, maxFieldText)
		if err == nil && (check.Action == CheckReplace || check.Action == CheckPrepend) {
			err = content.CheckField(check.Text)
		}
		return err
	})
	if err != nil {
		return content.Edit{}, err
	}
	return c.edit("Header", check, f.Text)
}

// maxFieldText bounds what a filter makes of a field.
const maxFieldText = 1 << 20

func (c *checkedContent) line(text string) (content.Edit, error) {
	var check Check
	err := guard("Body", func() error {
		check = c.filters.Body(text)
		return fitsLine(check.Text, maxTextLine)
	})
	if err != nil {
		return content.Edit{}, err
	}
	return c.edit("Body", check, text)
}

// edit is what an action comes to.
func (c *checkedContent) edit(hook string, check Check, text string) (content.Edit, error) {
	switch check.Action {
	case CheckKeep:
	case CheckInfo:
		c.notes.add("info: "+check.Text, text)
	case CheckWarn:
		c.notes.add("warning: "+check.Text, text)
	case CheckStrip:
		c.notes.add("taken out: "+check.Text, text)
		return content.Edit{Kind: content.EditDrop}, nil
	case CheckIgnore:
		return content.Edit{Kind: content.EditDrop}, nil
	case CheckReplace:
		return content.Edit{Kind: content.EditReplace, Text: check.Text}, nil
	case CheckPrepend:
		return content.Edit{Kind: content.EditPrepend, Text: check.Text}, nil
	default:
		return content.Edit{}, &hookError{hook, fmt.Errorf("there is no action %d", check.Action)}
	}
	return content.Edit{}, nil
}

// notes are what the filters said, up to a bound.
type notes struct{ list []string }

const maxNotes = 50

func (n *notes) add(what, text string) {
	switch {
	case n == nil || len(n.list) > maxNotes:
	case len(n.list) == maxNotes:
		n.list = append(n.list, "the filters said more than is kept")
	default:
		n.list = append(n.list, fmt.Sprintf("%s: %.80q", what, text))
	}
}
