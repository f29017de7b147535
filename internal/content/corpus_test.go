package content

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus gives the messages of testdata/convert, and what is to become of each.
// The module internal/interop has readers of others judge what they decode to.
func corpus(t *testing.T) (messages map[string][]byte, expect map[string]string) {
	t.Helper()
	files, err := filepath.Glob("testdata/convert/*.eml")
	if err != nil {
		t.Fatal(err)
	}
	messages = make(map[string][]byte)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		messages[strings.TrimSuffix(filepath.Base(file), ".eml")] = b
	}
	list, err := os.ReadFile("testdata/convert/expect.txt")
	if err != nil {
		t.Fatal(err)
	}
	expect = make(map[string]string)
	for line := range strings.Lines(strings.ReplaceAll(string(list), "\r\n", "\n")) {
		if name, what, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			expect[name] = what
		}
	}
	if len(messages) != len(expect) || len(messages) < 60 {
		t.Fatalf("%d messages, but %d in expect.txt", len(messages), len(expect))
	}
	return messages, expect
}

func TestCorpus(t *testing.T) {
	messages, expect := corpus(t)
	for name, in := range messages {
		t.Run(name, func(t *testing.T) {
			out, plan, err := converted(string(in), SevenBit{})
			if got := outcome(plan, err); got != expect[name] {
				t.Fatalf("%s, want %s; %v", got, expect[name], err)
			}
			if err != nil {
				return
			}
			checkSevenBit(t, []byte(out))
			for line := range strings.SplitSeq(out, "\r\n") {
				if len(line) > MaxLine {
					t.Errorf("a line of %d bytes", len(line))
				}
			}
			if !plan.Changed && out != repaired(string(in)) {
				t.Errorf("became\n%s", out)
			}
			checkLines(t, repaired(string(in)), out)
		})
	}
}

func outcome(plan *Plan, err error) string {
	var no *Unfit
	switch {
	case errors.As(err, &no):
		return no.Enhanced
	case err != nil:
		return err.Error()
	case !plan.Changed:
		return "unchanged"
	case len(plan.Notes) > 0:
		return "converted with a note"
	}
	return "converted"
}

// checkLines wants the lines that begin like a delimiter to be the same, since in
// messages in which such lines are text they were encoded, and new ones to have no
// more bytes than either encoding allows (RFC 2045, Sections 6.7 and 6.8).
func checkLines(t *testing.T, in, out string) {
	t.Helper()
	want := make(map[string]int)
	for line := range strings.SplitSeq(in, "\r\n") {
		want[line]++
	}
	for line := range strings.SplitSeq(out, "\r\n") {
		if want[line]--; want[line] >= 0 {
			continue
		}
		if strings.HasPrefix(line, "--") || len(line) > 76 {
			t.Errorf("%q is new", line)
		}
	}
}

// What is signed is converted on request, and then decodes to the same.
func TestCorpusWithBrokenSignatures(t *testing.T) {
	messages, expect := corpus(t)
	tried := 0
	for name, in := range messages {
		if !strings.HasPrefix(name, "signed-") || expect[name] != "5.6.3" {
			continue
		}
		tried++
		out, _, err := converted(string(in), SevenBit{BreakSignatures: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkSevenBit(t, []byte(out))
		want, ok := decode([]byte(repaired(string(in))), false)
		got, ok2 := decode([]byte(out), false)
		if !ok || !ok2 || differ(got, want) >= 0 {
			t.Errorf("%s: %q became %q", name, want, got)
		}
	}
	if tried < 5 {
		t.Errorf("only %d messages", tried)
	}
}

func TestSigned(t *testing.T) {
	messages, _ := corpus(t)
	for name, in := range messages {
		// Numbers 3 and 9 carry no signature that somebody checks in the form
		// in which it is sent.
		want := strings.HasPrefix(name, "signed-") && !strings.HasPrefix(name, "signed-03") && !strings.HasPrefix(name, "signed-09")
		if got, err := Signed(bytes.NewReader(in)); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := Signed(&pieceReader{broken{}, 1}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
