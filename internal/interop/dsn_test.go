package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// forgiving is a Postfix that takes mail for anybody at example.test, so that it
// has to send it back where there is no such mailbox. Exim does so by itself.
func forgiving(t *testing.T) server {
	return ownPostfix(t, PostfixSettings{Main: "smtpd_reject_unlisted_recipient = no\n"})
}

// What is asked for with RET, ENVID, NOTIFY and ORCPT (RFC 3461) shows in the
// notices that come back to the sender. Exim repeats ENVID and ORCPT as xtext, as
// they came.
func TestDSN(t *testing.T) {
	for _, c := range []struct {
		name         string
		start        func(t *testing.T) server
		door         string
		envID, orcpt string
	}{
		{"Postfix", forgiving, PostfixFull, "QQ+314 =x", "first+one=@example.net"},
		{"Exim", eximServer, EximFull, "QQ+2B314+20+3Dx", "first+2Bone+3D@example.net"},
	} {
		for _, ret := range []smtpclient.Return{smtpclient.ReturnFull, smtpclient.ReturnHeaders} {
			t.Run(fmt.Sprintf("%s/RET %d", c.name, ret), func(t *testing.T) {
				s := c.start(t)
				success, failure := noticed(t, s, c.door, ret)
				for _, notice := range []string{success, failure} {
					wantLine(t, notice, "Original-Envelope-ID: "+c.envID)
				}
				wantLine(t, success, "Original-Recipient: rfc822;"+c.orcpt)
				wantLine(t, failure, "Original-Recipient: rfc822;second@example.net")
				if got := strings.Contains(failure, "the body of it"); got != (ret == smtpclient.ReturnFull) {
					t.Errorf("the notice of failure holds the body: %v\n%s", got, failure)
				}
			})
		}
	}
}

// noticed sends a message about which two notices must come, and before it one
// about which none may.
func noticed(t *testing.T, s server, door string, ret smtpclient.Return) (success, failure string) {
	t.Helper()
	sender := s.NewMailbox("example.test")
	never := smtpclient.Recipient{Address: "unmissed@example.test", Notify: smtpclient.NotifyNever}
	wantDelivered(t, deliverTo(t, clientTo(s, door), smtpclient.Envelope{From: sender, To: []smtpclient.Recipient{never}}, smtpclient.Bytes(simple("unmissed"))))

	env := smtpclient.Envelope{From: sender, EnvID: "QQ+314 =x", Return: ret, To: []smtpclient.Recipient{
		{Address: s.NewMailbox("example.test"), Notify: smtpclient.NotifySuccess, ORCPT: "rfc822;first+one=@example.net"},
		{Address: "missing@example.test", Notify: smtpclient.NotifyFailure | smtpclient.NotifyDelay, ORCPT: "rfc822;second@example.net"},
		{Address: s.NewMailbox("example.test"), Notify: smtpclient.NotifyFailure, ORCPT: "rfc822;third@example.net"},
	}}
	report := deliverTo(t, clientTo(s, door), env, smtpclient.Bytes(body("noticed", "the body of it\r\n")))
	wantDelivered(t, report)
	if notes := report.Outcomes[0].Notes; len(notes) != 0 {
		t.Errorf("left out: %q", notes)
	}
	success, failure = notices(t, s, sender)
	if !only(success, "first", "second", "third", "unmissed") || !only(failure, "second", "first", "third", "unmissed") {
		t.Errorf("want the first recipient in the notice of success, and the second in that of failure:\n%s\n%s", success, failure)
	}
	return success, failure
}

// only tells that a notice speaks of one and not of others.
func only(notice, one string, others ...string) bool {
	return strings.Contains(notice, one) && !slices.ContainsFunc(others, func(o string) bool { return strings.Contains(notice, o) })
}

func wantLine(t *testing.T, notice, line string) {
	t.Helper()
	for l := range strings.Lines(notice) {
		if strings.EqualFold(strings.TrimSpace(l), line) {
			return
		}
	}
	t.Errorf("no line %q in\n%s", line, notice)
}

// notices waits for one of success and one of failure.
func notices(t *testing.T, s server, sender string) (success, failure string) {
	t.Helper()
	files, err := s.Stored(sender, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.Contains(string(file), "\nAction: failed\n") {
			failure = string(file)
		} else {
			success = string(file)
		}
	}
	if len(files) != 2 || success == "" || failure == "" {
		t.Fatalf("want a notice of success and one of failure, got %d:\n%s", len(files), files)
	}
	return success, failure
}

// A server without DSN gets the message without these parameters, and the report
// says so.
func TestDSNIsLeftOut(t *testing.T) {
	p := postfix(t)
	to := p.NewMailbox("example.test")
	env := smtpclient.Envelope{From: "ann@example.org", EnvID: "QQ314", To: []smtpclient.Recipient{{Address: to, Notify: smtpclient.NotifySuccess}}}
	client := withQuirks(clientTo(p, PostfixFull), smtpclient.Quirks{Discard: []string{"DSN"}})
	report := deliverTo(t, client, env, smtpclient.Bytes(simple("unnoticed")))
	wantDelivered(t, report)
	if o := report.Outcomes[0]; len(o.Notes) != 2 || o.Action != "relayed" {
		t.Errorf("notes %q, action %s; want a note on ENVID, one on NOTIFY, and relayed", o.Notes, o.Action)
	}
	stored(t, p, to)
}
