package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"\n  C: STARTTLS\n",
		"\n  C: RCPT TO:<nobody@example.net>\n",
		"\n  S: 550 5.1.1 no such user here\n",
		"  bob@example.net     delivered mx.example.net over TLS 1.3, at data-done: 250 ",
		"  nobody@example.net  failed    mx.example.net over TLS 1.3, at rcpt: 550 5.1.1 ",
		"  carol@example.net   delivered mx.example.net over TLS 1.3, at data-done: 250 ",
		"\nAs expected: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("there is colour, though this is no terminal")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// A cancelled run must not end as if all were well.
func TestRunFailsWhenTheDeliveryDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err == nil || strings.Contains(out.String(), "As expected") {
		t.Errorf("error %v, want one; output:\n%s", err, &out)
	}
}

func TestMessageHasWhatItIsToShow(t *testing.T) {
	if !bytes.Contains(message, []byte("\r\n.\r\n")) || !bytes.ContainsFunc(message, func(r rune) bool { return r > 127 }) {
		t.Error("the message has no line of a lone dot, or no 8-bit character, or its lines do not end in CRLF")
	}
}

func TestCheckFindsEachFault(t *testing.T) {
	good := func() smtpclient.Report {
		outcome := func(status smtpclient.Status) smtpclient.Outcome {
			return smtpclient.Outcome{Status: status, Attempt: &smtpclient.Attempt{TLS: tlspolicy.State{Reached: tlspolicy.Encrypt}}}
		}
		r := smtpclient.Report{Outcomes: []smtpclient.Outcome{
			outcome(smtpclient.Delivered), outcome(smtpclient.Failed), outcome(smtpclient.Delivered),
		}}
		r.Outcomes[1].Reply.Code, r.Outcomes[1].Enhanced = 550, "5.1.1"
		return r
	}
	tests := []struct {
		want  string
		spoil func(r *smtpclient.Report)
	}{
		{"outcomes for", func(r *smtpclient.Report) { r.Outcomes = r.Outcomes[:2] }},
		{"is unknown and should be delivered", func(r *smtpclient.Report) { r.Outcomes[2].Status = smtpclient.Unknown }},
		{"TLS was not reached", func(r *smtpclient.Report) { r.Outcomes[0].TLS.Reached = tlspolicy.None }},
		{"should be the 550", func(r *smtpclient.Report) { r.Outcomes[1].Reply.Code = 554 }},
		{"did not store", func(*smtpclient.Report) {}}, // a server that has got nothing
	}
	for _, tt := range tests {
		r := good()
		tt.spoil(&r)
		if err := check(r, r.Err(), &smtptest.Server{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
	if err := check(good(), errors.New("another"), &smtptest.Server{}); err == nil || !strings.Contains(err.Error(), "is: another") {
		t.Errorf("got %v, want the error that is not the report's", err)
	}
}
