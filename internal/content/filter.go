package content

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Filter edits a message while it is read. Nil functions change nothing. An error
// of a function is that of the reader.
type Filter struct {
	// Field is asked about each header field, which it is given in one line, and
	// Line about each other line, both without line end. A line of more than
	// 32 KiB comes in pieces.
	Field func(class HeaderClass, field string) (Edit, error)
	Line  func(line string) (Edit, error)
	// Address gives what is to stand in place of an address in the fields of the
	// primary header that hold some.
	Address func(address string) (string, error)
	// Binary is for content that is sent byte by byte as it is.
	Binary bool
}

// Edit is what becomes of a field or line.
type Edit struct {
	Kind EditKind
	Text string // one line, without its end
}

// EditKind says what an Edit does.
type EditKind uint8

// The kinds of edits.
const (
	EditNone EditKind = iota
	EditReplace
	EditPrepend // a line of its own before it
	EditDrop
)

// Apply gives the message of r, edited. The error of its Read is an *Unfit where
// the message cannot be taken apart.
func (f *Filter) Apply(r io.Reader) io.Reader {
	e := &editor{filter: f}
	e.v, e.globals = e, true
	ends := repairEnds
	if f.Binary {
		ends = keepEnds
	}
	return transform(r, e, ends)
}

// editor carries out a Filter.
type editor struct {
	walker
	filter *Filter
	out    []byte
}

func (d *editor) take() []byte {
	out := d.out
	d.out = d.out[:0]
	return out
}

func (d *editor) field(e *entity, name string, field []byte) error {
	class := e.class
	if name == "mime-version" || strings.HasPrefix(name, "content-") {
		class = MIMEHeader // as Postfix has it
	}
	if d.filter.Field != nil && name != "" {
		edit, err := d.filter.Field(class, unfolded(field))
		if err != nil {
			return err
		}
		switch edit.Kind {
		case EditDrop:
			return nil
		case EditReplace:
			field, err = asField(edit.Text)
		case EditPrepend:
			var before []byte
			before, err = asField(edit.Text)
			d.out = append(d.out, before...)
		}
		if err != nil {
			return err
		}
	}
	if d.filter.Address != nil && e.class == PrimaryHeader && holdsAddresses(fieldName(field)) {
		var err error
		if field, err = rewriteAddresses(field, d.filter.Address); err != nil {
			return err
		}
	}
	d.out = append(d.out, field...)
	return nil
}

// unfolded is a field in one line, without its end (RFC 5322, Section 2.2.3).
func unfolded(field []byte) string {
	text := strings.ReplaceAll(string(cutEnd(field)), "\r\n", "")
	return strings.ReplaceAll(text, "\n", "")
}

// CheckField tells what is wrong with a text that is to stand as a header field,
// or nil.
func CheckField(text string) error {
	_, err := asField(text)
	return err
}

// asField makes lines of a field that a filter gave.
func asField(text string) ([]byte, error) {
	if fieldName([]byte(text)) == "" {
		return nil, fmt.Errorf("%q is no header field; write it as Name: value", shown(text))
	}
	return foldedField([]byte(text + "\r\n"))
}

// foldedField breaks the lines of a field where they are too long.
func foldedField(field []byte) ([]byte, error) {
	f := folder{inHeader: true}
	for line := range bytes.Lines(field) {
		_ = f.line(line, true, true) // has no error
	}
	out := f.take()
	// Where there is no blank a space would have to come in.
	if len(bytes.ReplaceAll(out, []byte("\r\n"), nil)) > len(bytes.ReplaceAll(field, []byte("\r\n"), nil)) {
		return nil, fmt.Errorf("%q has more than %d bytes without a blank", shown(string(field)), MaxLine)
	}
	return out, nil
}

// shown is the begin of a text, for errors.
func shown(text string) string { return text[:min(len(text), 80)] }

func (d *editor) headEnd(_ *entity, empty []byte) error {
	d.out = append(d.out, empty...)
	return nil
}

func (d *editor) body(_ *entity, text []byte, _ bool) error { return d.plain(text) }
func (d *editor) delimiter(text []byte) error               { return d.plain(text) }
func (d *editor) outside(_ *enclosure, text []byte) error   { return d.plain(text) }

// plain is a line that is not of a header.
func (d *editor) plain(text []byte) error {
	if d.filter.Line == nil {
		d.out = append(d.out, text...)
		return nil
	}
	line := cutEnd(text)
	edit, err := d.filter.Line(string(line))
	if err != nil {
		return err
	}
	switch edit.Kind {
	case EditDrop:
		return nil
	case EditReplace:
		d.out = append(append(d.out, edit.Text...), text[len(line):]...)
		return nil
	case EditPrepend:
		d.out = append(append(d.out, edit.Text...), '\r', '\n')
	}
	d.out = append(d.out, text...)
	return nil
}

func (d *editor) bodyEnd(*entity, bool) error { return nil }
func (d *editor) closed(*enclosure) error     { return nil }
