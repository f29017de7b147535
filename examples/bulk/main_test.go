package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// The test binary is the program itself where this is set.
const asProgram = "BULK_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Without arguments it shows what it does. Where standard error is no terminal there
// is no bar.
func TestWithoutArguments(t *testing.T) {
	stdout, stderr, code := program()
	summary := regexp.MustCompile(`^\s*1000 messages in [0-9.]+ s, [0-9]+/s, on [0-9]+ connections; recipients: 1000 delivered, 0 deferred, 0 failed, 0 unknown; 0 messages unreadable\n$`)
	if code != 0 || stdout != "" || !summary.MatchString(stderr) {
		t.Errorf("exit %d, standard output %q, standard error %q", code, stdout, stderr)
	}
}

func TestUsage(t *testing.T) {
	for arg, want := range map[string]string{
		t.TempDir():         "there is no file *.eml in it",
		"no-such-file.mbox": "no such file",
		"main.go":           "", // read as an mbox file, which it is not
	} {
		stdout, stderr, code := program(arg)
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %q, %q", arg, code, stdout, stderr)
		}
	}
}

// letter is a message with a line that looks like the start of another one.
func letter(n int, lines string) string {
	return strings.ReplaceAll(fmt.Sprintf("From: Ann <ann@example.org>\nTo: Bob <bob@d%d.example>, nobody@d%d.example\nCc: carol@d%d.example\nSubject: %d\n\n%s", n, n, n+1, n, lines), "\n", "\r\n")
}

// run sends from a file or directory into the world of the demo.
func run(t *testing.T, name string) (b *bulk, out string, stored map[string]string) {
	t.Helper()
	d, err := newDemo()
	defer d.close()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	b = &bulk{client: &smtpclient.Client{Pool: &smtpclient.Pool{PerDestination: 2}}, out: &text}
	d.use(b.client)
	if err := b.run(t.Context(), name, 10); err != nil {
		t.Fatal(err)
	}
	stored = map[string]string{}
	for _, s := range d.servers {
		for _, m := range s.Messages() {
			for _, to := range m.To {
				stored[to] += string(m.Data)
			}
		}
		for _, v := range s.Violations() {
			t.Error(v)
		}
	}
	return b, text.String(), stored
}

// Both forms lead to the same: each message to those in To and Cc, and a line for
// each who did not get it.
func TestSources(t *testing.T) {
	texts := []string{"From here on\n\nFrom there\n", ">From afar\n", "no line end at the end"}
	dir := t.TempDir()
	var mbox strings.Builder
	for n, text := range texts {
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.eml", n)), []byte(letter(n, text)), 0o600)
		lines := regexp.MustCompile(`(?m)^(>*From )`).ReplaceAllString(text, ">$1")
		head := strings.ReplaceAll(letter(n, ""), "\r\n", "\n")
		fmt.Fprintf(&mbox, "From ann@example.org Sat Nov 21 10:00:00 2026\n%s%s\n\n", head, strings.TrimSuffix(lines, "\n"))
	}
	file := filepath.Join(t.TempDir(), "messages.mbox")
	os.WriteFile(file, []byte(mbox.String()), 0o600)
	for _, name := range []string{dir, file} {
		b, out, stored := run(t, name)
		if b.messages != 3 || b.recipients != 9 || b.count[smtpclient.Delivered] != 6 || b.count[smtpclient.Failed] != 3 || b.unread != 0 {
			t.Errorf("%s: %s", name, b.summary())
		}
		for n, text := range texts {
			want := strings.TrimSuffix(letter(n, text), "\r\n") + "\r\n"
			for _, to := range []string{fmt.Sprintf("bob@d%d.example", n), fmt.Sprintf("carol@d%d.example", n+1)} {
				if stored[to] != want {
					t.Errorf("%s: %s got %q, want %q", name, to, stored[to], want)
				}
			}
			if line := fmt.Sprintf("nobody@d%d.example failed ", n); strings.Count(out, line) != 1 || !strings.Contains(out, "550 5.1.1 no such user") {
				t.Errorf("%s: no line %q in %s", name, line, out)
			}
		}
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.eml": letter(1, "fine\n"),
		"b.eml": "no header",
		"c.eml": "Subject: nobody sent it\r\n\r\n",
		"d.eml": "From: ann@example.org\r\nSubject: nobody gets it\r\n\r\n",
		"e.eml": "From: ann@example.org\r\nTo: nobody in particular\r\n\r\n",
	} {
		os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
	}
	b, out, _ := run(t, dir)
	if b.messages != 1 || b.unread != 4 || strings.Count(out, "\n") != 5 {
		t.Errorf("%s\n%s", b.summary(), out)
	}
}
