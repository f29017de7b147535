package smtpclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Each outcome is a line as Postfix writes it.
func TestLogRecord(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	at := smtpclient.Attempt{Stage: smtpclient.StageDataDone, Host: "mx.example.net", Addr: "192.0.2.25:25", Enhanced: "2.0.0",
		Reply: smtpclient.Reply{Code: 250, Enhanced: "2.0.0", Lines: []string{"2.0.0 ok", "queued"}}, TLS: tlspolicy.State{Wanted: tlspolicy.May, Reached: tlspolicy.Encrypt}}
	at.Times[smtpclient.StageLimit], at.Times[smtpclient.StagePool], at.Times[smtpclient.StageMail], at.Times[smtpclient.StageDataDone] = 10*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond
	refused := at
	refused.Stage, refused.Enhanced, refused.Reply = smtpclient.StageRcpt, "5.1.1", smtpclient.Reply{Code: 550, Enhanced: "5.1.1", Lines: []string{"5.1.1 no such user"}}
	lost := at
	lost.Enhanced, lost.Reply, lost.Cause = "4.4.2", smtpclient.Reply{}, errors.New("connection closed by the server: EOF")
	own := func(a smtpclient.Attempt) *smtpclient.Attempt { return &a }
	const timing = "delay=2, delays=0.5/0.03/1.1/0.4, "
	for _, tt := range []struct {
		what   string
		change func(env *smtpclient.Envelope, o *smtpclient.Outcome)
		want   string
	}{
		{"sent", func(*smtpclient.Envelope, *smtpclient.Outcome) {},
			"to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, " + timing + "tls=may, dsn=2.0.0, status=sent (250 2.0.0 ok queued)"},
		{"used again, by IPv6, rewritten", func(env *smtpclient.Envelope, o *smtpclient.Outcome) {
			env.To[0].ORCPT = "rfc822;list@example.net"
			o.Addr, o.Reused = "[2001:db8::25]:587", 2
		}, "to=<bob@example.net>, orig_to=<list@example.net>, relay=mx.example.net[2001:db8::25]:587, conn_use=3, " + timing + "tls=may, dsn=2.0.0, status=sent (250 2.0.0 ok queued)"},
		{"the same original recipient", func(env *smtpclient.Envelope, o *smtpclient.Outcome) { env.To[0].ORCPT = "rfc822;bob@example.net" },
			"to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, " + timing + "tls=may, dsn=2.0.0, status=sent (250 2.0.0 ok queued)"},
		{"a store", func(env *smtpclient.Envelope, o *smtpclient.Outcome) {
			o.Host, o.Addr, o.TLS = "mail.example.org", "unix:/run/dovecot/lmtp", tlspolicy.State{}
		}, "to=<bob@example.net>, relay=mail.example.org[/run/dovecot/lmtp], " + timing + "dsn=2.0.0, status=sent (250 2.0.0 ok queued)"},
		{"refused", func(_ *smtpclient.Envelope, o *smtpclient.Outcome) {
			o.Status, o.Attempt = smtpclient.Failed, own(refused)
		},
			"to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, " + timing + "tls=may, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.25] said: 550 5.1.1 no such user (in reply to RCPT TO command))"},
		{"not greeted", func(_ *smtpclient.Envelope, o *smtpclient.Outcome) {
			o.Status, o.Attempt = smtpclient.Deferred, own(refused)
			o.Stage, o.Enhanced, o.Reply, o.TLS.Reached = smtpclient.StageGreeting, "4.7.1", smtpclient.Reply{Code: 554, Lines: []string{"go away"}}, 0
		}, "to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, " + timing + "tls=may?, dsn=4.7.1, status=deferred (host mx.example.net[192.0.2.25] refused to talk to me: 554 go away)"},
		{"unknown", func(_ *smtpclient.Envelope, o *smtpclient.Outcome) {
			o.Status, o.Attempt = smtpclient.Unknown, own(lost)
		},
			"to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, " + timing + "tls=may, dsn=4.4.2, status=deferred (mx.example.net[192.0.2.25]: connection closed by the server: EOF while waiting at end of DATA command -- message may be sent more than once)"},
		{"not connected", func(_ *smtpclient.Envelope, o *smtpclient.Outcome) {
			o.Status, o.Attempt = smtpclient.Deferred, &smtpclient.Attempt{Stage: smtpclient.StageConnect, Host: "mx.example.net", Addr: "192.0.2.25:25", Enhanced: "4.4.1", Cause: errors.New("connection refused")}
		}, "to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, delay=2, delays=0.5/0/1.5/0, dsn=4.4.1, status=deferred (connect to mx.example.net[192.0.2.25]:25: connection refused)"},
		{"not found", func(_ *smtpclient.Envelope, o *smtpclient.Outcome) {
			o.Status, o.Attempt = smtpclient.Failed, &smtpclient.Attempt{Stage: smtpclient.StageResolve, Enhanced: "5.1.2", Cause: errors.New("example.net: no such domain")}
		}, "to=<bob@example.net>, relay=none, delay=2, delays=0.5/0/1.5/0, dsn=5.1.2, status=bounced (example.net: no such domain)"},
		{"asked about", func(env *smtpclient.Envelope, o *smtpclient.Outcome) { env.Verify = smtpclient.VerifyRcpt },
			"to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, " + timing + "tls=may, dsn=2.0.0, status=deliverable (250 2.0.0 ok queued)"},
		{"asked about in vain", func(env *smtpclient.Envelope, o *smtpclient.Outcome) {
			env.Verify, o.Status, o.Attempt = smtpclient.VerifyRcpt, smtpclient.Deferred, own(refused)
		}, "to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, " + timing + "tls=may, dsn=5.1.1, status=undeliverable (host mx.example.net[192.0.2.25] said: 550 5.1.1 no such user (in reply to RCPT TO command))"},
		{"what would end a field", func(env *smtpclient.Envelope, o *smtpclient.Outcome) {
			o.Address, o.Host = "\"a>, relay=x\n\"@example.net", "mx, dsn=9"
			o.Reply.Lines = []string{"ok\nNov 21 12:00:00 x postfix/smtp[1]: 1: to=<x>, status=bounced (no)"}
		}, "to=<\"a?, relay=x?\"@example.net>, relay=mx??dsn=9[192.0.2.25]:25, " + timing + "tls=may, dsn=2.0.0, status=sent (250 ok?Nov 21 12:00:00 x postfix/smtp[1]: 1: to=<x>, status=bounced (no))"},
	} {
		env := &smtpclient.Envelope{From: "ann@example.org", To: []smtpclient.Recipient{{Address: "bob@example.net"}}, Arrival: start.Add(-500 * time.Millisecond)}
		report := &smtpclient.Report{Start: start, Outcomes: []smtpclient.Outcome{{Address: "bob@example.net", Status: smtpclient.Delivered, Attempt: own(at), At: start.Add(1500 * time.Millisecond)}}}
		tt.change(env, &report.Outcomes[0])
		records := smtpclient.LogRecords(smtpclient.WithQueueID(t.Context(), "3F9A2"), env, report)
		if got, want := records[0].String(), "3F9A2: "+tt.want; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.what, got, want)
		}
		if l := records[0]; l.Delay != l.Delays[0]+l.Delays[1]+l.Delays[2]+l.Delays[3] || l.Delay != 2*time.Second {
			t.Errorf("%s: %v is not the sum of %v", tt.what, l.Delay, l.Delays)
		}
	}
}

// Delays have two digits that count, as Postfix's.
func TestDelays(t *testing.T) {
	start := time.Now()
	for took, want := range map[time.Duration]string{0: "0", 4 * time.Millisecond: "0", 4_999_999: "0", 5 * time.Millisecond: "0.01", 6 * time.Millisecond: "0.01", 100 * time.Millisecond: "0.1", 994 * time.Millisecond: "0.99",
		996 * time.Millisecond: "1", 1240 * time.Millisecond: "1.2", 9940 * time.Millisecond: "9.9", 9960 * time.Millisecond: "10", 100 * time.Second: "100", 123456 * time.Millisecond: "123"} {
		report := &smtpclient.Report{Start: start, Outcomes: []smtpclient.Outcome{{At: start.Add(took)}}}
		line := smtpclient.LogRecords(t.Context(), &smtpclient.Envelope{To: make([]smtpclient.Recipient, 1)}, report)[0].String()
		if !strings.Contains(line, ", delay="+want+", delays=0/0/"+want+"/0, ") {
			t.Errorf("%v: %s, want %s", took, line, want)
		}
	}
}

// The TLS of a delivery is told as smtp_log_tls_feature_status does.
func TestTLSFeature(t *testing.T) {
	for _, tt := range []struct {
		wanted, reached tlspolicy.Level
		want            string
	}{
		{0, 0, ""},
		{tlspolicy.None, tlspolicy.None, "none"},
		{tlspolicy.May, 0, "may?"},
		{tlspolicy.May, tlspolicy.None, "may:none"},
		{tlspolicy.May, tlspolicy.Encrypt, "may"},
		{tlspolicy.May, tlspolicy.Verify, "may"},
		{tlspolicy.Encrypt, tlspolicy.None, "!encrypt:none"},
		{tlspolicy.Encrypt, tlspolicy.Encrypt, "encrypt"},
		{tlspolicy.DANE, 0, "dane?"},
		{tlspolicy.DANE, tlspolicy.Verify, "dane"},
		{tlspolicy.Secure, tlspolicy.Encrypt, "!secure:encrypt"},
		{tlspolicy.Secure, tlspolicy.Verify, "secure"},
	} {
		report := &smtpclient.Report{Outcomes: []smtpclient.Outcome{{Attempt: &smtpclient.Attempt{TLS: tlspolicy.State{Wanted: tt.wanted, Reached: tt.reached}}}}}
		if got := smtpclient.LogRecords(t.Context(), &smtpclient.Envelope{To: make([]smtpclient.Recipient, 1)}, report)[0].TLS; got != tt.want {
			t.Errorf("%v reached %v: %q, want %q", tt.wanted, tt.reached, got, tt.want)
		}
	}
}

// A delivery by the way of a real server: what stands in the log is what the server
// saw, and the parts of the delay are where the time went.
func TestLogReports(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.absentMX(10)
		w.mx(20, &smtptest.Server{Extensions: pipelined, Wire: smtptest.Wire{Window: 1 << 16, Delay: time.Second}, Script: onRcpt("carol", "550 5.1.1 no such user")})
		var text, lines bytes.Buffer
		ctx := smtpclient.WithTrace(t.Context(), smtpclient.LogReports(slog.New(slog.NewTextHandler(&text, nil))))
		ctx = smtpclient.WithTrace(ctx, (&smtpclient.PostfixLog{Writer: &lines, Host: "mail", TLS: smtpclient.TLSLogged}).Trace())
		env := fromAnn("bob@example.net", "carol@example.net")
		env.Arrival = time.Now().Add(-10 * time.Second)
		w.deliver(smtpclient.WithQueueID(ctx, "3F9A2"), env, hello)
		got := strings.Split(strings.TrimSpace(text.String()), "\n")
		// Two seconds to connect, one for the greeting, two for EHLO; then two for each of
		// two groups.
		for i, want := range []string{
			`level=INFO msg="smtp recipient" queue_id=3F9A2 to=bob@example.net relay=mx20.example.net[192.0.2.20]:25 delay=19s delays.before=10s delays.setup=5s delays.transaction=4s tls=may:none dsn=2.0.0 status=sent text="250 ok"`,
			`level=WARN msg="smtp recipient" queue_id=3F9A2 to=carol@example.net relay=mx20.example.net[192.0.2.20]:25 delay=17s delays.before=10s delays.setup=5s delays.transaction=2s tls=may:none dsn=5.1.1 status=bounced text="host mx20.example.net[192.0.2.20] said: 550 5.1.1 no such user (in reply to RCPT TO command)"`,
		} {
			if i >= len(got) || !strings.HasSuffix(got[i], want) {
				t.Errorf("records\n%s\nwant\n%s", text.String(), want)
			}
		}
		stamp := time.Now().Format(time.Stamp) + " mail postfix/"
		for i, want := range []string{"qmgr", "smtp", "smtp"} {
			rest := []string{fmt.Sprintf(": 3F9A2: from=<ann@example.org>, size=%d, nrcpt=2 (queue active)", len(hello)),
				": 3F9A2: to=<bob@example.net>, relay=mx20.example.net[192.0.2.20]:25, delay=19, delays=10/0/5/4, tls=may:none, dsn=2.0.0, status=sent (250 ok)",
				": 3F9A2: to=<carol@example.net>, relay=mx20.example.net[192.0.2.20]:25, delay=17, delays=10/0/5/2, tls=may:none, dsn=5.1.1, status=bounced (host mx20.example.net[192.0.2.20] said: 550 5.1.1 no such user (in reply to RCPT TO command))"}[i]
			line := strings.Split(lines.String(), "\n")[i]
			if !strings.HasPrefix(line, stamp+want+"[") || !strings.HasSuffix(line, rest) {
				t.Errorf("line %q\nwant %q and %q", line, stamp+want, rest)
			}
		}
	})
}

// Without a queue ID there is no line of the queue manager, and TLS is left out
// unless it is asked for; LMTP has its own name.
func TestPostfixLog(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		var lines bytes.Buffer
		ctx := smtpclient.WithTrace(t.Context(), (&smtpclient.PostfixLog{Writer: &lines, Host: "my host", Service: "lmtp"}).Trace())
		w.deliver(ctx, fromAnn("bob@example.net"), hello)
		if got := lines.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, " my?host postfix/lmtp[") || !strings.Contains(got, "]: NOQUEUE: to=<bob@example.net>, relay=") || strings.Contains(got, "tls=") {
			t.Errorf("lines %q", got)
		}
	})
}

// The time of a line is that of its own second.
func TestPostfixLogTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		trace := (&smtpclient.PostfixLog{Writer: &lines}).Trace()
		for range 3 {
			time.Sleep(400 * time.Millisecond) // the last one is in the next second
			lines.Reset()
			trace.End(t.Context(), &smtpclient.Envelope{To: make([]smtpclient.Recipient, 1)}, &smtpclient.Report{Outcomes: make([]smtpclient.Outcome, 1)})
			if want := time.Now().Format(time.Stamp); !strings.HasPrefix(lines.String(), want+" ") {
				t.Errorf("%q at %s", lines.String(), want)
			}
		}
	})
}
