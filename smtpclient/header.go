package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// headerLines checks whole header lines of the caller, and gives them with CRLF
// at every end. What is no field would end the header, or begin a line of it that
// the caller did not mean (RFC 5322, Section 2.2).
func headerLines(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	if !strings.HasSuffix(s, "\n") {
		return nil, errors.New("its last line has no end")
	}
	out := make([]byte, 0, len(s)+16)
	number := 0
	for line := range strings.Lines(s) {
		number++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if err := headerLine(line, number == 1); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		out = append(append(out, line...), '\r', '\n')
	}
	return out, nil
}

// headerLine checks one line without its end.
func headerLine(line string, first bool) error {
	switch {
	case line == "":
		return errors.New("it is empty, which would end the header")
	case len(line) > maxTextLine:
		return fmt.Errorf("it has %d bytes, and at most %d are allowed", len(line), maxTextLine)
	case !utf8.ValidString(line) || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
		return errors.New("it holds a control character, or is not UTF-8")
	case strings.Trim(line, " \t") == "":
		return errors.New("it is blank, which some servers take for the end of the header")
	case line[0] == ' ' || line[0] == '\t':
		if first {
			return errors.New("it continues a line, but there is none before it")
		}
		return nil
	}
	name, _, ok := strings.Cut(line, ":")
	if !ok || name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return errors.New(`it is neither "Name: value" nor begins with a space or tab`)
	}
	return nil
}

// maxSearched is how much of a content is searched for header fields.
const maxSearched = 1 << 20

var errHeaderEnd = errors.New("the header has ended")

// header gives the header of a message, as far as maxSearched.
func (m *message) header(ctx context.Context) ([]byte, error) {
	header := append([]byte{'\n'}, m.head...) // a content may begin with the empty line
	take := func(p []byte) error {
		from := max(0, len(header)-3)
		header = append(header, p...)
		if i := endOfHeader(header[from:]); i >= 0 {
			header = header[:from+i]
			return errHeaderEnd
		}
		if len(header) > maxSearched {
			return errHeaderEnd
		}
		return nil
	}
	var err error
	if m.memory != nil {
		err = take(m.memory[:min(len(m.memory), maxSearched)])
	} else {
		err = readAll(ctx, m.source, take)
	}
	if errors.Is(err, errHeaderEnd) {
		err = nil
	}
	return header, err
}

// endOfHeader is where the last line of the header ends, or -1.
func endOfHeader(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		if rest := b[at:]; bytes.HasPrefix(rest, []byte("\n")) || bytes.HasPrefix(rest, []byte("\r\n")) {
			return at
		}
	}
}

// fields gives the name and the unfolded value of every field of a header.
func fields(header []byte) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		field := ""
		give := func() bool {
			name, value, ok := strings.Cut(field, ":")
			return !ok || yield(strings.TrimRight(name, " \t"), strings.TrimSpace(value))
		}
		for line := range bytes.Lines(header) {
			text := strings.TrimRight(string(line), "\r\n")
			if field != "" && text != "" && (text[0] == ' ' || text[0] == '\t') {
				field += text
				continue
			}
			if !give() {
				return
			}
			field = text
		}
		give()
	}
}
