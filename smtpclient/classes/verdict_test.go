package classes_test

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/classes"
)

// said is the outcome of a reply at a stage.
func said(status smtpclient.Status, stage smtpclient.Stage, code int, enhanced, text string) smtpclient.Outcome {
	reply := smtpclient.Reply{Code: code, Enhanced: enhanced, Lines: []string{text}}
	return smtpclient.Outcome{Status: status, Attempt: &smtpclient.Attempt{Stage: stage, Reply: reply, Enhanced: enhanced}}
}

// unsaid is one that no reply has decided.
func unsaid(stage smtpclient.Stage, enhanced string) smtpclient.Outcome {
	return smtpclient.Outcome{Status: smtpclient.Deferred, Attempt: &smtpclient.Attempt{Stage: stage, Enhanced: enhanced, Cause: errors.New("x")}}
}

// When to come back: what the server says, what the row says, what the class says.
func TestAfter(t *testing.T) {
	const d, f, rcpt = smtpclient.Deferred, smtpclient.Failed, smtpclient.StageRcpt
	for name, tt := range map[string]struct {
		o     smtpclient.Outcome
		class classes.Class
		after time.Duration
	}{
		"a greylist":            {said(d, rcpt, 450, "4.2.0", "Greylisted"), classes.Greylist, 5 * time.Minute},
		"with its time":         {said(d, rcpt, 450, "4.2.0", "Greylisted for 90 seconds"), classes.Greylist, 90 * time.Second},
		"in minutes":            {said(d, rcpt, 450, "4.7.1", "Greylisted, try again in 7 minutes"), classes.Greylist, 7 * time.Minute},
		"for years":             {said(d, rcpt, 450, "4.7.1", "Greylisted for 99999 hours"), classes.Greylist, 24 * time.Hour},
		"by 5yz":                {said(f, rcpt, 550, "5.7.1", "Greylisted"), classes.Greylist, 5 * time.Minute},
		"a rate, for good":      {said(f, rcpt, 550, "5.7.1", "Rate limit reached"), classes.RateLimit, 15 * time.Minute},
		"with the row's time":   {said(d, rcpt, 421, "", "too many messages in this connection"), classes.RateLimit, time.Minute},
		"a mailbox for good":    {said(f, rcpt, 550, "5.1.1", "User unknown"), classes.BadMailbox, 0},
		"a mailbox for now":     {said(d, rcpt, 450, "4.1.1", "User unknown"), classes.BadMailbox, time.Hour},
		"a full one":            {said(d, rcpt, 452, "4.2.2", "Mailbox full"), classes.Full, 4 * time.Hour},
		"something":             {said(d, rcpt, 499, "", "Hmm"), classes.Unclassified, 30 * time.Minute},
		"our limit":             {unsaid(smtpclient.StageLimit, "4.4.5"), classes.RateLimit, 15 * time.Minute},
		"no place":              {unsaid(smtpclient.StagePool, "4.4.5"), classes.RateLimit, 15 * time.Minute},
		"a handshake":           {unsaid(smtpclient.StageStartTLS, "4.7.5"), classes.TLS, time.Hour},
		"a policy":              {unsaid(smtpclient.StagePolicy, "4.7.0"), classes.TLS, time.Hour},
		"a login":               {unsaid(smtpclient.StageAuth, "4.7.8"), classes.Auth, time.Hour},
		"a login that was lost": {unsaid(smtpclient.StageAuth, "4.4.2"), classes.Network, 30 * time.Minute},
		"no answer":             {unsaid(smtpclient.StageConnect, "4.4.1"), classes.Network, 30 * time.Minute},
		"an odd reply":          {said(d, smtpclient.StageMail, 354, "", "Greylisted"), classes.Unclassified, 30 * time.Minute},
		"nothing":               {smtpclient.Outcome{Status: d}, classes.Unclassified, 0},
		"delivered":             {said(smtpclient.Delivered, rcpt, 250, "2.0.0", "spam"), classes.Unclassified, 0},
		"unknown":               {said(smtpclient.Unknown, smtpclient.StageDataDone, 0, "4.4.2", ""), classes.Network, 0},
	} {
		if v := classes.Of(tt.o); v.Class != tt.class || v.After != tt.after {
			t.Errorf("%s: %v after %v, want %v after %v, by %+v", name, v.Class, v.After, tt.class, tt.after, v.Row)
		}
	}
}

// The Limiter knows best when to come back.
func TestAfterLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := unsaid(smtpclient.StageLimit, "4.4.5")
		o.NotBefore = time.Now().Add(42 * time.Second)
		if v := classes.Of(o); v.After != 42*time.Second {
			t.Errorf("after %v", v.After)
		}
		time.Sleep(time.Minute)
		if v := classes.Of(o); v.After != 0 {
			t.Errorf("after %v", v.After)
		}
	})
}

// Rows of one's own come first, and the function has the last word.
func TestTableOfYourOwn(t *testing.T) {
	rows, err := classes.Parse("source\town\thttps://example.org/\npolicy\t550/rcpt\t*\tuser*wanted\t2h\t550 user is not wanted\town\n")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	table := &classes.Table{Rows: rows, Override: func(o smtpclient.Outcome, v classes.Verdict) classes.Verdict {
		if asked++; v.Class == classes.Full {
			v.Class, v.After = classes.BadMailbox, 0
		}
		return v
	}}
	for text, want := range map[string]classes.Class{"User is not wanted": classes.Policy, "User unknown": classes.BadMailbox, "Mailbox full": classes.BadMailbox} {
		if v := table.Of(said(smtpclient.Failed, smtpclient.StageRcpt, 550, "", text)); v.Class != want {
			t.Errorf("%s: %v, want %v", text, v.Class, want)
		}
	}
	if v := table.Of(said(smtpclient.Failed, smtpclient.StageMail, 550, "", "User is not wanted")); v.Class == classes.Policy && len(v.Row.Source) > 0 && v.Row.Source == rows[0].Source {
		t.Error("a row for RCPT decided at MAIL")
	}
	if table.Of(said(smtpclient.Delivered, smtpclient.StageRcpt, 250, "", "")); asked != 4 {
		t.Errorf("asked %d times", asked)
	}
}

// A fault of a table names its line.
func TestParseFaults(t *testing.T) {
	const source = "source\tx\thttps://example.org/\n"
	for _, line := range []string{
		"policy\t550", "no-class\t550\t*\t*\t-\t550 x\tx", "policy\t550\t*\t*\tsoon\t550 x\tx", "policy\t550\t*\t*\t-\t550 x\tnobody",
	} {
		if _, err := classes.Parse(source + line + "\n"); err == nil || !strings.Contains(err.Error(), "2") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// Whatever a server says, there is a class with a name, and a time within a day.
func FuzzOf(f *testing.F) {
	f.Add(uint16(450), "4.2.0", "Greylisted for 5 minutes", uint8(3))
	f.Add(uint16(0), "", "*", uint8(0))
	f.Fuzz(func(t *testing.T, code uint16, enhanced, text string, status uint8) {
		for stage := smtpclient.StageInput; stage <= smtpclient.StageQuit; stage++ {
			v := classes.Of(said(smtpclient.Status(status%4), stage, int(code), enhanced, text))
			if strings.Contains(v.Class.String(), "?") || v.After < 0 || v.After > 24*time.Hour {
				t.Errorf("%v after %v", v.Class, v.After)
			}
		}
	})
}

// What a table says is kept as it stands: written and read again it is the same.
func FuzzParse(f *testing.F) {
	const source = "source\tx\thttps://example.org/\n"
	f.Add(source + "policy\t550\t*\tnot wanted\t-\t550 x\tx")
	f.Add(source + "# x\n\ngreylist\t4*\t4.2.0\tcome*again\t5m\t450 come again\tx\r\n")
	f.Add(source + "policy\t*\t*\t*\t-1h\t\tx")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := classes.Parse(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, r := range rows {
			cell := func(s string) string { return cmp.Or(s, "*") }
			after := "-"
			if r.After != 0 {
				after = r.After.String()
			}
			fmt.Fprintf(&again, "source\tx\t%s\n%s\n", r.Source, strings.Join([]string{r.Class.String(), cell(r.Code), cell(r.Enhanced), cell(r.Text), after, r.Example, "x"}, "\t"))
		}
		back, err := classes.Parse(again.String())
		if err != nil || !reflect.DeepEqual(back, rows) {
			t.Fatalf("%q gives %+v, and written again %+v, %v", text, rows, back, err)
		}
	})
}

func ExampleOf() {
	reply := smtpclient.Reply{Code: 450, Enhanced: "4.2.0", Lines: []string{"4.2.0 Greylisted, come again in 300 seconds"}}
	o := smtpclient.Outcome{Status: smtpclient.Deferred, Attempt: &smtpclient.Attempt{Stage: smtpclient.StageRcpt, Reply: reply, Enhanced: "4.2.0"}}
	v := classes.Of(o)
	fmt.Println(v.Class, "after", v.After)
	// Output:
	// greylist after 5m0s
}
