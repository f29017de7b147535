package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// overlaps counts the writes of a session that end one transaction and begin the
// next.
func overlaps(s *smtptest.Server, session int) (n int) {
	for _, c := range s.Transcript(session) {
		if c.FromClient {
			n += bytes.Count(c.Data, []byte("\r\n.\r\nMAIL FROM:"))
		}
	}
	return n
}

// readReports reads the objects of standard output, one on each line.
func readReports(t *testing.T, stdout string) []jsonReport {
	t.Helper()
	var all []jsonReport
	for line := range strings.Lines(stdout) {
		var r jsonReport
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

func TestPool(t *testing.T) {
	tests := []struct {
		flags    string
		sessions int
		overlap  bool
	}{
		{"-repeat 40", 40, false},
		{"-repeat 40 -pool off -overlap on", 40, false},
		{"-repeat 40 -pool on", 1, true},
		{"-repeat 40 -pool on -overlap on", 1, true},
		{"-repeat 40 -pool on -overlap off", 1, false},
		{"-repeat 40 -pool on -pipelining off", 1, false},
		{"-pool on", 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.flags, func(t *testing.T) {
			// The next message has time to come before the end of the one before.
			slow := func(c smtptest.Command) smtptest.Action {
				if c.Verb == "DATA" {
					return smtptest.Action{Delay: 5 * time.Millisecond}
				}
				return smtptest.Action{}
			}
			w := newWorld(t, &smtptest.Server{Script: slow})
			code, stdout, stderr := w.run(t, append(strings.Fields(tt.flags), "-json", "-tls", "none", "-to", "bob@example.net")...)
			all := readReports(t, stdout)
			want := max(len(all), 1)
			if code != 0 || len(w.mail.Messages()) != want {
				t.Fatalf("exit %d, %d messages for %d reports\n%s", code, len(w.mail.Messages()), want, stderr)
			}
			if got := w.mail.Sessions(); got != tt.sessions {
				t.Errorf("%d sessions, want %d", got, tt.sessions)
			}
			reused := map[int]int{}
			for _, r := range all {
				reused[r.Recipients[0].Reused]++
			}
			if got := len(reused); got != len(all)/tt.sessions {
				t.Errorf("%d messages on %d sessions were reported as %v", len(all), tt.sessions, reused)
			}
			if got := overlaps(w.mail, 0); (got > 0) != tt.overlap {
				t.Errorf("%d transactions began with the final dot of another one, want some: %v", got, tt.overlap)
			}
		})
	}
}

// The bound is the same for sessions as for messages on their way.
func TestConcurrencyBoundsThePool(t *testing.T) {
	w := newWorld(t, &smtptest.Server{})
	code, stdout, stderr := w.run(t, "-to", "bob@example.net", "-repeat", "60", "-concurrency", "3", "-pool", "on", "-json")
	if got := w.mail.Sessions(); code != 0 || got < 1 || got > 3 || len(readReports(t, stdout)) != 60 || len(w.mail.Messages()) != 60 {
		t.Errorf("exit %d, %d sessions, %d reports, %d messages\n%s", code, got, len(readReports(t, stdout)), len(w.mail.Messages()), stderr)
	}
	if !strings.HasPrefix(stderr, "60 messages in ") || !strings.Contains(stderr, " messages/s; recipients: 60 delivered,") {
		t.Errorf("summary %q", stderr)
	}
}
