package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// The notices that package smtpclient writes are read by a program that shares
// nothing with it, with the rules that bounce parsers have for fields.
func TestNoticesInPython(t *testing.T) {
	notices := noticeFiles(t)
	python, err := find("python3", "python3")
	present(t, err)
	judged := judgeNotices(t, notices, python, "testdata/notices.py")
	for _, file := range notices {
		if want := wantedOf(t, file); judged[file] != want {
			t.Errorf("%s is read as\n%s\nwant\n%s", file, judged[file], want)
		}
	}
}

// They go through a server without 8BITMIME, and are then still what they were.
func TestNoticesThroughPostfix(t *testing.T) {
	p := postfix(t)
	python, err := find("python3", "python3")
	present(t, err)
	folder := t.TempDir()
	var notices []string
	want := make(map[string]string)
	for _, file := range noticeFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(file, "sender-in-UTF-8") {
			continue // goes to servers with SMTPUTF8 only
		}
		to := p.NewMailbox("example.test")
		env := smtpclient.Envelope{From: "<>", To: []smtpclient.Recipient{{Address: to, Notify: smtpclient.NotifyNever}}}
		wantDelivered(t, deliverTo(t, clientTo(p, PostfixSevenBit), env, smtpclient.Bytes(text)))
		files, err := p.Stored(to, 1)
		if err != nil {
			t.Fatal(err)
		}
		arrived := filepath.Join(folder, filepath.Base(file))
		if err := os.WriteFile(arrived, files[0], 0o600); err != nil {
			t.Fatal(err)
		}
		notices = append(notices, arrived)
		want[arrived] = wantedOf(t, file)
	}
	judged := judgeNotices(t, notices, python, "testdata/notices.py")
	for _, file := range notices {
		if judged[file] != want[file] {
			t.Errorf("%s is read as\n%s\nwant\n%s", filepath.Base(file), judged[file], want[file])
		}
	}
}

// The judge has to notice what is wrong in a notice.
func TestPythonNoticesFaults(t *testing.T) {
	python, err := find("python3", "python3")
	present(t, err)
	good, err := os.ReadFile("../../smtpclient/testdata/notices/14-body-of-8-bit.eml")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"action":          {"Action: failed", "Action: refused"},
		"status":          {"Status: 5.1.1", "Status: 5.1"},
		"no final":        {"Final-Recipient: ", "X-Recipient: "},
		"not automatic":   {"Auto-Submitted: auto-replied", "X-Auto: yes"},
		"no report":       {"report-type=delivery-status", "report-type=other"},
		"label":           {"\nContent-Transfer-Encoding: 8bit\r\n\r\n--", "\n\r\n--"},
		"diagnosis":       {"Diagnostic-Code: smtp; 550", "Diagnostic-Code: 550"},
		"server":          {"Remote-MTA: dns; ", "Remote-MTA: "},
		"reporter":        {"Reporting-MTA: dns; ", "Reporting-MTA: "},
		"relayed as 5":    {"Action: failed", "Action: relayed"},
		"until of failed": {"Action: failed", "Will-Retry-Until: Sat, 01 Jan 2000 00:00:00 +0000\r\nAction: failed"},
	} {
		file := filepath.Join(t.TempDir(), "bad.eml")
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil || bad == string(good) {
			t.Fatalf("%s: nothing changed; %v", name, err)
		}
		if got := judgeNotices(t, []string{file}, python, "testdata/notices.py")[file]; got == "message/rfc822\nrfc822; bob@example.net|failed|5.1.1\n" {
			t.Errorf("%s: it is taken for good", name)
		}
	}
}

// Sisimai is a reader of bounces that is in use.
func TestNoticesInSisimai(t *testing.T) {
	notices := noticeFiles(t)
	perl, err := find("perl", "perl")
	present(t, err)
	if exec.Command(perl, "-MSisimai", "-e", "1").Run() != nil {
		present(t, fmt.Errorf("%w: no Sisimai; install it, as with: apt-get install libsisimai-perl", ErrMissing))
	}
	judged := judgeNotices(t, notices, perl, "testdata/notices.pl")
	for _, file := range notices {
		_, want, _ := strings.Cut(wantedOf(t, file), "\n") // what is given back it does not tell
		want = strings.ReplaceAll(want, "rfc822; ", "")
		switch {
		case strings.Contains(file, "UTF-8") && strings.Contains(want, "utf-8; "):
			want = "\\x{17E}ofie@example.org|failed|5.1.1\n" // it takes Original-Recipient
		case strings.Contains(file, "quoted-local-part"):
			want = "" // which it does not take for an address
		}
		if judged[file] != want {
			t.Errorf("%s is read as\n%s\nwant\n%s", file, judged[file], want)
		}
	}
}

func noticeFiles(t *testing.T) []string {
	t.Helper()
	notices, err := filepath.Glob("../../smtpclient/testdata/notices/*.eml")
	if err != nil || len(notices) < 20 {
		t.Fatalf("%d notices, %v; want at least 20", len(notices), err)
	}
	return notices
}

// wantedOf is what a reader has to find in a notice.
func wantedOf(t *testing.T, file string) string {
	t.Helper()
	want, err := os.ReadFile(strings.TrimSuffix(file, ".eml") + ".want")
	if err != nil {
		t.Fatal(err)
	}
	return string(want)
}

// judgeNotices has a program read the files, and gives what it says of each.
func judgeNotices(t *testing.T, notices []string, program ...string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program[0], append(program[1:len(program):len(program)], notices...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said := strings.Split(strings.TrimSuffix(string(out), "--\n"), "--\n")
	if len(said) != len(notices) {
		t.Fatalf("%d judgements for %d notices:\n%s", len(said), len(notices), out)
	}
	judged := make(map[string]string)
	for i, file := range notices {
		judged[file] = said[i]
	}
	return judged
}
