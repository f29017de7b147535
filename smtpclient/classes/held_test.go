package classes

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// held is a reply of testdata/seen.txt with the class that a reader gives it.
type held struct {
	class       Class
	stage       smtpclient.Stage
	text, where string
}

func readHeld(t *testing.T) []held {
	t.Helper()
	file, err := os.ReadFile("testdata/seen.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []held
	for line := range strings.Lines(string(file)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "\t")
		name, _, greeting := strings.Cut(cells[0], "/greeting")
		class, known := classNamed(name)
		if len(cells) != 3 || !known || !strings.HasPrefix(cells[2], "http") {
			t.Fatalf("held.txt: %q", line)
		}
		h := held{class, smtpclient.StageRcpt, cells[1], cells[2]}
		if greeting {
			h.stage = smtpclient.StageGreeting
		}
		all = append(all, h)
	}
	return all
}

var varies = regexp.MustCompile(`<[^>]*>|\[[^\]]*\]|\S*@\S*|\S*[0-9]\S*|https?://\S*`)

// skeleton is a text without what differs from one reply to the next.
func skeleton(text string) string {
	text = varies.ReplaceAllString(strings.ReplaceAll(text, `\n`, " "), " ")
	return strings.Join(strings.Fields(strings.ToLower(strings.Trim(text, ".!"))), " ")
}

// The table knows replies that it was not made from. They were collected by hand from
// threads and pages where people ask about them, and are none of the table's examples.
func TestHeldReplies(t *testing.T) {
	known := make(map[string]bool)
	for _, row := range Standard() {
		if row.Text != "" {
			known[skeleton(row.Example)] = true
		}
	}
	all := readHeld(t)
	right := 0
	for _, h := range all {
		if known[skeleton(h.text)] {
			t.Errorf("an example of the table: %s", h.text)
		}
		switch v := Of(outcome(t, h.text, h.stage)); v.Class {
		case h.class:
			right++
		default:
			t.Logf("%v, and not %v, by %q %q %q: %s", v.Class, h.class, v.Row.Code, v.Row.Enhanced, v.Row.Text, h.text)
		}
	}
	t.Logf("%d of %d held replies are classified as a reader does: %.1f %%", right, len(all), 100*float64(right)/float64(len(all)))
	if len(all) < 100 || right*10 < len(all)*9 {
		t.Errorf("%d of %d are not enough", right, len(all))
	}
}
