package classes

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Row is a line of the table. Empty matchers match everything.
type Row struct {
	Class Class
	// Code is a reply code as "550", or its first digit as "5yz". The name of a
	// stage may follow, as in "550/rcpt".
	Code string
	// Enhanced is an enhanced code of any class, as "x.7.1", or of one, as "4.7.1".
	Enhanced string
	// Text is what the words of the reply have to say: its parts, with " & " between
	// them, in any order, and none of a part that begins with "!". A part is one of
	// several phrases, with "|" between them. A phrase is looked for from the
	// beginning of a word; "*" in it is anything, "$" behind it the end of a word, and
	// "//" before it a place among the web addresses and the names of hosts, which are
	// not words, nor are enhanced codes and mail addresses. All is in lower case, with
	// spaces in place of "-" and "_".
	Text string
	// After is when to come back. Zero: as it is usual for the class.
	After time.Duration
	// Example is a reply that the row decides, and Source where it was found.
	Example, Source string
}

//go:embed table.txt
var tableText string

// standard is the table as it was parsed; it never changes. That it can be parsed is
// tested.
var standard = sync.OnceValue(func() []Row {
	rows, _ := Parse(tableText)
	return rows
})

// Standard is the table that comes with the package, in the order in which its rows
// are asked.
func Standard() []Row { return slices.Clone(standard()) }

// Parse reads rows in the form of table.txt, which says what it is. The error names
// the line.
func Parse(text string) ([]Row, error) {
	var rows []Row
	sources, sets := make(map[string]string), make(map[string]string)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "\t")
		if cells[0] == "source" && len(cells) == 3 {
			sources[cells[1]] = cells[2]
			continue
		}
		if cells[0] == "words" && len(cells) == 3 {
			sets["{"+cells[1]+"}"] = cells[2]
			continue
		}
		row, err := parseRow(cells, sources)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		for name, words := range sets {
			row.Text = strings.ReplaceAll(row.Text, name, words)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func parseRow(cells []string, sources map[string]string) (r Row, err error) {
	if len(cells) != 7 {
		return r, fmt.Errorf("%d columns in place of 7: class, code, enhanced, text, after, example, source", len(cells))
	}
	var ok bool
	if r.Class, ok = classNamed(cells[0]); !ok {
		return r, fmt.Errorf("class %q is not known", cells[0])
	}
	if cells[4] != "-" {
		if r.After, err = time.ParseDuration(cells[4]); err != nil {
			return r, fmt.Errorf("after: %w", err)
		}
	}
	if r.Source, ok = sources[cells[6]]; !ok {
		return r, fmt.Errorf("source %q has no line above", cells[6])
	}
	r.Code, r.Enhanced, r.Text, r.Example = asked(cells[1]), asked(cells[2]), asked(cells[3]), cells[5]
	if r.Text != plain(r.Text) {
		return r, fmt.Errorf("text %q can not be found: write it as %q", r.Text, plain(r.Text))
	}
	return r, nil
}

// asked gives what a cell asks for; "*" asks for nothing.
func asked(cell string) string {
	if cell == "*" {
		return ""
	}
	return cell
}
