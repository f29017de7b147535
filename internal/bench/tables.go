package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// table is one of performance.md, between two marks with its name.
type table struct {
	name  string
	from  []string // the experiments in it
	cells func(r *record) [][]string
}

var (
	libraries = []string{"Session.Send", "Client.Deliver", "net/smtp", "go-smtp", "go-mail", "go-simple-mail", "mox"}
	mailCases = []string{"rates/1 KiB", "rates/1 KiB, 50 recipients", "rates/1 KiB, TLS 1.3", "rates/100 KiB", "rates/10 MiB", "rates/10 MiB, TLS 1.3",
		"rates/1 KiB, to smtp-sink", "sessions/10 sessions", "sessions/100 sessions", "sessions/1,000 sessions"}
	coldCases   = []string{"cold/plaintext", "cold/STARTTLS"}
	tripCases   = []string{"trips/1 recipient", "trips/50 recipients", "trips/new connection, plaintext", "trips/new connection, STARTTLS"}
	idleCases   = []string{"memory/idle, plaintext", "memory/idle, TLS 1.3"}
	activeCases = []string{"memory/1,000 sessions, in the midst of 1 MiB", "memory/5,000 sessions, in the midst of 1 MiB", "memory/5,000 sessions, waiting for the reply"}
	countCases  = []string{"scale/recipients, Session.Send", "scale/recipients, Client.Deliver", "scale/recipients, mox", "scale/recipients, raw DATA"}
	countsTo500 = []string{"1", "10", "50", "100", "500"}
	growCases   = []string{"scale/destinations", "scale/goroutines, 10 sessions", "scale/goroutines, each its own destination", "scale/sessions, raw DATA"}
	counts      = []string{"1", "10", "100", "1,000"}
	withC       = slices.Concat(libraries, []string{"smtp-source"})
	withRaw     = slices.Concat(libraries, []string{"raw DATA"})
	overlapping = []string{"Client.Deliver, 64 goroutines", "Client.Deliver, 64 goroutines, grouped"}
	bigForms    = []string{"Session.Send", "Session.Send, fresh content", "Session.Send, same file, DATA", "Session.Send, file, DATA",
		"Session.Send, BDAT", "Session.Send, same file, BDAT", "Session.Send, file, BDAT", "raw BDAT"}
	fourForms   = []string{"Session.Send", "Client.Deliver, 64 goroutines", "Client.Deliver, not overlapped", "mox", "raw DATA"}
	postfixRows = []string{"Client.Deliver", "Client.Deliver, from files"}
)

// tables are all of performance.md.
func tables() []table {
	return []table{
		{"holds", nil, holdsTable},
		crossed("rate", mailCases, withC, toFloor(rate)),
		crossed("cpu", slices.Concat(mailCases, coldCases), withC, toFloor(cpu)),
		crossed("allocs", slices.Concat(mailCases[:3], coldCases), libraries, plain(allocs)),
		crossed("large", []string{"rates/10 MiB"}, bigForms, toFloor(rate, cpu)),
		crossed("four", []string{"sessions/4 sessions, 64 goroutines"}, fourForms, toFloor(rate, cpu)),
		crossed("trips", tripCases, slices.Concat(withRaw, overlapping), plain(trips)),
		crossed("memory", slices.Concat(idleCases, activeCases), withRaw, plain(heapStack)),
		crossed("recipients", countCases, countsTo500, toFloor(cpu)),
		crossed("recipients-allocs", countCases[:3], countsTo500, plain(allocs)),
		crossed("growth", growCases, counts, toFloor(cpu)),
		crossed("postfix", []string{"postfix/1 KiB"}, postfixRows, toFloor(rate, cpu)),
	}
}

// cell is what a table says of a sender in an experiment; "": nothing is known.
type cell func(r *result, sender string) string

// toFloor gives medians of ratios, with a slash between those of several figures.
func toFloor(of ...string) cell {
	return func(r *result, sender string) string {
		var parts []string
		for _, figure := range of {
			if r == nil {
				return ""
			}
			v, ok := r.ratio(sender, r.Floor, figure)
			if !ok {
				return ""
			}
			parts = append(parts, short(v))
		}
		return strings.Join(parts, " / ")
	}
}

func plain(figure string) cell {
	return func(r *result, sender string) string {
		v, ok := r.median(sender, figure)
		if !ok {
			return ""
		}
		return absolute(figure, v)
	}
}

// absolute rounds what can be counted: a little of it is the runtime's own.
func absolute(figure string, v float64) string {
	if figure == allocs || figure == goroutines {
		return fmt.Sprintf("%.0f", v)
	}
	return short(v)
}

// crossed has a line for each experiment and a column for each sender. With one
// experiment only, its senders are the lines.
func crossed(name string, ids, senders []string, of cell) table {
	return table{name, ids, func(r *record) [][]string {
		rows := [][]string{{""}}
		for _, s := range senders {
			rows[0] = append(rows[0], inTicks(s))
		}
		for _, id := range ids {
			_, label, _ := strings.Cut(id, "/")
			if strings.HasPrefix(id, "cold/") {
				label = "new connection, " + label
			}
			line := []string{label}
			for _, s := range senders {
				line = append(line, of(r.find(id), s))
			}
			rows = append(rows, line)
		}
		if len(ids) == 1 {
			return turned(rows)
		}
		return rows
	}}
}

func turned(rows [][]string) [][]string {
	var out [][]string
	for i := range rows[0] {
		var line []string
		for _, row := range rows {
			line = append(line, row[i])
		}
		out = append(out, line)
	}
	return out
}

// inTicks marks what is a name in the code.
func inTicks(sender string) string {
	name, rest, more := strings.Cut(sender, ",")
	if name != "Session.Send" && name != "Client.Deliver" {
		return sender
	}
	if more {
		rest = "," + rest
	}
	return "`" + name + "`" + rest
}

func (t table) text(r *record) string {
	var b strings.Builder
	for i, line := range t.cells(r) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(line)) + "\n")
		}
	}
	if from := r.stamps(t.from); from != "" {
		fmt.Fprintf(&b, "\n%s\n", from)
	}
	return b.String()
}

// stamps says when the experiments were run, or those of all the record for nil.
func (r *record) stamps(ids []string) string {
	var list []string
	for _, e := range r.Experiments {
		if ids != nil && !slices.Contains(ids, e.ID) {
			continue
		}
		s := e.Stamp
		if text := fmt.Sprintf("%s at %s, %s, %s, %d cores", s.Date, s.Commit, plural(s.Rounds, "round"), s.Go, s.Cores); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return "Measured " + strings.Join(list, "; ") + "."
}

const pageFile = "performance.md"

// marks are before and after a table.
func (t table) marks() (before, after string) {
	return "<!-- bench " + t.name + " -->\n", "<!-- end of bench " + t.name + " -->"
}

// insert puts the tables into the page.
func (r *record) insert(page string) (string, error) {
	for _, t := range tables() {
		before, after := t.marks()
		head, rest, found := strings.Cut(page, before)
		_, tail, ended := strings.Cut(rest, after)
		if !found || !ended {
			return "", fmt.Errorf("%s has no place %q ... %q", pageFile, before, after)
		}
		page = head + before + "\n" + t.text(r) + "\n" + after + tail
	}
	return page, nil
}

// publish writes the tables and the plots.
func publish(r *record, dir string) error {
	path := filepath.Join(dir, pageFile)
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := r.insert(string(page))
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	for _, c := range charts() {
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.draw(r)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
