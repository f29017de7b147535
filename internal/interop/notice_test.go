package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The notices that package smtpclient writes are read by a program that shares
// nothing with it, with the rules that bounce parsers have for fields.
func TestNoticesInPython(t *testing.T) {
	notices, err := filepath.Glob("../../smtpclient/testdata/notices/*.eml")
	if err != nil || len(notices) < 20 {
		t.Fatalf("%d notices, %v; want at least 20", len(notices), err)
	}
	out, err := exec.CommandContext(t.Context(), "python3", append([]string{"testdata/notices.py"}, notices...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, out)
	}
	judged := strings.Split(strings.TrimSuffix(string(out), "--\n"), "--\n")
	if len(judged) != len(notices) {
		t.Fatalf("%d judgements for %d notices:\n%s", len(judged), len(notices), out)
	}
	for i, file := range notices {
		want, err := os.ReadFile(strings.TrimSuffix(file, ".eml") + ".want")
		if err != nil {
			t.Error(err)
		} else if judged[i] != string(want) {
			t.Errorf("%s is read as\n%s\nwant\n%s", file, judged[i], want)
		}
	}
}
