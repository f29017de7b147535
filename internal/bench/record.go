package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record is what was measured: the source of the tables and plots.
type record struct{ Experiments []*result }

// result is that of one experiment.
type result struct {
	ID    string
	Floor string // whom the others are compared with
	Stamp stamp
	Rows  []row
}

// stamp says when and how something was measured.
type stamp struct {
	Date, Commit, Go string
	Rounds, Cores    int
}

// row has the figures of one contender, by round.
type row struct {
	Sender  string
	Figures map[string][]float64
}

func (h *hall) stamp(rounds int) stamp {
	return stamp{time.Now().UTC().Format(time.DateOnly), h.commit, runtime.Version(), rounds, runtime.NumCPU()}
}

// commitOf is what the working tree is at. Documentation may have changed: this
// program itself writes some.
func commitOf() string {
	commit, err := exec.Command("git", "rev-parse", "--short=7", "HEAD").Output()
	if err != nil {
		return "an unknown commit"
	}
	text := strings.TrimSpace(string(commit))
	if exec.Command("git", "diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)docs", ":(top,exclude)*.md").Run() != nil {
		text += " with changes"
	}
	return text
}

// add adds a round. Four digits are more than there is to know.
func (r *row) add(f figures) {
	for name, value := range f {
		short, _ := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 4, 64), 64)
		r.Figures[name] = append(r.Figures[name], short)
	}
}

const recordFile = "bench.json"

func readRecord(dir string) (*record, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return new(record), err
	}
	r := new(record)
	return r, json.Unmarshal(text, &r.Experiments)
}

// put replaces an experiment, in the order of experiments.
func (r *record) put(one *result) {
	r.Experiments = slices.DeleteFunc(r.Experiments, func(old *result) bool { return old.ID == one.ID })
	r.Experiments = append(r.Experiments, one)
	place := map[string]int{}
	for i, e := range experiments() {
		place[e.id()] = i + 1
	}
	r.Experiments = slices.DeleteFunc(r.Experiments, func(old *result) bool { return place[old.ID] == 0 })
	slices.SortFunc(r.Experiments, func(a, b *result) int { return place[a.ID] - place[b.ID] })
}

// write has a line for each contender, so that differences can be read.
func (r *record) write(dir string) error {
	text, err := json.Marshal(r.Experiments)
	if err != nil {
		return err
	}
	for _, at := range []string{`{"ID":`, `{"Sender":`} {
		text = bytes.ReplaceAll(text, []byte(at), []byte("\n"+at))
	}
	return os.WriteFile(filepath.Join(dir, recordFile), append(text, '\n'), 0o644)
}

func (r *record) find(id string) *result {
	for _, one := range r.Experiments {
		if one.ID == id {
			return one
		}
	}
	return nil
}

// rounds are the figures of a sender, or nil.
func (r *result) rounds(sender, figure string) []float64 {
	if r == nil {
		return nil
	}
	for _, row := range r.Rows {
		if row.Sender == sender {
			return row.Figures[figure]
		}
	}
	return nil
}

// median of a figure; ok is false where it was not measured.
func (r *result) median(sender, figure string) (value float64, ok bool) {
	return median(r.rounds(sender, figure))
}

// ratio is the median over the rounds of one sender's figure to another's.
func (r *result) ratio(sender, to, figure string) (value float64, ok bool) {
	of, by := r.rounds(sender, figure), r.rounds(to, figure)
	if len(of) != len(by) {
		return 0, false
	}
	list := make([]float64, len(of))
	for i := range of {
		list[i] = of[i] / by[i]
	}
	return median(list)
}

func median(list []float64) (float64, bool) {
	if len(list) == 0 {
		return 0, false
	}
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2, true
}

// show gives the medians of all that was measured, and ratios to the floor.
func (r *result) show() string {
	var names []string
	for _, row := range r.Rows {
		for name := range maps.Keys(row.Figures) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, of %s in brackets\n\n| sender | %s |\n|---%s|\n", r.ID, r.Floor, strings.Join(names, " | "), strings.Repeat("|---", len(names)))
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s |", row.Sender)
		for _, name := range names {
			value, ok := r.median(row.Sender, name)
			ratio, compared := r.ratio(row.Sender, r.Floor, name)
			switch {
			case !ok:
				b.WriteString(" |")
			case !compared || ratio != ratio:
				fmt.Fprintf(&b, " %s |", short(value))
			default:
				fmt.Fprintf(&b, " %s (%.2f) |", short(value), ratio)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// short gives three digits, or all before the point.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands writes 1000 as 1,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
