package oracle

import (
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// said is a session of a client that says this, and then ends.
func said(t *testing.T, s *smtptest.Server, lines ...string) {
	t.Helper()
	client, server := smtptest.Pipe(smtptest.Wire{Window: 1 << 16})
	done := make(chan error)
	go func() { done <- s.ServeConn(server) }()
	if _, err := io.WriteString(client, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		t.Fatal(err)
	}
	client.CloseWrite()
	if _, err := io.ReadAll(client); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// letter are the lines that bring a message to bob and carol.
var letter = []string{"EHLO client.example.org", "MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.net>", "RCPT TO:<carol@example.net>", "DATA", "Subject: x", "", "..x", "."}

const text = "Subject: x\n\n.x\n"

// Each kind of a wrong report is found, and none in a right one.
func TestBooks(t *testing.T) {
	const d, D, f, u = smtpclient.Delivered, smtpclient.Deferred, smtpclient.Failed, smtpclient.Unknown
	yes := func(c smtptest.Command) (a smtptest.Action) { return a }
	no := func(verb, reply string) func(smtptest.Command) smtptest.Action {
		return func(c smtptest.Command) (a smtptest.Action) {
			if c.Verb == verb && (verb != "RCPT" || strings.Contains(c.Args, "carol")) {
				a.Reply = reply
			}
			return a
		}
	}
	lost := func(c smtptest.Command) (a smtptest.Action) {
		if c.Verb == smtptest.EndOfData {
			a.Fault = smtptest.Drop
		}
		return a
	}
	for name, tt := range map[string]struct {
		script  func(smtptest.Command) smtptest.Action
		lines   []string
		reports [][]smtpclient.Status // of bob and carol
		text    string
		fault   string
	}{
		"right":                     {yes, letter, [][]smtpclient.Status{{d, d}}, text, ""},
		"one refused":               {no("RCPT", "550 no"), letter, [][]smtpclient.Status{{d, f}}, text, ""},
		"refused at the end":        {no(smtptest.EndOfData, "451 no"), letter, [][]smtpclient.Status{{D, D}}, text, ""},
		"no answer":                 {lost, letter, [][]smtpclient.Status{{u, u}}, text, ""},
		"the second time":           {yes, letter, [][]smtpclient.Status{{D, D}, {d, d}}, text, ""},
		"nothing said":              {yes, nil, [][]smtpclient.Status{{D, D}}, text, ""},
		"delivered, but refused":    {no("RCPT", "550 no"), letter, [][]smtpclient.Status{{d, d}}, text, "carol@example.net is delivered 1 times"},
		"delivered, but lost":       {lost, letter, [][]smtpclient.Status{{d, u}}, text, "bob@example.net is delivered 1 times"},
		"delivered, but nowhere":    {yes, nil, [][]smtpclient.Status{{d, D}}, text, "bob@example.net is delivered 1 times"},
		"deferred, but accepted":    {yes, letter, [][]smtpclient.Status{{d, D}}, text, "carol@example.net was accepted 1 times"},
		"failed, but perhaps there": {lost, letter, [][]smtpclient.Status{{u, f}}, text, "carol@example.net was accepted 0 times and whole without an answer 1 times"},
		"once too often":            {yes, append(letter, letter...), [][]smtpclient.Status{{d, d}}, text, "bob@example.net was accepted 2 times"},
		"another text":              {yes, letter, [][]smtpclient.Status{{d, d}}, "Subject: y\n", "which nobody has sent"},
		"no outcome":                {yes, letter, [][]smtpclient.Status{{d}}, text, "1 outcomes for 2 recipients"},
		"a delivery that is hidden": {yes, letter, nil, text, "bob@example.net was sent to a server by a delivery that is not in the books"},
		"a refusal that is hidden":  {no("RCPT", "550 no"), letter, nil, text, "carol@example.net was sent to a server by a delivery that is not in the books"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &smtptest.Server{Script: tt.script}
			if tt.lines != nil {
				said(t, server, tt.lines...)
			}
			server.Close()
			env := smtpclient.Envelope{To: []smtpclient.Recipient{{Address: "bob@example.net"}, {Address: "carol@EXAMPLE.net"}}}
			books := &Books{}
			for _, statuses := range tt.reports {
				var report smtpclient.Report
				for i, status := range statuses {
					report.Outcomes = append(report.Outcomes, smtpclient.Outcome{Address: env.To[i].Address, Status: status})
				}
				books.Hold(env, []byte(tt.text), func() (smtpclient.Report, error) { return report, nil })
			}
			found := books.faults([]*smtptest.Server{server})
			all := strings.Join(found, "\n")
			if tt.fault == "" && len(found) > 0 || !strings.Contains(all, tt.fault) {
				t.Errorf("found\n%s\nwant %q", all, tt.fault)
			}
		})
	}
}
