package smtpclient_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

var update = flag.Bool("update", false, "rewrite the report sections of testdata/dialogue")

// TestDialogues plays testdata/dialogue: each file is one behaviour, with what
// is said, the envelope, the content, and the report that must come out. Files
// whose name begins with "c2-" are the rows of TestPostfixRows.
//
// sceneWords has the words of the envelope section. A line that begins with "*"
// and a number stands so many times: "*500 C: text" in a session, "*500 text" in
// the content; a mismatch then gives the number of the line with all of them.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogue/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { testDialogue(t, file) })
	}
}

// testDialogue plays a file in all variations. What they share is the dialogue,
// byte for byte, and the report, down to its words.
func testDialogue(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	var first string
	for _, v := range variations {
		report := playDialogue(t, text, v)
		got := inWords(report)
		if first == "" {
			first = details(report)
			compareReport(t, file, text, got)
		}
		if all := details(report); all != first {
			t.Errorf("%s: got\n%s\nbut as it is\n%s", v.name, all, first)
		}
		if t.Failed() {
			return
		}
	}
}

// compareReport holds a report against the last section of the file, or writes it
// there.
func compareReport(t *testing.T, file string, text []byte, got string) {
	t.Helper()
	_, want, _ := bytes.Cut(text, []byte("-- report --\n"))
	switch {
	case got == string(want):
	case *update:
		text = append(text[:len(text)-len(want)], got...)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// playDialogue plays a dialogue once.
func playDialogue(t *testing.T, text []byte, v variation) (report smtpclient.Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		repeated := expand(t, string(text))
		dialogue, err := smtptest.ParseDialogue([]byte(v.session(repeated)))
		if err != nil {
			t.Fatal(err)
		}
		s := readScene(t, dialogue)
		dialogue.Wire.Window = s.window
		s.dialer.DialContext = dialogue.DialContext
		if !s.together {
			dialogue.Wire.MaxRead = v.maxRead
			s.dialer.DialContext = v.wrap(dialogue.DialContext)
		}
		var reports []smtpclient.Report
		reports, report = s.play(t.Context())
		time.Sleep(time.Minute) // what the server waits for comes to an end, in fake time
		if err := dialogue.Close(); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		for _, r := range reports {
			checkError(t, r, r.Err())
		}
		if s.env.Verify == smtpclient.VerifyNo {
			checkDialogueEnds(t, sessionsOf(repeated), s.protocol, report)
		}
	})
	return report
}

// expand writes out the lines that stand several times.
func expand(t *testing.T, text string) string {
	t.Helper()
	if !strings.Contains(text, "\n*") {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		count, rest, ok := strings.Cut(line, " ")
		if !ok || !strings.HasPrefix(count, "*") {
			b.WriteString(line)
			continue
		}
		n, err := strconv.Atoi(count[1:])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		b.WriteString(strings.Repeat(rest, n))
	}
	return b.String()
}

// inWords is the report as it stands in a dialogue: the summary, with the host
// where there are several, and what was done otherwise than asked.
func inWords(report smtpclient.Report) string {
	var b strings.Builder
	lines := strings.Split(summary(report), "\n")
	for i, o := range report.Outcomes {
		b.WriteString(lines[i])
		if o.Host != "" {
			b.WriteString(" at " + o.Host)
		}
		if o.TLS.Fallback != nil {
			b.WriteString(" in plaintext")
		}
		b.WriteString("\n")
		for _, note := range o.Notes {
			b.WriteString("  " + note + "\n")
		}
	}
	return b.String()
}

// details is all of a report that does not depend on time.
func details(report smtpclient.Report) string {
	var b strings.Builder
	for _, o := range report.Outcomes {
		fmt.Fprintf(&b, "%s %v %s %s %d\n", o.Address, o.Status, o.Action, o.Enhanced, o.Reused)
		for _, a := range append(o.Earlier, *o.Attempt) {
			fmt.Fprintf(&b, "  %v %s %s %v %q %v %v %v\n", a.Stage, a.Host, a.Addr, a.Reply, a.Notes, a.Cause, a.TLS.Reached, a.TLS.Fallback)
		}
	}
	return b.String()
}
