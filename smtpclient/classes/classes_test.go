package classes

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// outcome makes one of a reply as it stands in a file. The stage is RCPT, unless the
// code is bound to another.
func outcome(t *testing.T, text string, stage smtpclient.Stage) smtpclient.Outcome {
	t.Helper()
	var reply smtpclient.Reply
	for line := range strings.SplitSeq(text, `\n`) {
		code, err := strconv.Atoi(line[:3])
		if err != nil || code < 400 || code > 599 {
			t.Fatalf("no reply: %q", text)
		}
		reply.Code = code
		reply.Lines = append(reply.Lines, strings.TrimLeft(line[3:], " -"))
	}
	first, _, _ := strings.Cut(reply.Lines[0], " ")
	if digits := strings.Split(first, "."); len(digits) == 3 && digits[0] == strconv.Itoa(reply.Code/100) {
		reply.Enhanced = first
	}
	status := smtpclient.Deferred
	if reply.Code >= 500 {
		status = smtpclient.Failed
	}
	return smtpclient.Outcome{Status: status, Attempt: &smtpclient.Attempt{Stage: stage, Reply: reply, Enhanced: reply.Enhanced}}
}

func stageOf(row Row) smtpclient.Stage {
	_, name, _ := strings.Cut(row.Code, "/")
	for s := smtpclient.StageInput; s <= smtpclient.StageQuit; s++ {
		if s.String() == name {
			return s
		}
	}
	if name == "" && row.Code == "550" && row.Text == "" && row.Enhanced == "" {
		return smtpclient.StageDataDone // at RCPT another row has it
	}
	return smtpclient.StageRcpt
}

// Every row has a source, and a reply that no row before it takes away.
func TestEachRow(t *testing.T) {
	rows, err := Parse(tableText)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 150 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	classes := make(map[Class]int)
	for _, row := range rows {
		classes[row.Class]++
		if u, err := url.Parse(row.Source); err != nil || u.Host == "" {
			t.Errorf("%q: source %q", row.Example, row.Source)
		}
		v := Of(outcome(t, row.Example, stageOf(row)))
		if v.Row != row {
			t.Errorf("%v %q %q %q: its example %q is decided as %v by %q %q %q", row.Class, row.Code, row.Enhanced, row.Text, row.Example,
				v.Class, v.Row.Code, v.Row.Enhanced, v.Row.Text)
		}
	}
	for c := BadMailbox; c <= Protocol; c++ {
		if classes[c] == 0 {
			t.Errorf("no row has the class %v", c)
		}
	}
	t.Logf("%d rows: %v", len(rows), classes)
}
