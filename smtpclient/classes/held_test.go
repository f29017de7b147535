package classes

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// collected is a reply that somebody has shown, with the class that a reader gives it.
type collected struct {
	class       Class
	stage       smtpclient.Stage
	text, where string
}

func readCollected(t *testing.T, name string) []collected {
	t.Helper()
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []collected
	for line := range strings.Lines(string(file)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "\t")
		label, _, greeting := strings.Cut(cells[0], "/greeting")
		class, known := classNamed(label)
		if len(cells) != 3 || !known || cells[2] == "" {
			t.Fatalf("%s: %q", name, line)
		}
		c := collected{class, smtpclient.StageRcpt, cells[1], cells[2]}
		if greeting {
			c.stage = smtpclient.StageGreeting
		}
		all = append(all, c)
	}
	return all
}

var varies = regexp.MustCompile(`<[^>]*>|\[[^\]]*\]|\S*@\S*|\S*[0-9]\S*|https?://\S*`)

// skeleton is a text without what differs from one reply to the next.
func skeleton(text string) string {
	text = varies.ReplaceAllString(strings.ReplaceAll(strings.Trim(text, ".!"), `\n`, " "), " ")
	return strings.Join(strings.Fields(strings.ToLower(text)), " ")
}

// rate classifies replies and prints how many come out as a reader has them.
func rate(t *testing.T, all []collected) (right int) {
	t.Helper()
	for _, c := range all {
		switch v := Of(outcome(t, c.text, c.stage)); v.Class {
		case c.class:
			right++
		default:
			t.Logf("%v, and not %v, by %q %q %q: %s", v.Class, c.class, v.Row.Code, v.Row.Enhanced, v.Row.Text, c.text)
		}
	}
	t.Logf("%d of %d: %.1f %%", right, len(all), 100*float64(right)/float64(len(all)))
	return right
}

// The table knows replies that it was not made from: none has the words of one of its
// examples, nor of those that it was made with, nor of the other held set.
func TestHeldReplies(t *testing.T) {
	known := make(map[string]bool)
	for _, row := range Standard() {
		if row.Text != "" {
			known[skeleton(row.Example)] = true
		}
	}
	for _, c := range readCollected(t, "testdata/seen.txt") {
		known[skeleton(c.text)] = true
	}
	for _, name := range []string{"testdata/held11.txt", "testdata/held13.txt"} {
		held := readCollected(t, name)
		for _, c := range held {
			if known[skeleton(c.text)] {
				t.Errorf("%s: known before: %s", name, c.text)
			}
			known[skeleton(c.text)] = true
		}
		if right := rate(t, held); len(held) < 100 || right*10 < len(held)*9 {
			t.Errorf("%s: %d of %d are not enough", name, right, len(held))
		}
	}
}

// What the table was made with it knows.
func TestSeenReplies(t *testing.T) {
	seen := readCollected(t, "testdata/seen.txt")
	if right := rate(t, seen); right*100 < len(seen)*95 {
		t.Errorf("%d of %d are not enough", right, len(seen))
	}
}
