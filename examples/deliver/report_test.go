package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// reports are made by hand, one for each kind of outcome.
func reports() map[string]smtpclient.Report {
	channel := tlspolicy.State{
		Wanted: tlspolicy.May, Reached: tlspolicy.Encrypt,
		Version: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256,
	}
	var times smtpclient.StageTimes
	times[smtpclient.StageResolve] = 2 * time.Millisecond
	times[smtpclient.StageConnect] = 40 * time.Millisecond
	times[smtpclient.StageDataDone] = 1500 * time.Millisecond

	delivered := smtpclient.Outcome{
		Address: "bob@example.net", Status: smtpclient.Delivered, Action: "relayed",
		Attempt: &smtpclient.Attempt{
			Stage: smtpclient.StageDataDone, Host: "mx1.example.net", Addr: "192.0.2.25:25",
			Reply:    smtpclient.Reply{Code: 250, Enhanced: "2.0.0", Lines: []string{"2.0.0 <queued> & done", "as 4711"}},
			Enhanced: "2.0.0", TLS: channel, Reused: 3, Times: times,
		},
	}
	failed := smtpclient.Outcome{
		Address: "nobody@example.net", Status: smtpclient.Failed, Action: "failed",
		Attempt: &smtpclient.Attempt{
			Stage: smtpclient.StageRcpt, Host: "mx2.example.net", Addr: "[2001:db8::25]:25",
			Reply:    smtpclient.Reply{Code: 550, Enhanced: "5.1.1", Lines: []string{"5.1.1 no such user"}},
			Enhanced: "5.1.1", TLS: tlspolicy.State{Wanted: tlspolicy.May, Reached: tlspolicy.None, Fallback: errors.New("handshake failed")},
		},
		Earlier: []smtpclient.Attempt{
			{Stage: smtpclient.StageConnect, Host: "mx1.example.net", Addr: "192.0.2.25:25",
				Cause: errors.New("connection refused"), Enhanced: "4.4.1", TLS: tlspolicy.State{Wanted: tlspolicy.May}},
			{Stage: smtpclient.StageMail, Host: "mx1.example.net", Addr: "192.0.2.26:25", TLS: channel,
				Reply:    smtpclient.Reply{Code: 451, Lines: []string{"come back", "later"}},
				Enhanced: "4.0.0"},
		},
	}
	unknown := smtpclient.Outcome{
		Address: "carol@example.net", Status: smtpclient.Unknown, Action: "delayed",
		Attempt: &smtpclient.Attempt{
			Stage: smtpclient.StageDataDone, Host: "mx1.example.net", Addr: "192.0.2.25:25",
			Reply: smtpclient.Reply{Code: 354, Lines: []string{"go on"}}, Cause: errors.New("no reply to the final dot"),
			Enhanced: "4.5.0", Notes: []string{"8BITMIME was not offered"},
			TLS: tlspolicy.State{Wanted: tlspolicy.None, Reached: tlspolicy.None},
		},
	}
	refused := smtpclient.Outcome{
		Address: "not an address", Status: smtpclient.Failed, Action: "failed",
		Attempt: &smtpclient.Attempt{Stage: smtpclient.StageInput, Cause: errors.New(`To[0]: no "@"`), Enhanced: "5.1.3"},
	}
	deferred := smtpclient.Outcome{
		Address: "dave@example.net", Status: smtpclient.Deferred, Action: "delayed",
		Attempt: &smtpclient.Attempt{Stage: smtpclient.StageResolve, Cause: errors.New("MX example.net: server failure"), Enhanced: "4.4.3"},
	}
	return map[string]smtpclient.Report{
		"empty":     {},
		"delivered": {Outcomes: []smtpclient.Outcome{delivered}, Duration: 1542 * time.Millisecond},
		"mixed":     {Outcomes: []smtpclient.Outcome{delivered, failed, unknown, refused, deferred}, Duration: 2 * time.Second},
	}
}

// The golden files are the contract with scripts: a change in one of them is a
// change of the interface.
func TestGolden(t *testing.T) {
	for name, report := range reports() {
		var asJSON, asText bytes.Buffer
		if err := writeJSON(&asJSON, report); err != nil {
			t.Fatal(err)
		}
		writeText(&asText, report)
		golden(t, name+".json", indent(t, asJSON.Bytes()))
		golden(t, name+".txt", asText.Bytes())
	}
}

// indent checks that a report is one line, and makes it readable.
func indent(t *testing.T, line []byte) []byte {
	t.Helper()
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Errorf("a report has to be one line, got %q", line)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, line, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("%s:\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestExitCodes(t *testing.T) {
	outcome := func(status smtpclient.Status, stage smtpclient.Stage) smtpclient.Outcome {
		return smtpclient.Outcome{Status: status, Attempt: &smtpclient.Attempt{Stage: stage}}
	}
	var (
		delivered   = outcome(smtpclient.Delivered, smtpclient.StageDataDone)
		failed      = outcome(smtpclient.Failed, smtpclient.StageRcpt)
		refused     = outcome(smtpclient.Failed, smtpclient.StageInput)
		deferred    = outcome(smtpclient.Deferred, smtpclient.StageRcpt)
		misconfig   = outcome(smtpclient.Deferred, smtpclient.StageInput)
		unknown     = outcome(smtpclient.Unknown, smtpclient.StageDataDone)
		fromNowhere = outcome(smtpclient.Status(9), smtpclient.StageDataDone)
	)
	tests := []struct {
		name     string
		messages [][]smtpclient.Outcome
		want     int
	}{
		{"all delivered", [][]smtpclient.Outcome{{delivered, delivered}}, 0},
		{"failed", [][]smtpclient.Outcome{{delivered, failed}}, 69},
		{"refused as input before failed", [][]smtpclient.Outcome{{failed, refused, delivered}}, 65},
		{"deferred before refused", [][]smtpclient.Outcome{{refused, deferred, failed, delivered}}, 75},
		{"a fault of the configuration is deferred", [][]smtpclient.Outcome{{misconfig}}, 75},
		{"unknown before all", [][]smtpclient.Outcome{{deferred, refused, failed, unknown, delivered}}, 76},
		{"a status that is not one", [][]smtpclient.Outcome{{fromNowhere, deferred}}, 76},
		{"worst of several messages, first", [][]smtpclient.Outcome{{deferred}, {delivered}, {failed}}, 75},
		{"worst of several messages, last", [][]smtpclient.Outcome{{delivered}, {failed}, {refused}}, 65},
	}
	for _, tt := range tests {
		out := &printer{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
		for _, outcomes := range tt.messages {
			report := smtpclient.Report{Outcomes: outcomes}
			out.report(report, report.Err())
		}
		if got := out.total.exitCode(); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.name, got, tt.want)
		}
	}
}

// Without a recipient there is no outcome that could carry the fault: the error
// decides, and is printed.
func TestErrorWithoutRecipients(t *testing.T) {
	noRecipients := smtpclient.Attempt{Stage: smtpclient.StageInput, Cause: errors.New("Envelope.To is empty"), Enhanced: "5.5.4"}
	tests := []struct {
		err  error
		want int
	}{
		{&smtpclient.Error{Status: smtpclient.Failed, Attempt: noRecipients}, 65},
		{&smtpclient.Error{Status: smtpclient.Deferred, Attempt: noRecipients}, 75},
		{errors.New("something else"), 76},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		out := &printer{stdout: &stdout, stderr: &stderr, json: true}
		out.report(smtpclient.Report{}, tt.err)
		if got := out.total.exitCode(); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
		if got, want := stderr.String(), "deliver: "+tt.err.Error()+"\n"; got != want {
			t.Errorf("standard error %q, want %q", got, want)
		}
		if got, want := stdout.String(), `{"recipients":[],"seconds":0}`+"\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	var total tally
	report := reports()["mixed"]
	for range 4 {
		total.add(report, report.Err())
	}
	got := total.summary(2 * time.Second)
	want := "4 messages in 2.000 s, 2.0 messages/s; recipients: 4 delivered, 4 deferred, 4 failed, 4 refused as input, 4 unknown"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
