package smtpclient_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

var updateNotices = flag.Bool("update-notices", false, "write the notices of TestNotices to testdata/notices")

// Pieces of the reports below.
var (
	noSuchUser = smtpclient.Attempt{Stage: smtpclient.StageRcpt, Host: "mx.example.net", Enhanced: "5.1.1",
		Reply: smtpclient.Reply{Code: 550, Enhanced: "5.1.1", Lines: []string{"5.1.1 no such user"}}}
	greylisted = smtpclient.Attempt{Stage: smtpclient.StageRcpt, Host: "mx.example.net", Enhanced: "4.2.0",
		Reply: smtpclient.Reply{Code: 450, Enhanced: "4.2.0", Lines: []string{"4.2.0 come back later"}}}
	taken = smtpclient.Attempt{Stage: smtpclient.StageDataDone, Host: "mx.example.net", Enhanced: "2.0.0",
		Reply: smtpclient.Reply{Code: 250, Enhanced: "2.0.0", Lines: []string{"2.0.0 queued"}}}
	noHost = smtpclient.Attempt{Stage: smtpclient.StageResolve, Enhanced: "5.1.2", Cause: errors.New("no such domain")}
	lost   = smtpclient.Attempt{Stage: smtpclient.StageDataDone, Host: "mx.example.net", Enhanced: "4.4.2", Cause: errors.New("connection lost")}
)

const original = "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nHello Bob.\r\n"

// rcpt is one recipient of a report.
type rcpt struct {
	to      smtpclient.Recipient
	status  smtpclient.Status
	attempt smtpclient.Attempt
	action  string
	owed    smtpclient.Notify
}

func bob(notify smtpclient.Notify) smtpclient.Recipient {
	return smtpclient.Recipient{Address: "bob@example.net", Notify: notify}
}

func failed(to smtpclient.Recipient, a smtpclient.Attempt) rcpt {
	return rcpt{to, smtpclient.Failed, a, "failed", smtpclient.NotifyFailure}
}

// noticeCase is a report, and what the notice about it must say: a line
// "recipient|action|status" for each recipient, and the type of what is given
// back.
type noticeCase struct {
	name    string
	env     smtpclient.Envelope
	rcpts   []rcpt
	notice  smtpclient.Notice
	content string
	want    []string
	back    string
}

func noticeCases() []noticeCase {
	const success, failure, delay, never = smtpclient.NotifySuccess, smtpclient.NotifyFailure, smtpclient.NotifyDelay, smtpclient.NotifyNever
	ann := smtpclient.Envelope{From: "ann@example.org"}
	long := strings.Repeat("a reply that goes on and on ", 100)
	return []noticeCase{
		{name: "01 failed", env: ann, rcpts: []rcpt{failed(bob(0), noSuchUser)}, want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "message/rfc822"},
		{name: "02 domain that does not exist", env: ann, rcpts: []rcpt{failed(bob(0), noHost)}, want: []string{"rfc822; bob@example.net|failed|5.1.2"}, back: "message/rfc822"},
		{name: "03 some of three", env: ann, rcpts: []rcpt{
			failed(bob(0), noSuchUser),
			{smtpclient.Recipient{Address: "carol@example.net"}, smtpclient.Delivered, taken, "relayed", 0},
			failed(smtpclient.Recipient{Address: "dave@example.com"}, noHost),
		}, want: []string{"rfc822; bob@example.net|failed|5.1.1", "rfc822; dave@example.com|failed|5.1.2"}, back: "message/rfc822"},
		{name: "04 success relayed", env: ann, rcpts: []rcpt{{bob(success), smtpclient.Delivered, taken, "relayed", success}},
			want: []string{"rfc822; bob@example.net|relayed|2.0.0"}, back: "text/rfc822-headers"},
		{name: "05 success delivered", env: ann, rcpts: []rcpt{{bob(success | failure), smtpclient.Delivered, taken, "delivered", success}},
			want: []string{"rfc822; bob@example.net|delivered|2.0.0"}, back: "text/rfc822-headers"},
		{name: "06 delayed", env: ann, notice: smtpclient.Notice{Events: delay, RetryUntil: time.Date(2000, 1, 6, 0, 0, 0, 0, time.UTC)},
			rcpts: []rcpt{{bob(0), smtpclient.Deferred, greylisted, "delayed", 0}}, want: []string{"rfc822; bob@example.net|delayed|4.2.0"}, back: "text/rfc822-headers"},
		{name: "07 expired", env: ann, notice: smtpclient.Notice{Expired: true},
			rcpts: []rcpt{{bob(0), smtpclient.Deferred, greylisted, "delayed", 0}}, want: []string{"rfc822; bob@example.net|failed|4.2.0"}, back: "message/rfc822"},
		{name: "08 headers only", env: smtpclient.Envelope{From: "ann@example.org", Return: smtpclient.ReturnHeaders},
			rcpts: []rcpt{failed(bob(0), noSuchUser)}, want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "text/rfc822-headers"},
		{name: "09 REQUIRETLS", env: smtpclient.Envelope{From: "ann@example.org", Return: smtpclient.ReturnFull, TLS: tlspolicy.EveryHop},
			rcpts: []rcpt{failed(bob(0), noSuchUser)}, want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "text/rfc822-headers"},
		{name: "10 envelope id and original recipient", env: smtpclient.Envelope{From: "ann@example.org", EnvID: "QQ314159  x", Arrival: time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC)},
			rcpts: []rcpt{failed(smtpclient.Recipient{Address: "bob@example.net", ORCPT: "rfc822;Robert@Example.ORG"}, noSuchUser)},
			want:  []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "message/rfc822"},
		{name: "11 recipient in UTF-8", env: ann, rcpts: []rcpt{failed(smtpclient.Recipient{Address: "žofie@example.net", ORCPT: "utf-8;žofie@example.org"}, noSuchUser)},
			want: []string{`utf-8; \x{17E}ofie@example.net|failed|5.1.1`}, back: "message/rfc822"},
		{name: "12 sender in UTF-8", env: smtpclient.Envelope{From: "änn@example.org"}, rcpts: []rcpt{failed(bob(0), noSuchUser)},
			want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "message/rfc822"},
		{name: "13 header in UTF-8", env: ann, content: strings.Replace(original, "hello", "grüße", 1), rcpts: []rcpt{failed(bob(0), noSuchUser)},
			want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "message/global-headers"},
		{name: "14 body of 8-bit", env: ann, content: original + "Grüße.\r\n", rcpts: []rcpt{failed(bob(0), noSuchUser)},
			want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "message/rfc822"},
		{name: "15 too large to give back", env: ann, notice: smtpclient.Notice{MaxReturn: 100}, content: original + strings.Repeat("padding\r\n", 20),
			rcpts: []rcpt{failed(bob(0), noSuchUser)}, want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "text/rfc822-headers"},
		{name: "16 long and hostile reply", env: ann, rcpts: []rcpt{failed(bob(0), smtpclient.Attempt{Host: "mx.example.net", Enhanced: "5.0.0",
			Reply: smtpclient.Reply{Code: 554, Lines: []string{long, "ünknown\r\nAction: delivered", strings.Repeat("x", 1200)}}})},
			want: []string{"rfc822; bob@example.net|failed|5.0.0"}, back: "message/rfc822"},
		{name: "17 quoted local part", env: ann, rcpts: []rcpt{failed(smtpclient.Recipient{Address: `"bob  b"@example.net`}, noSuchUser)},
			want: []string{`rfc822; "bob  b"@example.net|failed|5.1.1`}, back: "message/rfc822"},
		{name: "18 never and unknown are left out", env: ann, rcpts: []rcpt{
			{bob(never), smtpclient.Failed, noSuchUser, "failed", 0},
			{smtpclient.Recipient{Address: "carol@example.net"}, smtpclient.Unknown, lost, "delayed", 0},
			{smtpclient.Recipient{Address: "dave@example.net", Notify: failure}, smtpclient.Deferred, greylisted, "delayed", 0},
			{smtpclient.Recipient{Address: "erin@example.net", Notify: delay}, smtpclient.Deferred, greylisted, "delayed", 0},
		}, notice: smtpclient.Notice{Expired: true}, want: []string{"rfc822; dave@example.net|failed|4.2.0"}, back: "message/rfc822"},
		{name: "19 three kinds in one", env: ann, notice: smtpclient.Notice{Events: success | failure | delay}, rcpts: []rcpt{
			failed(bob(0), noSuchUser),
			{smtpclient.Recipient{Address: "carol@example.net", Notify: success}, smtpclient.Delivered, taken, "relayed", success},
			{smtpclient.Recipient{Address: "dave@example.net", Notify: delay | failure}, smtpclient.Deferred, greylisted, "delayed", 0},
		}, want: []string{"rfc822; bob@example.net|failed|5.1.1", "rfc822; carol@example.net|relayed|2.0.0", "rfc822; dave@example.net|delayed|4.2.0"}, back: "message/rfc822"},
		{name: "20 own words, address literal", env: ann, notice: smtpclient.Notice{ReportingMTA: "[192.0.2.1]", From: "help@example.org", Text: "Sorry, Ann.\nWe tried. – The postmaster"},
			rcpts: []rcpt{failed(bob(0), noSuchUser)}, want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "message/rfc822"},
		{name: "21 no content", env: ann, content: "none", rcpts: []rcpt{failed(bob(0), noSuchUser)}, want: []string{"rfc822; bob@example.net|failed|5.1.1"}},
		{name: "22 line ends of Unix", env: ann, content: strings.ReplaceAll(original, "\r\n", "\n"), rcpts: []rcpt{failed(bob(0), noSuchUser)},
			want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "message/rfc822"},
		{name: "23 header in Latin-1", env: smtpclient.Envelope{From: "ann@example.org", Return: smtpclient.ReturnHeaders},
			content: "From: J\xfcrgen <ann@example.org>\r\n\r\nhello\r\n", rcpts: []rcpt{failed(bob(0), noSuchUser)},
			want: []string{"rfc822; bob@example.net|failed|5.1.1"}, back: "text/rfc822-headers"},
	}
}

func (c *noticeCase) compose(t *testing.T) (smtpclient.Envelope, []byte) {
	t.Helper()
	var report smtpclient.Report
	c.env.To = nil
	for _, r := range c.rcpts {
		c.env.To = append(c.env.To, r.to)
		report.Outcomes = append(report.Outcomes, smtpclient.Outcome{Address: r.to.Address, Status: r.status, Attempt: &r.attempt, Action: r.action, Owed: r.owed})
	}
	var content smtpclient.Content
	switch c.content {
	case "":
		content = smtpclient.Bytes([]byte(original))
	case "none":
	default:
		content = smtpclient.Bytes([]byte(c.content))
	}
	if c.notice.ReportingMTA == "" {
		c.notice.ReportingMTA = "mail.example.org"
	}
	env, notice, err := c.notice.Compose(t.Context(), c.env, report, content)
	if err != nil {
		t.Fatal(err)
	}
	r, err := notice.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != notice.Size() {
		t.Fatalf("read %d bytes of %d, %v", len(b), notice.Size(), err)
	}
	return env, b
}

// Every notice is read with the parsers of the standard library. The files in
// testdata/notices are the same ones, for other readers; what must be in them
// stands beside.
func TestNotices(t *testing.T) {
	for _, c := range noticeCases() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				env, b := c.compose(t)
				if env.From != "<>" || len(env.To) != 1 || env.To[0].Address != c.env.From || env.To[0].Notify != smtpclient.NotifyNever {
					t.Errorf("the envelope of the notice is %+v", env)
				}
				if (env.TLS == tlspolicy.EveryHop) != (c.env.TLS == tlspolicy.EveryHop) {
					t.Errorf("TLS of the notice: %v", env.TLS)
				}
				got, back := readNotice(t, b, c.content)
				if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
					t.Errorf("it says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
				if back != c.back {
					t.Errorf("gives back %q, want %q", back, c.back)
				}
				compareNotice(t, &c, b)
			})
		})
	}
}

// readNotice takes a notice apart.
func readNotice(t *testing.T, b []byte, content string) (recipients []string, back string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" || m.Header.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("header %v, %v", m.Header, err)
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	words, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(words.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("first part: %v, %v", words, err)
	}
	status, err := parts.NextPart()
	if err != nil || status.Header.Get("Content-Type") != "message/delivery-status" {
		t.Fatalf("second part: %v, %v", status, err)
	}
	recipients = readStatus(t, status)
	third, err := parts.NextRawPart()
	if err == io.EOF {
		return recipients, ""
	}
	if err != nil {
		t.Fatal(err)
	}
	returned, err := io.ReadAll(third)
	if err != nil {
		t.Error(err)
	}
	back = third.Header.Get("Content-Type")
	if inner, outer := third.Header.Get("Content-Transfer-Encoding"), m.Header.Get("Content-Transfer-Encoding"); (inner == "8bit") != (outer == "8bit") {
		t.Errorf("what is given back is %q, but all of it %q", inner, outer)
	}
	if content == "" {
		content = original
	}
	content = strings.ReplaceAll(content, "\r\n", "\n")
	text := strings.ReplaceAll(string(returned), "\r\n", "\n")
	if third.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		plain, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Error(err)
		}
		text = strings.ReplaceAll(string(plain), "\r\n", "\n")
	}
	header, _, _ := strings.Cut(content, "\n\n")
	if want := map[bool]string{true: strings.TrimSuffix(content, "\n"), false: header}[back == "message/rfc822"]; strings.TrimSuffix(text, "\n") != want {
		t.Errorf("given back:\n%q\nwant\n%q", text, want)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the last part: %v", err)
	}
	return recipients, back
}

var statusCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}$`)

// readStatus reads the part for programs, of which every byte is ASCII.
func readStatus(t *testing.T, r io.Reader) (recipients []string) {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil || bytes.ContainsFunc(b, func(c rune) bool { return c > '~' }) {
		t.Errorf("the status is not ASCII: %q, %v", b, err)
	}
	for line := range strings.SplitSeq(string(b), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line of the status is %q", line)
		}
	}
	groups := strings.Split(strings.TrimSpace(string(b)), "\r\n\r\n")
	for i, g := range groups {
		fields, err := textproto.NewReader(bufioReader(g + "\r\n\r\n")).ReadMIMEHeader()
		if err != nil {
			t.Fatalf("%v: %q", err, g)
		}
		if i == 0 {
			if fields.Get("Reporting-MTA") == "" {
				t.Errorf("no Reporting-MTA in %v", fields)
			}
			continue
		}
		if !statusCode.MatchString(fields.Get("Status")) {
			t.Errorf("status %q", fields.Get("Status"))
		}
		recipients = append(recipients, fields.Get("Final-Recipient")+"|"+fields.Get("Action")+"|"+fields.Get("Status"))
	}
	return recipients
}

var randomText = regexp.MustCompile(`[A-Z2-7]{26}`)

// compareNotice holds a notice, with its random parts made equal, against the
// file that other readers judge.
func compareNotice(t *testing.T, c *noticeCase, b []byte) {
	t.Helper()
	random := map[string]string{}
	b = randomText.ReplaceAllFunc(b, func(m []byte) []byte {
		if random[string(m)] == "" {
			random[string(m)] = "RANDOMTEXTRANDOMTEXTRANDOM"[:25] + string(rune('A'+len(random)))
		}
		return []byte(random[string(m)])
	})
	file := filepath.Join("testdata", "notices", strings.ReplaceAll(c.name, " ", "-"))
	want := []byte(strings.Join(append([]string{c.back}, c.want...), "\n") + "\n")
	if *updateNotices {
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := errors.Join(os.WriteFile(file+".eml", b, 0o644), os.WriteFile(file+".want", want, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for name, now := range map[string][]byte{".eml": b, ".want": want} {
		if kept, err := os.ReadFile(file + name); err != nil || !bytes.Equal(kept, now) {
			t.Errorf("%s%s differs from what is composed now (go test -update-notices writes it): %v", file, name, err)
		}
	}
}

// Of a message whose size is not known in advance it is found out.
func TestNoticeOfUnknownSize(t *testing.T) {
	env := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{bob(0)}}
	report := smtpclient.Report{Outcomes: []smtpclient.Outcome{{Address: "bob@example.net", Status: smtpclient.Failed, Attempt: &noSuchUser, Owed: smtpclient.NotifyFailure}}}
	for most, want := range map[int64]string{int64(len(original)): "message/rfc822", int64(len(original)) - 1: "text/rfc822-headers"} {
		_, content, err := smtpclient.Notice{ReportingMTA: "mail.example.org", MaxReturn: most}.Compose(t.Context(), env, report, reader{original, 7, -1})
		if err != nil {
			t.Fatal(err)
		}
		r, err := content.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if _, back := readNotice(t, b, original); back != want || err != nil {
			t.Errorf("of at most %d bytes it gives back %s, want %s; %v", most, back, want, err)
		}
	}
}

// Nobody is told where there is nothing to tell or nobody to tell it to.
func TestNoNotice(t *testing.T) {
	ann := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{bob(0)}}
	null := ann
	null.From = "<>"
	report := func(status smtpclient.Status, owed smtpclient.Notify) smtpclient.Report {
		return smtpclient.Report{Outcomes: []smtpclient.Outcome{{Address: "bob@example.net", Status: status, Attempt: &noSuchUser, Action: "failed", Owed: owed}}}
	}
	notice := smtpclient.Notice{ReportingMTA: "mail.example.org"}
	all := smtpclient.Notice{ReportingMTA: "mail.example.org", Expired: true, Events: smtpclient.NotifySuccess | smtpclient.NotifyFailure | smtpclient.NotifyDelay}
	for name, c := range map[string]struct {
		notice  smtpclient.Notice
		env     smtpclient.Envelope
		report  smtpclient.Report
		content string
	}{
		"null reverse path":  {notice, null, report(smtpclient.Failed, smtpclient.NotifyFailure), original},
		"nothing owed":       {notice, ann, report(smtpclient.Delivered, 0), original},
		"unknown":            {all, ann, report(smtpclient.Unknown, 0), original},
		"handed on":          {all, ann, report(smtpclient.Delivered, 0), original},
		"deferred":           {notice, ann, report(smtpclient.Deferred, 0), original},
		"report of TLSRPT":   {notice, ann, report(smtpclient.Failed, smtpclient.NotifyFailure), "TLS-Report-Domain: example.net\r\n" + original},
		"submitter of those": {notice, ann, report(smtpclient.Failed, smtpclient.NotifyFailure), "Subject: x\ntls-report-submitter: example.net\n\nbody\n"},
	} {
		if _, _, err := c.notice.Compose(t.Context(), c.env, c.report, smtpclient.Bytes([]byte(c.content))); !errors.Is(err, smtpclient.ErrNoNotice) {
			t.Errorf("%s: %v, want ErrNoNotice", name, err)
		}
	}
}

// Bad input is named by its field.
func TestNoticeInput(t *testing.T) {
	good := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{bob(0)}}
	report := smtpclient.Report{Outcomes: []smtpclient.Outcome{{Status: smtpclient.Failed, Attempt: &noSuchUser, Owed: smtpclient.NotifyFailure}}}
	for field, change := range map[string]func(*smtpclient.Notice, *smtpclient.Envelope, *smtpclient.Report){
		"Notice.ReportingMTA": func(n *smtpclient.Notice, _ *smtpclient.Envelope, _ *smtpclient.Report) { n.ReportingMTA = "a\r\nb" },
		"Notice.From":         func(n *smtpclient.Notice, _ *smtpclient.Envelope, _ *smtpclient.Report) { n.From = "x>\r\nBcc: y@z" },
		"Envelope.From":       func(_ *smtpclient.Notice, e *smtpclient.Envelope, _ *smtpclient.Report) { e.From = "a\nb@c" },
		"Envelope.EnvID":      func(_ *smtpclient.Notice, e *smtpclient.Envelope, _ *smtpclient.Report) { e.EnvID = "a\r\nb" },
		"Report.Outcomes":     func(_ *smtpclient.Notice, _ *smtpclient.Envelope, r *smtpclient.Report) { r.Outcomes = nil },
	} {
		n, env, r := smtpclient.Notice{ReportingMTA: "mail.example.org"}, good, report
		change(&n, &env, &r)
		if _, _, err := n.Compose(t.Context(), env, r, nil); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// What is wrong with the content is an error.
func TestNoticeOfBrokenContent(t *testing.T) {
	env := smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{bob(0)}}
	report := smtpclient.Report{Outcomes: []smtpclient.Outcome{{Status: smtpclient.Failed, Attempt: &noSuchUser, Owed: smtpclient.NotifyFailure}}}
	for want, content := range map[string]smtpclient.Content{
		"panic":        (*funcContent)(nil),
		"no such file": smtpclient.File(t.TempDir() + "/gone"),
		"nil reader":   &lateContent{opened: true, open: func() (io.ReadCloser, error) { return nil, nil }},
	} {
		_, notice, err := smtpclient.Notice{ReportingMTA: "mail.example.org"}.Compose(t.Context(), env, report, content)
		if err == nil || notice != nil || want != "no such file" && !strings.Contains(err.Error(), want) || want == "no such file" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, %v", want, notice, err)
		}
	}
}

// refuse answers RCPT of some with a reply.
func refuse(path, reply string) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.Contains(c.Args, path) {
			return smtptest.Action{Reply: reply}
		}
		return smtptest.Action{}
	}
}

// A message fails for one of two, and the notice about it goes the same way
// back to its sender.
func TestNoticeIsDelivered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		server := w.mx(10, &smtptest.Server{Script: refuse("<carol@example.net>", "550 5.1.1 no such user")})
		env := fromAnn("bob@example.net", "carol@example.net")
		env.From = "ann@example.net"
		report := w.deliver(t.Context(), env, hello)
		if owed := []smtpclient.Notify{report.Outcomes[0].Owed, report.Outcomes[1].Owed}; owed[0] != 0 || owed[1] != smtpclient.NotifyFailure {
			t.Errorf("owed: %v", owed)
		}
		notice, content, err := smtpclient.Notice{ReportingMTA: "client.example.org"}.Compose(t.Context(), env, report, smtpclient.Bytes([]byte(hello)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.Deliver(t.Context(), notice, content); err != nil {
			t.Fatal(err)
		}
		w.settle()
		got := server.Messages()
		last := got[len(got)-1]
		if last.From != "<>" && last.From != "" || last.To[0] != "ann@example.net" {
			t.Errorf("the notice went from %q to %q", last.From, last.To)
		}
		if recipients, _ := readNotice(t, last.Data, hello); len(recipients) != 1 || recipients[0] != "rfc822; carol@example.net|failed|5.1.1" {
			t.Errorf("it says %q", recipients)
		}
	})
}

// Who asked to hear of success hears of it from the server if that can tell, and
// else from us.
func TestOwed(t *testing.T) {
	const success, failure, delay, never = smtpclient.NotifySuccess, smtpclient.NotifyFailure, smtpclient.NotifyDelay, smtpclient.NotifyNever
	for _, c := range []struct {
		name       string
		extensions []string
		script     func(smtptest.Command) smtptest.Action
		notify     smtpclient.Notify
		want       smtpclient.Notify
	}{
		{"server tells", []string{"DSN"}, nil, success, 0},
		{"server cannot tell", []string{"SIZE"}, nil, success | failure, success},
		{"nobody asked", []string{"SIZE"}, nil, 0, 0},
		{"only failures", []string{"SIZE"}, nil, failure, 0},
		{"failed", []string{"DSN"}, refuse("", "550 no"), 0, failure},
		{"failed, asked", []string{"DSN"}, refuse("", "550 no"), failure | delay, failure},
		{"failed, not asked", []string{"DSN"}, refuse("", "550 no"), success, 0},
		{"failed, never", []string{"DSN"}, refuse("", "550 no"), never, 0},
		{"deferred", []string{"DSN"}, refuse("", "450 later"), delay, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{Extensions: c.extensions, Script: c.script})
				env := fromAnn("bob@example.net", "bob@example.net")
				env.To[0].Notify, env.To[1].Notify = c.notify, c.notify
				report := w.deliver(t.Context(), env, hello)
				for _, o := range report.Outcomes { // the second is the twin of the first
					if o.Owed != c.want {
						t.Errorf("owed %v, want %v", o.Owed, c.want)
					}
				}
			})
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{Extensions: c.extensions, Script: c.script})
				env := fromAnn("bob@example.net")
				env.From, env.To[0].Notify = "<>", c.notify
				if o := w.deliver(t.Context(), env, hello).Outcomes[0]; o.Owed != 0 {
					t.Errorf("the null reverse path is owed %v", o.Owed)
				}
			})
		})
	}
}

func bufioReader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }
