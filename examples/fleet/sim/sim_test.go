package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden figures anew")

// The same seed gives the same figures: those of docs/fleet.md, in their short form.
func TestGolden(t *testing.T) {
	var out bytes.Buffer
	results := play(&out, brief, 1, "")
	const golden = "testdata/brief.txt"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the figures are\n%s\nand were\n%s", out.String(), want)
	}
	for _, r := range results {
		checkRun(t, r)
	}
	checkDocs(t, string(want))
	for name, draw := range plots {
		checkPicture(t, "../../../docs/fleet-"+name+".svg", draw(results))
	}
}

// checkRun is what holds for every run.
func checkRun(t *testing.T, r result) {
	t.Helper()
	if r.arrived != brief.messages || r.done != r.arrived || r.ages.total+r.expired != r.done {
		t.Errorf("%s: of %d messages %d were delivered and %d expired", r.name, r.arrived, r.ages.total, r.expired)
	}
	if r.transactions != r.ages.total+r.tooFast+r.greylisted+r.cut {
		t.Errorf("%s: %d transactions for %d delivered, %d too fast, %d greylisted, %d cut off", r.name, r.transactions, r.ages.total, r.tooFast, r.greylisted, r.cut)
	}
}

// checkDocs finds the table in the report.
func checkDocs(t *testing.T, table string) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(table, "\n\nfixed ")
	for line := range strings.Lines(head) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(string(page), line) {
			t.Errorf("docs/fleet.md does not have the line\n%s", line)
		}
	}
}

// checkPicture is about one in the report, which is of the short form, too.
func checkPicture(t *testing.T, name, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(name); err != nil || string(want) != text {
		t.Errorf("%s is not what is drawn now (%v); -update draws it anew", name, err)
	}
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// Another seed is another internet.
func TestSeed(t *testing.T) {
	small := brief
	small.messages = 3000
	line := func(seed uint64) string { return newFleet(choices[2], small, seed).run().report(choices[2]) }
	once, again, other := line(1), line(1), line(2)
	if once != again || once == other {
		t.Errorf("\n%s\n%s\n%s", once, again, other)
	}
}

// Events come in their order, those of one time as they were planned.
func TestClock(t *testing.T) {
	var c clock
	for i := range 1000 {
		c.plan(time.Duration(i*7919%100), action{job: &job{shard: i}})
	}
	last, lastShard, n := time.Duration(-1), -1, 0
	for do, ok := c.next(); ok; do, ok = c.next() {
		if c.now < last || c.now == last && do.job.shard < lastShard {
			t.Fatalf("event %d of %v after %d of %v", do.job.shard, c.now, lastShard, last)
		}
		last, lastShard = c.now, do.job.shard
		n++
	}
	if n != 1000 {
		t.Errorf("%d events", n)
	}
}
