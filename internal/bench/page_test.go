package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const docs = "../../docs"

// What the documentation shows is what was measured: the page and the plots are
// those that bench.json gives.
func TestPageAndPlots(t *testing.T) {
	r, err := readRecord(docs)
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, filepath.Join(docs, pageFile))
	want, err := r.insert(page)
	if err != nil {
		t.Fatal(err)
	}
	if page != want {
		t.Error("the tables of performance.md are not those of bench.json: go run . -rounds 0 -docs ../../docs")
	}
	if has, want := strings.Count(page, "<!-- bench "), len(tables()); has != want {
		t.Errorf("performance.md has %d places for tables, and there are %d tables", has, want)
	}
	var files []string
	for _, c := range charts() {
		files = append(files, filepath.Join(docs, c.file))
		if read(t, filepath.Join(docs, c.file)) != c.draw(r) {
			t.Errorf("%s is not what bench.json gives: go run . -rounds 0 -docs ../../docs", c.file)
		}
		if !strings.Contains(page, "]("+c.file+")") {
			t.Errorf("performance.md does not show %s", c.file)
		}
	}
	slices.Sort(files)
	if there, _ := filepath.Glob(filepath.Join(docs, "bench-*.svg")); !slices.Equal(there, files) {
		t.Errorf("plots are %q, want %q", there, files)
	}
}

// Whatever a table, a plot or a bound names was measured: a name with a slip in it
// would leave a hole that looks like one that nobody could fill.
func TestNothingIsMissing(t *testing.T) {
	r, err := readRecord(docs)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range experiments() {
		if r.find(e.id()) == nil {
			t.Errorf("bench.json does not have %s", e.id())
		}
	}
	for _, b := range bounds() {
		if _, ok := b.measured(r); !ok {
			t.Errorf("%s: %s is not in bench.json", b.id, b.what)
		}
	}
	for _, table := range tables() {
		for _, line := range table.cells(r)[1:] {
			if slices.IndexFunc(line[1:], func(cell string) bool { return cell != "" }) < 0 {
				t.Errorf("table %s has nothing for %s", table.name, line[0])
			}
		}
	}
	for _, c := range charts() {
		for _, p := range c.panels {
			if bars := p.bars(r); len(bars) < 3 {
				t.Errorf("%s has %d bars for %s", c.file, len(bars), p.title)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A figure of a record that is written and read again is the same, and a new run of
// an experiment takes the place of the old one.
func TestRecord(t *testing.T) {
	dir, list := t.TempDir(), experiments()
	r := new(record)
	for _, e := range []experiment{list[2], list[0]} {
		one := &result{ID: e.id(), Floor: "b", Rows: []row{{"a", map[string][]float64{}}, {"b", map[string][]float64{}}}}
		for _, v := range []float64{3, 12345.67, 1} {
			one.Rows[0].add(figures{cpu: v})
			one.Rows[1].add(figures{cpu: v / 2})
		}
		r.put(one)
	}
	r.put(&result{ID: list[2].id()})
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := readRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Experiments) != 2 || again.Experiments[0].ID != list[0].id() || again.Experiments[1].Rows != nil {
		t.Fatalf("got %v", again.Experiments)
	}
	first := again.find(list[0].id())
	if v, ok := first.ratio("a", "b", cpu); v != 2 || !ok {
		t.Errorf("ratio %v, %v", v, ok)
	}
	if got := first.rounds("a", cpu); !slices.Equal(got, []float64{3, 12350, 1}) {
		t.Errorf("figures %v", got)
	}
	if v, ok := first.median("a", cpu); v != 3 || !ok {
		t.Errorf("median %v, %v", v, ok)
	}
	if _, ok := first.median("a", heap); ok {
		t.Error("a figure that was not measured has a median")
	}
}

// The page says which versions were measured: those of go.mod.
func TestVersionsOnThePage(t *testing.T) {
	page := read(t, filepath.Join(docs, pageFile))
	direct, _, _ := strings.Cut(read(t, "go.mod"), "// indirect")
	peers := regexp.MustCompile(`(?m)^\t(\S+ v\S+)$`).FindAllStringSubmatch(direct, -1)
	if len(peers) < 5 {
		t.Fatalf("%q are the direct requirements", peers)
	}
	for _, m := range peers {
		peer := m[1]
		if strings.HasPrefix(peer, "github.com/postrider/") || strings.HasPrefix(peer, "golang.org/x/sys ") { // which keeps the cores awake
			continue
		}
		if !strings.Contains(page, peer) {
			t.Errorf("performance.md does not say that %s was measured", peer)
		}
	}
}
