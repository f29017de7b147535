package smtpclient_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// peerDefect is something that another client gets wrong in its dialogue with a
// server, or had wrong, and what shows that this one does not: dialogues, tests,
// or a story of its own.
type peerDefect struct {
	peer, defect string
	dialogues    string // names without ".txt"
	tests        string // "TestName" or "TestName/case"
	story        func(t *testing.T)
}

var peerDefects = []peerDefect{
	// mox
	{peer: "mox", defect: "keeps what EHLO offered before STARTTLS", dialogues: "starttls starttls-again", tests: "TestHELOInsideTLS TestSizeBeforeTLSIsForgotten"},
	{peer: "mox", defect: "takes 251 to RCPT for a refusal", dialogues: "rcpt-refused", tests: "TestOutcomes/E28 251 to RCPT TestOutcomes/E28 252 to RCPT"},
	{peer: "mox", defect: "leaves the last deadline on the connection when TLS begins: a session that was idle for 30 s fails", dialogues: "peer-slow-in-tls peer-idle", story: idleInsideTLS},
	{peer: "mox", defect: "a content that takes over 30 s inside TLS fails", story: slowContentInsideTLS},
	{peer: "mox", defect: "ignores ctx once connected", tests: "TestCancel/greeting TestCancel/mail TestCancel/data-done TestCancelWithinContent"},
	{peer: "mox", defect: "Close gives the error of closing in place of that of QUIT", story: errorOfQuit},
	{peer: "mox", defect: "all timeouts are constants", tests: "TestStageTimeouts TestCommandTimeouts TestConnectTimeoutOfOnesOwn"},
	{peer: "mox", defect: "does not bound the lines of a reply", story: endlessReply},
	{peer: "mox", defect: "reads the enhanced code of the first line only", dialogues: "rcpt-refused"},
	{peer: "mox", defect: "the content is a reader for one attempt", dialogues: "c2-dot-4xx c2-content-eof", tests: "TestContentIsClosed/two hosts"},
	{peer: "mox", defect: "the size is believed before the content is read", tests: "TestContentSizeIsChecked"},
	{peer: "mox", defect: "a lack of 8BITMIME is final, whatever other hosts offer", tests: "TestEightBit"},
	{peer: "mox", defect: "falls back to HELO only after 500 to 504", tests: "TestHELOFallback/550 5.5.2 unknown command"},
	{peer: "mox", defect: "one flight of any length", tests: "TestGroupsAreShort TestManyRecipientsWithoutBuffers"},
	{peer: "mox", defect: "reads LIMITS and does not keep to them", tests: "TestLIMITS TestSessionMAILMAX"},
	{peer: "mox", defect: "asks for STARTTLS that is not offered, and bounces over the 502", dialogues: "c2-starttls-missing"},

	// go-smtp
	{peer: "go-smtp", defect: "misses EHLO keywords in lower case", dialogues: "keywords"},
	{peer: "go-smtp", defect: "sends BY and MT-PRIORITY with RCPT", dialogues: "peer-by-priority"},
	{peer: "go-smtp", defect: "RSET forgets the hello, so that EHLO comes again", dialogues: "peer-again-after-refusal"},
	{peer: "go-smtp", defect: "no deadline while content is written", dialogues: "c2-content-timeout", tests: "TestContentTimeouts"},
	{peer: "go-smtp", defect: "verdicts of LMTP by address: the same one twice has one", dialogues: "lmtp"},
	{peer: "go-smtp", defect: "recipients of the last LMTP message are waited for again", dialogues: "peer-lmtp-again"},
	{peer: "go-smtp", defect: "BODY=8BITMIME on each message where it is offered", dialogues: "peer-not-needed pipelined"},
	{peer: "go-smtp", defect: "what the caller says of the body is ignored", tests: "TestParameters/declared 7-bit TestParameters/declared 8-bit"},
	{peer: "go-smtp", defect: "EHLO before STARTTLS says localhost", dialogues: "starttls", tests: "TestLocalNameOnTheWire"},
	{peer: "go-smtp", defect: "no context, no time for each command", tests: "TestCancel TestStageTimeouts"},
	{peer: "go-smtp", defect: "plaintext to a port where TLS begins at once hangs", dialogues: "c2-banner-timeout", tests: "TestImplicitTLS"},
	{peer: "go-smtp", defect: "SIZE is not looked at", dialogues: "c2-size", tests: "TestSize"},
	{peer: "go-smtp", defect: "one command at a time", dialogues: "pipelined"},

	// net/smtp and net/textproto
	{peer: "net/smtp", defect: "no deadline: a silent server holds it for ever", dialogues: "c2-banner-timeout c2-ehlo-timeout c2-mail-timeout c2-rcpt-timeout c2-data-timeout c2-dot-timeout"},
	{peer: "net/smtp", defect: "blocks within STARTTLS", dialogues: "c2-tls-handshake-stalled", tests: "TestSTARTTLSStalledHandshake"},
	{peer: "net/smtp", defect: "BODY=8BITMIME and SMTPUTF8 on each message where they are offered", dialogues: "peer-not-needed"},
	{peer: "net/smtp", defect: "HELO after any error of EHLO", dialogues: "c2-ehlo-4xx c2-ehlo-421 c2-ehlo-timeout"},
	{peer: "net/smtp", defect: "stops at the first refused recipient", dialogues: "rcpt-refused c2-rcpt-5xx"},
	{peer: "net/smtp", defect: "no QUIT after a failed EHLO", dialogues: "c2-helo-5xx"},
	{peer: "net/smtp", defect: "passes by what came in plaintext behind 220 to STARTTLS", dialogues: "peer-injected", tests: "TestSTARTTLSLadder/T8 injected line TestSTARTTLSLadder/T9 injected fragment"},
	{peer: "net/smtp", defect: "the dot is written after a content that failed", tests: "TestContentThatFails TestPanicsAreContained"},
	{peer: "net/smtp", defect: "sends 8-bit content to servers without 8BITMIME", tests: "TestEightBit"},
	{peer: "net/textproto", defect: "swallows another code within a reply", tests: "TestOutcomes/R3 550 and 250 to the dot TestOutcomes/R3 codes of EHLO differ"},
	{peer: "net/textproto", defect: "swallows garbage", tests: "TestOutcomes/R14 garbage before the reply to the dot TestOutcomes/R10 garbage to MAIL"},
	{peer: "net/textproto", defect: "a code without text is an error", dialogues: "peer-bare-codes"},
	{peer: "net/textproto", defect: "bare CR passes, and a dot behind it", dialogues: "transparency", tests: "TestContentArrives"},

	// go-mail
	{peer: "go-mail", defect: "any refused recipient cancels all", dialogues: "rcpt-refused c2-rcpt-4xx"},
	{peer: "go-mail", defect: "ctx is ignored while the greeting is waited for", tests: "TestCancel/greeting TestContextDeadline"},
	{peer: "go-mail", defect: "the deadline is set behind the greeting", dialogues: "c2-banner-timeout"},
	{peer: "go-mail", defect: "a refused RSET or QUIT behind a message that was taken is reported as a failure", dialogues: "peer-again-after-success c2-quit-eof c2-quit-refused"},
	{peer: "go-mail", defect: "NOOP and RSET around each message", dialogues: "peer-again-after-success"},
	{peer: "go-mail", defect: "one deadline for the whole session", dialogues: "peer-slow-server"},
	{peer: "go-mail", defect: "one NOTIFY for all, no ENVID, no ORCPT", dialogues: "peer-notify"},
	{peer: "go-mail", defect: "host and port of IPv6 are joined without brackets", story: literalIPv6},
	{peer: "go-mail", defect: "two at a time share one connection", tests: "TestBusySession"},
	{peer: "go-mail", defect: "recipients are read from the header", story: recipientsOfTheEnvelope},

	// go-simple-mail and its kin
	{peer: "go-simple-mail", defect: "ORCPT of the recipients before is glued on", dialogues: "peer-notify"},
	{peer: "go-simple-mail", defect: "after a timeout the send goes on beside RSET and QUIT", dialogues: "c2-mail-timeout c2-rcpt-timeout c2-dot-timeout", story: nothingAfterTimeout},
	{peer: "jordan-wright/email", defect: "a session that the server left is used once more", tests: "TestBrokenSession TestIdleSession421"},
	{peer: "smtppool", defect: "421 goes back to the pool", dialogues: "c2-421-dot", tests: "TestBrokenSession"},

	// maddy
	{peer: "maddy", defect: "4yz to MAIL, RCPT or DATA does not reach the next exchanger", dialogues: "c2-mail-4xx c2-rcpt-4xx c2-data-4xx peer-next-after-refused-data"},
	{peer: "maddy", defect: "address literals are refused", tests: "TestPolicyByNextHop"},

	// lettre
	{peer: "lettre", defect: "gives up at the first refused recipient", dialogues: "rcpt-refused"},
	{peer: "lettre", defect: "a bare LF passes, and a dot behind it is not doubled", dialogues: "transparency", tests: "TestContentArrives"},
	{peer: "lettre", defect: "a line end is added before the dot, whether there is one or not", dialogues: "peer-last-line"},
	{peer: "lettre", defect: "an incomplete reply of a dead connection", dialogues: "c2-dot-eof-within c2-rcpt-eof"},

	// nodemailer
	{peer: "nodemailer", defect: "only the RCPT are pipelined", dialogues: "pipelined"},
	{peer: "nodemailer", defect: "offers before STARTTLS are kept", dialogues: "starttls", tests: "TestHELOInsideTLS"},
	{peer: "nodemailer", defect: "bytes behind 220 to STARTTLS are read inside TLS", dialogues: "peer-injected", tests: "TestSTARTTLSLadder/T9 injected fragment"},
	{peer: "nodemailer", defect: "a bare CR passes", dialogues: "transparency"},
	{peer: "nodemailer", defect: "one NOTIFY and one ORCPT for the whole message", dialogues: "peer-notify"},
	{peer: "nodemailer", defect: "SMTPUTF8 that is needed and not offered is left out in silence", dialogues: "c2-smtputf8-missing"},
	{peer: "nodemailer", defect: "each byte of the server begins the timeout anew", tests: "TestDrippingReply TestTransactionBudget"},
	{peer: "nodemailer", defect: "a blank line is passed by, and the next reply with it", tests: "TestOutcomes/R14 blank line"},
	{peer: "nodemailer", defect: "a line end in our own name is sent", tests: "TestBadInput TestDialFails"},

	// others, from what their users report
	{peer: "aiosmtplib", defect: "a late reply is taken for that of the next command", dialogues: "peer-late-reply"},
	{peer: "symfony", defect: "RSET after a timeout reads the late reply", dialogues: "peer-late-reply"},
	{peer: "filtermail", defect: "421 that waits is taken for the reply to RSET", tests: "TestIdleSession421"},
	{peer: "filtermail", defect: "354 where nobody was accepted", dialogues: "nobody-354 lmtp-nobody-354", tests: "TestNobodyAccepted"},
	{peer: "MailKit", defect: "hundreds of pipelined recipients block", tests: "TestManyRecipientsWithoutBuffers"},
	{peer: "MailKit", defect: "a lone dot sends an empty message to who was accepted", tests: "TestNoDotForWhoWasAccepted"},
	{peer: "swiftmailer", defect: "errors in a pipeline are given to the wrong command", dialogues: "mail-refused c2-rcpt-after-mail peer-again-after-refusal"},
	{peer: "nymea", defect: "sends on behind the dot although nothing was offered", dialogues: "lockstep"},
	{peer: "chatmail", defect: "pipelining cannot be turned off", tests: "TestPipelining"},
	{peer: "async-smtp", defect: "4yz and 5yz to RCPT are not told apart", dialogues: "rcpt-refused"},
	{peer: "Postfix", defect: "the reply to a pipelined QUIT is taken for a verdict", dialogues: "quit-reply-as-verdict lmtp-221"},
	{peer: "Postfix", defect: "a message without an answer is sent to the next host at once", dialogues: "c2-dot-timeout c2-dot-eof c2-dot-eof-within"},
}

// TestPeerDefects has one entry for each defect. The dialogues are played by
// TestDialogues, the tests run by themselves; here it is checked that they are
// there, and the stories are told.
func TestPeerDefects(t *testing.T) {
	tests := testNames(t)
	for _, d := range peerDefects {
		t.Run(d.peer+": "+d.defect, func(t *testing.T) {
			for name := range strings.FieldsSeq(d.dialogues) {
				checkDialogueFile(t, "testdata/dialogue/"+name+".txt")
			}
			for name := range testList(d.tests) {
				tests.check(t, name)
			}
			if d.story != nil {
				d.story(t)
			} else if d.dialogues == "" && d.tests == "" {
				t.Error("nothing shows it")
			}
		})
	}
}

// testList splits the names of tests, whose cases may have blanks in theirs.
func testList(names string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, name := range strings.Split(" "+names, " Test") {
			if i > 0 && !yield("Test"+name) {
				return
			}
		}
	}
}

var secured = smtpclient.Target{Policy: tlspolicy.Policy{Level: tlspolicy.Encrypt}}

// A session with TLS that was idle for an hour takes a message, and another one
// an hour later.
func idleInsideTLS(t *testing.T) {
	server := &smtptest.Server{}
	inSession(t, server, secured, func(t *testing.T, s *heldSession) {
		for range 2 {
			time.Sleep(time.Hour)
			expect(t, send(t, s, "bob@example.net"), "bob@example.net delivered data-done 2.0.0")
		}
		if server.Messages()[1].TLS == nil {
			t.Error("it went in plaintext")
		}
	})
}

// At 10 KB/s a content of 1 MB is on its way for longer than a minute, inside TLS.
func slowContentInsideTLS(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Wire: smtptest.Wire{Window: 64 << 10}})
		w.client.TLS = tlspolicy.Encrypt
		w.client.Dialer.DialContext = w.tapped(func(p []byte) { time.Sleep(time.Duration(len(p)) * time.Second / 10_000) })
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), longMessage(1_000_000))
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if took := time.Since(start); took < time.Minute {
			t.Errorf("took %v, which shows nothing", took)
		}
	})
}

// What went wrong with QUIT is what Quit returns, and Close after it says no more
// than that the connection is closed.
func errorOfQuit(t *testing.T) {
	server := &smtptest.Server{Script: on("QUIT", action{Fault: smtptest.Drop})}
	inSession(t, server, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		err := s.Quit(t.Context())
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Stage != smtpclient.StageQuit || !errors.Is(err, io.EOF) {
			t.Errorf("Quit: %v, want the end of the connection", err)
		}
	})
	inSession(t, &smtptest.Server{}, smtpclient.Target{}, func(t *testing.T, s *heldSession) {
		if err := s.Quit(t.Context()); err != nil {
			t.Errorf("Quit: %v", err)
		}
	})
}

// Lines without end, or one line without end, are cut off; also where each of
// them comes in time.
func endlessReply(t *testing.T) {
	for name, reply := range map[string]string{
		"lines":  strings.Repeat("250-and this\r\n", 10_000),
		"a line": "250 " + strings.Repeat("x", 100_000),
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			mx := w.mx(10, &smtptest.Server{Script: on("EHLO", action{Raw: []byte(reply)})})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			expect(t, report, "bob@example.net deferred hello 4.5.0")
			if lines := clientLines(mx, 0); len(lines) != 1 {
				t.Errorf("%s: the client said %q", name, lines)
			}
		})
	}
}

// The address of a literal is dialled as net has it.
func literalIPv6(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net["[2001:db8::25]:25"] = &smtptest.Server{}
		w.net["[2001:db8::25]:587"] = &smtptest.Server{}
		for hop, want := range map[string]string{"[2001:db8::25]": "[2001:db8::25]:25", "[2001:db8::25]:587": "[2001:db8::25]:587"} {
			w.client.NextHops = []string{hop}
			report, _ := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello)))
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if got := report.Outcomes[0].Addr; got != want {
				t.Errorf("%s: dialled %s, want %s", hop, got, want)
			}
		}
	})
}

// The header names others than the envelope, which counts.
func recipientsOfTheEnvelope(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), "From: eve@example.com\r\nTo: carol@example.net\r\nBcc: dave@example.net\r\n\r\n")
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if m := mx.Messages()[0]; m.From != "ann@example.org" || strings.Join(m.To, " ") != "bob@example.net" {
			t.Errorf("from %s to %v", m.From, m.To)
		}
	})
}

// After a timeout nothing is written any more, at whatever time it came.
func nothingAfterTimeout(t *testing.T) {
	for _, verb := range []string{"MAIL", "RCPT", "DATA", smtptest.EndOfData} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true // a client that is cut off does not say QUIT
			w.mx(10, &smtptest.Server{Extensions: lockstep, Script: silentAt(verb)})
			var last time.Time
			w.client.Dialer.DialContext = w.tapped(func([]byte) { last = time.Now() })
			start := time.Now()
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
			if !errors.Is(report.Err(), os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v, want a timeout", verb, report.Err())
			}
			time.Sleep(time.Hour)
			if last.After(start) {
				t.Errorf("%s: something was written %v after it", verb, last.Sub(start))
			}
		})
	}
}
