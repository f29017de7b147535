package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// examples/deliver is run as a user runs it: as a program, against Postfix found
// by unbound.

// program is the built binary. Its directory is removed with the servers.
var program = sync.OnceValues(func() (string, error) {
	dir, err := newDir("deliver")
	if err != nil {
		return "", err
	}
	atEnd(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "deliver")
	out, err := exec.Command("go", "build", "-o", path, "github.com/postrider/postrider/examples/deliver").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// result is what a run left.
type result struct {
	code           int
	stdout, stderr string
}

func runDeliver(t *testing.T, content []byte, args ...string) result {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(content), &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestDeliverExitCodes(t *testing.T) {
	p, q := postfix(t), questions(t)
	// Without STARTTLS, so that the final dot can be seen.
	f, err := NewFront(p.Addr(Lost), CutAfterDot(p.Addr(PostfixPlaintext)))
	listen(t, f, err)
	f, err = NewFront(p.Addr(Counted), PassTo(p.Addr(PostfixFull)))
	listen(t, f, err)

	good, lost := p.NewMailbox("example.test"), p.NewMailbox("lost-first.example.test")
	for _, c := range []struct {
		code int
		to   []string
	}{
		{0, []string{good}},
		{65, []string{good, "reject@example.test", "no address"}},
		{69, []string{good, "reject@example.test"}},
		{69, []string{"bob@null.example.test"}},
		{75, []string{good, "reject@example.test", "tempfail@example.test", "no address"}},
		{76, []string{good, "reject@example.test", "tempfail@example.test", "no address", lost}},
	} {
		t.Run(fmt.Sprint(c.code, " ", len(c.to)), func(t *testing.T) {
			r := runDeliver(t, simple("exit code"), arguments(p, q, c.to...)...)
			if r.code != c.code {
				t.Errorf("exit %d, want %d\n%s%s", r.code, c.code, r.stdout, r.stderr)
			}
		})
	}
	for _, args := range [][]string{{"-to", good}, {"-from", "ann@example.org", "-no-such-flag"}, {"-from", "ann@example.org", "-port", "many"}} {
		if r := runDeliver(t, simple("usage"), args...); r.code != 64 || r.stdout != "" {
			t.Errorf("%q: exit %d, want 64 and nothing on standard output\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}

// The object is the documented one: every key is there and no other.
func TestDeliverJSON(t *testing.T) {
	p, q := postfix(t), questions(t)
	good := p.NewMailbox("refusing-first.example.test")
	args := append(arguments(p, q, good, "reject@example.test", "tempfail@example.test"), "-json", "-tls", "encrypt")
	r := runDeliver(t, simple("as JSON"), args...)
	if r.code != 75 {
		t.Errorf("exit %d, want 75\n%s", r.code, r.stderr)
	}
	var report struct {
		Recipients []recipientJSON `json:"recipients"`
		Seconds    float64         `json:"seconds"`
	}
	decode(t, []byte(r.stdout), &report, "recipients", "seconds")
	if len(report.Recipients) != 3 || report.Seconds <= 0 {
		t.Fatalf("got %d recipients in %v seconds, want 3 in some", len(report.Recipients), report.Seconds)
	}

	first := report.Recipients[0]
	first.want(t, good, "delivered", "data-done", "2.0.0", 250)
	if first.Host != "full.example.test" || first.Addr != p.Addr(PostfixFull) {
		t.Errorf("delivered at %s, %s", first.Host, first.Addr)
	}
	if a := first.TLS; a.Wanted != "encrypt" || a.Reached != "encrypt" || a.Version != "TLS1.3" || a.Cipher == "" || a.Verified != "" {
		t.Errorf("tls: %+v", a)
	}
	if first.Action != "relayed" && first.Action != "delivered" {
		t.Errorf("action %q", first.Action)
	}
	if len(first.Attempts) != 1 || first.Attempts[0].Host != "refusing.example.test" || first.Attempts[0].Code != 450 || first.Attempts[0].Stage != "rcpt" {
		t.Errorf("attempts: %+v, want the one at refusing.example.test", first.Attempts)
	}
	for _, stage := range []string{"connect", "greeting", "hello", "starttls", "data-done"} {
		if first.Durations[stage] <= 0 {
			t.Errorf("durations: %v, want %s among them", first.Durations, stage)
		}
	}
	report.Recipients[1].want(t, "reject@example.test", "failed", "rcpt", "5.1.1", 550)
	report.Recipients[2].want(t, "tempfail@example.test", "deferred", "rcpt", "4.2.1", 450)
	stored(t, p, good)
}

// With -repeat there is one object for each message, and no word between them.
func TestDeliverRepeats(t *testing.T) {
	p, q := postfix(t), questions(t)
	to := p.NewMailbox("example.test")
	r := runDeliver(t, simple("repeated"), append(arguments(p, q, to), "-json", "-repeat", "5", "-concurrency", "2")...)
	lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	if r.code != 0 || len(lines) != 5 {
		t.Errorf("exit %d, %d lines; want 0 and 5\n%s%s", r.code, len(lines), r.stdout, r.stderr)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("no object: %s", line)
		}
	}
	if !strings.Contains(r.stderr, "messages/s") {
		t.Errorf("no summary on standard error: %q", r.stderr)
	}
	if found, err := p.Stored(to, 5); err != nil || len(found) != 5 {
		t.Errorf("%d messages are stored, want 5: %v", len(found), err)
	}
}

func arguments(p *Postfix, q *Questions, to ...string) []string {
	args := []string{"-from", "ann@example.org", "-helo", "client.example.org", "-dns", q.Addr, "-local", "-port", fmt.Sprint(p.Port)}
	for _, a := range to {
		args = append(args, "-to", a)
	}
	return args
}

// atServer is what recipients and attempts have in common. It has no methods,
// which those that embed it would get.
type atServer struct {
	Host     string  `json:"host"`
	Addr     string  `json:"addr"`
	Stage    string  `json:"stage"`
	Code     int     `json:"code"`
	Enhanced string  `json:"enhanced"`
	Text     string  `json:"text"`
	TLS      tlsJSON `json:"tls"`
}

type attemptJSON struct{ atServer }

type tlsJSON struct {
	Wanted   string `json:"wanted"`
	Reached  string `json:"reached"`
	Version  string `json:"version"`
	Cipher   string `json:"cipher"`
	Verified string `json:"verified"`
}

type recipientJSON struct {
	atServer
	Address   string             `json:"address"`
	Status    string             `json:"status"`
	Action    string             `json:"action"`
	Reused    int                `json:"reused"`
	Auth      string             `json:"auth"`
	Durations map[string]float64 `json:"durations"`
	Attempts  []attemptJSON      `json:"attempts"`
}

func (r recipientJSON) want(t *testing.T, address, status, stage, enhanced string, code int) {
	t.Helper()
	if r.Address != address || r.Status != status || r.Stage != stage || r.Enhanced != enhanced || r.Code != code {
		t.Errorf("got %s %s %s %s %d, want %s %s %s %s %d: %s", r.Address, r.Status, r.Stage, r.Enhanced, r.Code,
			address, status, stage, enhanced, code, r.Text)
	}
}

// Each level of the object is checked for its keys before it is read.

func (r *recipientJSON) UnmarshalJSON(text []byte) error {
	type plain recipientJSON
	return exactly(text, (*plain)(r), "address", "status", "action", "stage", "code", "enhanced", "text", "host", "addr",
		"reused", "auth", "tls", "durations", "attempts")
}

func (a *attemptJSON) UnmarshalJSON(text []byte) error {
	type plain attemptJSON
	return exactly(text, (*plain)(a), "host", "addr", "stage", "code", "enhanced", "text", "tls")
}

func (s *tlsJSON) UnmarshalJSON(text []byte) error {
	type plain tlsJSON
	return exactly(text, (*plain)(s), "wanted", "reached", "version", "cipher", "verified")
}

func decode(t *testing.T, text []byte, into any, keys ...string) {
	t.Helper()
	if err := exactly(text, into, keys...); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// exactly reads an object that must have just these keys, and none of them null.
func exactly(text []byte, into any, keys ...string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, slices.Sorted(slices.Values(keys))) {
		return fmt.Errorf("keys %q, want %q", got, keys)
	}
	for key, value := range fields {
		if string(value) == "null" {
			return fmt.Errorf("%s is null", key)
		}
	}
	return json.Unmarshal(text, into)
}
