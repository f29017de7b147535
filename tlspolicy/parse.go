package tlspolicy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// ParseError is what is wrong with a policy file, and where.
type ParseError struct {
	Line, Column int // from 1; Column in bytes
	Err          error
}

// Error says what is wrong, and where.
func (e *ParseError) Error() string {
	return fmt.Sprintf("TLS policy table, line %d, column %d: %v", e.Line, e.Column, e.Err)
}

// Unwrap gives Err.
func (e *ParseError) Unwrap() error { return e.Err }

// ParseTable reads a policy table in the syntax of Postfix's
// smtp_tls_policy_maps:
//
//	# next hop              level and attributes
//	example.org             secure match=nexthop:.mail.example.org
//	.example.net            verify tafile=ca.pem
//	[mail.example.com]:587  fingerprint
//	    match=36:8A:...|9C:4D:...
//
// A line that begins with a blank goes on with the one before it. Files that the
// table names are read from files now; nil has none. A table with a fault is
// refused whole, with a *ParseError.
func ParseTable(r io.Reader, files fs.FS) (Table, error) {
	t := Table{}
	lines, err := readLines(r)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		words, err := l.split()
		if err != nil {
			return nil, err
		}
		key, err := tableKey(words[0].text)
		if err != nil {
			return nil, words[0].fault(err)
		}
		if _, twice := t[key]; twice {
			return nil, words[0].fault(fmt.Errorf("%s stands here for the second time", key))
		}
		if len(words) == 1 {
			return nil, words[0].fault(fmt.Errorf("%s has no level", key))
		}
		if t[key], err = parseEntry(words[1], words[2:], files); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// The bounds of a policy file, and of a line. They are generous: 16 MiB are some
// 300,000 lines.
const (
	maxTable     = 16 << 20
	maxTableLine = 1 << 20
)

// piece is text with the place where it stood.
type piece struct {
	text         string
	line, column int
}

func (p piece) fault(err error) error { return &ParseError{Line: p.line, Column: p.column, Err: err} }

// at is the rest of p from byte n on.
func (p piece) at(n int) piece { return piece{p.text[n:], p.line, p.column + n} }

// logical is a line with those that continue it.
type logical []piece

// readLines joins continued lines, and leaves comments and empty lines out.
func readLines(r io.Reader) ([]logical, error) {
	var lines []logical
	in := bufio.NewScanner(io.LimitReader(r, maxTable+1))
	in.Buffer(nil, maxTableLine)
	size, n := 0, 1
	for ; in.Scan(); n++ {
		text := strings.TrimSuffix(in.Text(), "\r")
		if size += len(text) + 1; size > maxTable {
			return nil, &ParseError{Line: n, Column: 1, Err: fmt.Errorf("the table has more than %d bytes", maxTable)}
		}
		bare := strings.TrimLeft(text, " \t")
		switch {
		case bare == "" || bare[0] == '#':
		case bare == text:
			lines = append(lines, logical{{text, n, 1}})
		case lines == nil:
			return nil, &ParseError{Line: n, Column: 1, Err: fmt.Errorf("the first line begins with a blank, so that it continues none")}
		default:
			last := &lines[len(lines)-1]
			*last = append(*last, piece{text, n, 1})
		}
	}
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, &ParseError{Line: n, Column: 1, Err: fmt.Errorf("the line is longer than %d bytes", maxTableLine)}
	case err != nil:
		return nil, fmt.Errorf("TLS policy table: %w", err)
	}
	return lines, nil
}

// split gives the words of a line: the key, in which a comma or brace means
// nothing, and the rest, between which commas and blanks stand. "{ name = value }"
// is one word, "name=value".
func (l logical) split() ([]piece, error) {
	n := strings.IndexAny(l[0].text+" ", " \t")
	words := []piece{{l[0].text[:n], l[0].line, 1}}
	l[0] = l[0].at(n)
	for _, part := range l {
		for i := 0; i < len(part.text); {
			if strings.IndexByte(" \t,", part.text[i]) >= 0 {
				i++
				continue
			}
			word, n, err := nextWord(part.at(i))
			if err != nil {
				return nil, err
			}
			words = append(words, word)
			i += n
		}
	}
	return words, nil
}

// nextWord is the word that p begins with, and how many bytes it takes.
func nextWord(p piece) (piece, int, error) {
	if p.text[0] != '{' {
		n := strings.IndexAny(p.text, " \t,")
		if n < 0 {
			n = len(p.text)
		}
		return piece{p.text[:n], p.line, p.column}, n, nil
	}
	end := strings.IndexByte(p.text, '}')
	if end < 0 {
		return piece{}, 0, p.fault(fmt.Errorf("there is no } for this {"))
	}
	name, value, ok := strings.Cut(p.text[1:end], "=")
	if !ok {
		return piece{}, 0, p.fault(fmt.Errorf("between { and } there must be name = value"))
	}
	return piece{strings.TrimSpace(name) + "=" + strings.TrimSpace(value), p.line, p.column}, end + 1, nil
}
