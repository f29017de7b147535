package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

var update = flag.Bool("update", false, "rewrite the report sections of testdata/dialogue")

// TestDialogues plays testdata/dialogue: each file is one behaviour, with what
// is said, the envelope, the content, and the report that must come out.
//
// The envelope section has a line "from", lines "to", and may have "lmtp" (one
// session by hand), "tls LEVEL", and "escaped" (the content is written as in a
// Go string, so that every byte can be).
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogue/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { playDialogue(t, file, text) })
		})
	}
}

func playDialogue(t *testing.T, file string, text []byte) {
	dialogue, err := smtptest.ParseDialogue(text)
	if err != nil {
		t.Fatal(err)
	}
	scene := readScene(t, dialogue)
	report := scene.play(t.Context(), &smtpclient.Dialer{LocalName: "client.example.org", DialContext: dialogue.DialContext})
	if err := dialogue.Close(); err != nil {
		t.Error(err)
	}
	checkError(t, report, report.Err())
	want := dialogue.Section("report")
	got := summary(report) + "\n"
	switch {
	case got == want:
	case *update:
		text = bytes.Replace(text, []byte("-- report --\n"+want), []byte("-- report --\n"+got), 1)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// scene is what the envelope section of a dialogue asks for.
type scene struct {
	env     smtpclient.Envelope
	content smtpclient.Content
	lmtp    bool
	level   tlspolicy.Level
}

func readScene(t *testing.T, dialogue *smtptest.Dialogue) *scene {
	t.Helper()
	s := &scene{}
	text := strings.TrimSuffix(dialogue.Section("content"), "\n")
	for line := range strings.Lines(dialogue.Section("envelope")) {
		word, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "from":
			s.env.From = arg
		case "to":
			s.env.To = append(s.env.To, smtpclient.Recipient{Address: arg})
		case "lmtp":
			s.lmtp = true
		case "tls":
			level, err := tlspolicy.ParseLevel(arg)
			if err != nil {
				t.Fatal(err)
			}
			s.level = level
		case "escaped":
			unescaped, err := strconv.Unquote(`"` + text + `"`)
			if err != nil {
				t.Fatalf("content: %v", err)
			}
			text = unescaped
		default:
			t.Fatalf("envelope: unknown word %q", word)
		}
	}
	s.content = smtpclient.Bytes([]byte(text))
	return s
}

// play delivers through a Client, or in LMTP through a Session.
func (s *scene) play(ctx context.Context, dialer *smtpclient.Dialer) smtpclient.Report {
	if !s.lmtp {
		client := smtpclient.Client{Dialer: dialer, NextHops: []string{"[192.0.2.10]"}}
		if s.level != 0 {
			client.TLS = s.level
		}
		report, _ := client.Deliver(ctx, s.env, s.content)
		return report
	}
	session, err := dialer.Dial(ctx, smtpclient.Target{Addr: "192.0.2.10:24", Protocol: smtpclient.LMTP})
	var failed *smtpclient.Error
	if errors.As(err, &failed) {
		var report smtpclient.Report
		for _, to := range s.env.To {
			report.Outcomes = append(report.Outcomes, smtpclient.Outcome{Address: to.Address, Status: failed.Status, Attempt: failed.Attempt, Action: "delayed"})
		}
		return report
	}
	defer session.Close()
	report, _ := session.Send(ctx, s.env, s.content)
	session.Quit(ctx)
	return report
}
