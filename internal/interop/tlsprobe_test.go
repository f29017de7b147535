package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"
)

// tlsprobe is what examples/tlsprobe comes to, which is built as program.
func (w *daneWorld) tlsprobe(t *testing.T, program string, c daneCase) (verdict string, output []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-json", "-local", "-server", "127.0.0.1", "-helo", "client.example.org", "-port", fmt.Sprint(w.Port), c.domain()).CombinedOutput()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	var found struct{ Hosts []struct{ Verdict string } }
	if err := json.Unmarshal(out, &found); err != nil || len(found.Hosts) != 1 {
		return "nothing that can be read", out
	}
	return map[string]string{"verified": matched, "halfway": half, "encrypted": encrypted, "refused": refused, "skipped": skipped}[found.Hosts[0].Verdict], out
}
