package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gomessage "github.com/emersion/go-message"

	"github.com/postrider/postrider/internal/content"
	"github.com/postrider/postrider/smtpclient"
)

// The corpus of internal/content is converted for a server without 8BITMIME, and
// readers that are not ours find the same parts with the same bytes.

// converted gives each message of the corpus that can be converted, as it would
// go to a server without and with a conversion.
func converted(t *testing.T) (before, after map[string][]byte) {
	t.Helper()
	files, err := filepath.Glob("../content/testdata/convert/*.eml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d messages; %v", len(files), err)
	}
	before, after = make(map[string][]byte), make(map[string][]byte)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		how := content.SevenBit{BreakSignatures: true}
		plan, err := how.Plan(bytes.NewReader(in))
		var unfit *content.Unfit
		if errors.As(err, &unfit) {
			continue // the tests of internal/content say which
		} else if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(plan.Convert(bytes.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		before[name] = onTheWire(in)
		after[name] = out
	}
	if len(before) < 60 {
		t.Fatalf("only %d messages were converted", len(before))
	}
	return before, after
}

func TestConversionsByPython(t *testing.T) {
	before, after := converted(t)
	checkByPython(t, before, after)
}

// The corpus goes through a real server without 8BITMIME. What it stores is judged.
func TestConversionsThroughPostfix(t *testing.T) {
	p := postfix(t)
	expect := make(map[string]string)
	list, err := os.ReadFile("../content/testdata/convert/expect.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		if name, what, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			expect[name] = what
		}
	}
	// The scan takes all up to the first empty line for the header.
	expect["headers-08-hand"] = "5.6.7"
	before, after := make(map[string][]byte), make(map[string][]byte)
	for name, what := range expect {
		in, err := os.ReadFile("../content/testdata/convert/" + name + ".eml")
		if err != nil {
			t.Fatal(err)
		}
		to := p.NewMailbox("example.test")
		report := deliver(t, clientTo(p, PostfixSevenBit), in, to)
		if strings.HasPrefix(what, "5.") {
			wantOutcome(t, report.Outcomes[0], smtpclient.Failed, what, smtpclient.StageMail)
			continue
		}
		wantDelivered(t, report)
		files, err := p.Stored(to, 1)
		if err != nil {
			t.Fatal(err)
		}
		before[name], after[name] = withoutMailboxLine(onTheWire(in)), withoutMailboxLine(onTheWire(behindTrace(t, files[0])))
	}
	if len(before) < 60 {
		t.Fatalf("only %d messages arrived", len(before))
	}
	checkByPython(t, before, after)
}

// behindTrace is what was sent, without the fields that Postfix puts in front, of
// which Received is the last.
func behindTrace(t *testing.T, file []byte) []byte {
	t.Helper()
	_, rest, found := bytes.Cut(file, []byte("\nReceived: "))
	for found {
		_, rest, found = bytes.Cut(rest, []byte("\n"))
		if found && !bytes.HasPrefix(rest, []byte("\t")) {
			return rest
		}
	}
	t.Fatalf("no trace in %.300q", file)
	return nil
}

// withoutMailboxLine takes the line before the header off that git writes there.
// Postfix makes a field of it.
func withoutMailboxLine(b []byte) []byte {
	if first, rest, _ := bytes.Cut(b, []byte("\r\n")); bytes.HasPrefix(first, []byte("From ")) || bytes.HasPrefix(first, []byte("X-Mailbox-Line: ")) {
		return rest
	}
	return b
}

func onTheWire(in []byte) []byte {
	wire := content.Encoder{Chunked: true}
	return wire.End(wire.Append(nil, in))
}

// The judge has to notice what a wrong conversion does.
func TestPythonJudgeNotices(t *testing.T) {
	before := map[string][]byte{"a": []byte("Subject: x\r\n\r\n\xc3\xbc\r\n"), "b": []byte("Subject: x\r\n\r\n\xc3\xbc\r\n")}
	after := map[string][]byte{"a": []byte("Subject: x\r\n\r\n?\r\n"), "b": []byte("Subject: y\r\n\r\n\xc3\xbc\r\n")}
	got := judgeByPython(t, before, after)
	if len(got) != 3 || !strings.HasPrefix(got[0], "a: ") || !strings.HasPrefix(got[1], "b: ") || got[2] != "2 judged" {
		t.Errorf("got %q", got)
	}
}

func checkByPython(t *testing.T, before, after map[string][]byte) {
	t.Helper()
	lines := judgeByPython(t, before, after)
	for _, line := range lines[:len(lines)-1] {
		t.Error(line)
	}
	if got, want := lines[len(lines)-1], fmt.Sprintf("%d judged", len(before)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func judgeByPython(t *testing.T, before, after map[string][]byte) []string {
	t.Helper()
	python, err := find("python3", "python3")
	present(t, err)
	dir := t.TempDir()
	for folder, messages := range map[string]map[string][]byte{"before": before, "after": after} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, b := range messages {
			if err := os.WriteFile(filepath.Join(dir, folder, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := exec.Command(python, "testdata/convert/judge.py", filepath.Join(dir, "before"), filepath.Join(dir, "after")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// What go-message does not read before it is converted, and reads afterwards: it
// takes no line that only begins like a delimiter, no long line and no junk in
// encodings, and no name of a field above ASCII.
var mended = map[string]bool{"nested-04-hand": true, "boundaries-06-hand": true, "quoted-04-hand": true, "lies-01-hand": true, "headers-08-hand": true}

func TestConversionsByGoMessage(t *testing.T) {
	before, after := converted(t)
	for name := range before {
		t.Run(name, func(t *testing.T) {
			want, errBefore := readByGoMessage(before[name])
			got, errAfter := readByGoMessage(after[name])
			if mended[name] {
				if errBefore == nil || errAfter != nil {
					t.Fatalf("before %v, after %v", errBefore, errAfter)
				}
				want, got = want[:len(want)-1], got[:len(want)-1] // the last one is cut
			} else if fmt.Sprint(errAfter) != fmt.Sprint(errBefore) {
				t.Errorf("before %v, after %v", errBefore, errAfter)
			}
			if !slices.Equal(got, want) {
				t.Errorf("read as\n%q\nwant\n%q\nfrom\n%s", got, want, after[name])
			}
		})
	}
}

// readByGoMessage gives type and bytes of each part, as far as it can be read.
func readByGoMessage(b []byte) (parts []string, err error) {
	e, err := gomessage.Read(bytes.NewReader(b))
	if err != nil && !gomessage.IsUnknownCharset(err) {
		return []string{"header"}, err
	}
	return walkGoMessage(e, "text/plain")
}

// walkGoMessage puts in the default type, since go-message does not know that of
// a digest.
func walkGoMessage(e *gomessage.Entity, typ string) (parts []string, err error) {
	if e.Header.Has("Content-Type") {
		typ, _, _ = e.Header.ContentType()
	}
	parts = append(parts, typ)
	if r := e.MultipartReader(); r != nil {
		for {
			p, err := r.NextPart()
			if err == io.EOF {
				return append(parts, "end"), nil
			}
			if err != nil && !gomessage.IsUnknownCharset(err) {
				return parts, err
			}
			inner := "text/plain"
			if typ == "multipart/digest" {
				inner = "message/rfc822"
			}
			found, err := walkGoMessage(p, inner)
			parts = append(parts, found...)
			if err != nil {
				return parts, err
			}
		}
	}
	body, err := io.ReadAll(e.Body)
	if err == nil && strings.HasPrefix(typ, "message/") {
		found, err := readByGoMessage(body)
		return append(parts, found...), err
	}
	return append(parts, string(body)), err
}
